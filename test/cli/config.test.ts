/** The configuration file: go-cluster's format and ours, the sources of values, and the errors. */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { schemaText } from "../../scripts/build/generated.ts";
import { settingsInForce } from "../../src/config/file/in-force.ts";
import type { Environment } from "../../src/config/file/layers.ts";
import { checkConfig, type LoadedConfig, type LoadOptions, loadConfig } from "../../src/config/file/load.ts";
import { SCHEMA_URL } from "../../src/config/file/schema.ts";
import type { FileConfig } from "../../src/config/file/types.ts";
import { unknownVariables } from "../../src/config/file/variables.ts";
import { writeConfig } from "../../src/config/file/write.ts";
import { PACKAGE_VERSION, resolveOptions } from "../../src/config/resolve.ts";
import { leaseSpanMs } from "../../src/election/lease.ts";
import { beatIntervalMs } from "../../src/inquiry/durations.ts";
import { lifetimeSeconds } from "../../src/vip/lifetime.ts";
import { cli, folder, json } from "../support/cli/run-cli.ts";

const GO = {
  clusterId: "my-cluster",
  nodeId: "node1",
  nats: { servers: ["nats://localhost:4222"], credentials: "", reconnectWaitMs: 2_000, maxReconnects: -1 },
  vip: { address: "", netmask: 24, interface: "" },
  election: { leaseTtlMs: 10_000, heartbeatIntervalMs: 3_000 },
  service: { version: "1.0.0" },
};

function load(config: unknown, more: Partial<LoadOptions> = {}): LoadedConfig {
  const path = join(folder(), "cluster.json");
  writeFileSync(path, typeof config === "string" ? config : JSON.stringify(config));
  return loadConfig({ path, env: {}, ...more });
}

function problemsOf(config: unknown, more: Partial<LoadOptions> = {}): string {
  try {
    load(config, more);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  throw new Error("the configuration was accepted");
}

describe("go-cluster's file", () => {
  test("is read unchanged, including zero values", () => {
    const { nodeOptions, vip, notes } = load(GO);
    expect(nodeOptions).toMatchObject({
      clusterId: "my-cluster",
      nodeId: "node1",
      servers: ["nats://localhost:4222"],
      leaseTtlMs: 10_000,
      heartbeatIntervalMs: 3_000,
      reconnectWaitMs: 2_000,
      serviceVersion: "1.0.0",
    });
    expect([vip, notes]).toEqual([null, []]);
    const zeros = {
      ...GO,
      election: { leaseTtlMs: 0, heartbeatIntervalMs: 0 },
      vip: {},
      service: { version: "" },
    };
    expect(load(zeros).nodeOptions.leaseTtlMs).toBeUndefined();
  });

  test("with a short lease has its reconnect wait lowered, with a note", () => {
    const { nodeOptions, notes } = load({
      ...GO,
      election: { leaseTtlMs: 5_000, heartbeatIntervalMs: 1_000 },
    });
    expect(nodeOptions.reconnectWaitMs).toBe(1_500);
    expect(notes).toEqual([expect.stringContaining("nats.reconnectWaitMs 2000 is reduced to 1500")]);
  });

  test("with a virtual IP has a default prefix length by address family", () => {
    const vip = { address: "192.168.1.100", interface: "eth0" };
    expect(load({ ...GO, vip }).vip).toEqual({ ...vip, netmask: 24 });
    expect(load({ ...GO, vip: { ...vip, address: "2001:db8::1" } }).vip?.netmask).toBe(64);
  });
});

describe("errors", () => {
  test("list every problem at once, with path, value, source and rule", () => {
    const problems = problemsOf({
      clusterId: "bil.ling",
      nats: { servers: 4222, password: "geheim" },
      election: { heartbeatIntervalMs: "3000", leaseTTLMs: 4, replicas: 2 },
      leaseTtlMs: 5,
      vip: { address: "10.0.0.300" },
    });
    expect(problems.split("\n  ").slice(1)).toEqual([
      "nats.password (hidden) is a secret and must not be in the file: use nats.passwordFile or NATS_LEADER_PASSWORD",
      expect.stringMatching(/^clusterId "bil\.ling" \(from \S+cluster\.json\) must be 1 to 64 of/),
      "nodeId is missing; give --node-id, NATS_LEADER_NODE_ID, INSTANCE_ID or a file with it; it must be 1 to 64 of the characters A-Z a-z 0-9 _ - (it becomes a token of NATS subjects)",
      expect.stringMatching(/^nats\.servers 4222 \(from \S+\) must be a list of nats:\/\/host:port/),
      expect.stringMatching(/^vip\.address "10\.0\.0\.300" \(from \S+\) must be an IPv4 or IPv6 address/),
      expect.stringMatching(/^election\.heartbeatIntervalMs "3000" \(from \S+\) must be a whole number/),
      expect.stringMatching(/^election\.replicas 2 \(from \S+\) must be "auto", 1, 3 or 5/),
      "election.leaseTTLMs is not a setting; did you mean election.leaseTtlMs?",
      "leaseTtlMs is not a setting; did you mean election.leaseTtlMs?",
      "vip.interface is missing; it must be the name of a network interface, because vip.address is set",
      expect.stringMatching(/^nats\.password \(a hidden string\) \(from \S+\) must come with nats\.user$/),
    ]);
    expect(problems).not.toContain("geheim");
  });

  test("list problems of the file, of URLs, of files with secrets and of relations together, each once", () => {
    const problems = problemsOf({
      ...GO,
      clusterId: 7,
      nats: { servers: ["nats://host:99999", "ftp://x"], user: "u", passwordFile: "/none" },
      election: { leaseTtlMs: 10_000, heartbeatIntervalMs: 6_000, observer: "yes", unheard: 1 },
      service: { version: "v1" },
    });
    expect(problems.split("\n  ").slice(1)).toEqual([
      expect.stringMatching(/^clusterId 7 /),
      expect.stringMatching(/^election\.observer "yes" /),
      "election.unheard is not a setting",
      expect.stringMatching(/^service\.version "v1" /),
      expect.stringMatching(/^nats\.passwordFile "\/none" \(from \S+\) cannot be read: ENOENT/),
      expect.stringMatching(
        /^election\.heartbeatIntervalMs 6000 \(from \S+\) must be less than half of leaseTtlMs 10000/,
      ),
      expect.stringMatching(/^nats\.servers "nats:\/\/host:99999" \(from \S+\) must be nats:\/\/host:port/),
      expect.stringMatching(/^nats\.servers "ftp:\/\/x" \(from \S+\) must be nats:\/\/host:port/),
    ]);
  });

  test("a URL with a password belongs in a variable, not in the file", () => {
    const file = { ...GO, nats: { servers: ["nats://me:geheim@host:4222"] } };
    const problems = problemsOf(file);
    expect(problems).toContain("nats.servers has a URL with a password or token (hidden)");
    expect(problems).not.toContain("geheim");
    const env = { NATS_LEADER_SERVERS: file.nats.servers.join() };
    expect(load(GO, { env }).nodeOptions.servers).toEqual(file.nats.servers);
    expect(checkConfig(file).nodeOptions.servers).toEqual(file.nats.servers);
    expect(() => writeConfig(file, join(folder(), "a.json"))).toThrow(/a URL of a server has a password/);
  });

  test.each([
    [
      { leaseTtlMs: 2_999 },
      /election\.leaseTtlMs 2999 \(from \S+\) must be at least 3000, because vip\.address is set/,
    ],
    [
      { leaseTtlMs: 3_000, heartbeatIntervalMs: 1_400 },
      /election\.heartbeatIntervalMs 1400 \(from \S+\) must be at most 900, because vip\.address is set/,
    ],
  ])("a virtual IP needs a lease with room for its lifetime: %j", (election, expected) => {
    const vip = { address: "10.0.0.1", interface: "eth0" };
    expect(problemsOf({ ...GO, vip, election })).toMatch(expected);
    expect(load({ ...GO, election }).vip).toBeNull();
  });

  test("every accepted lease gives an address a lifetime that lasts until the next renewal", () => {
    const vip = { address: "10.0.0.1", interface: "eth0" };
    for (let leaseTtlMs = 3_000; leaseTtlMs < 6_000; leaseTtlMs += 50) {
      const { heartbeatIntervalMs } = resolveOptions(
        load({ ...GO, vip, election: { leaseTtlMs } }).nodeOptions,
      );
      expect(lifetimeSeconds(leaseSpanMs(leaseTtlMs)) * 1000).toBeGreaterThan(heartbeatIntervalMs);
    }
  });

  test.each([
    [{}, 5_000],
    [{ leaseTtlMs: 60_000 }, 5_000],
    [{ leaseTtlMs: 9_500 }, 4_750],
    [{ leaseTtlMs: 9_068 }, 4_534],
    [{ leaseTtlMs: 9_067 }, 0],
    [{ crashDetection: "silence" }, 5_000],
    [{ crashDetection: "lease" }, 0],
    [{ silenceMs: 0 }, 0],
    [{ silenceMs: 4_534 }, 4_534],
  ])(
    "a virtual IP gets a promise of silence with room for its lifetime, or none: %j",
    (election, silenceMs) => {
      const vip = { address: "10.0.0.1", interface: "eth0" };
      const inForce = resolveOptions(load({ ...GO, vip, election }).nodeOptions).silenceMs;
      expect(inForce).toBe(silenceMs);
      if (inForce === 0) return;
      // Of a stretch, all but two intervals are left when a beat is proven by the next one; 100 ms are for its way.
      expect(lifetimeSeconds(inForce - 2 * beatIntervalMs(inForce) - 100)).toBeGreaterThanOrEqual(2);
    },
  );

  test.each([
    [
      { silenceMs: 4_533 },
      /election\.silenceMs 4533 \(from \S+\) must be 0 or at least 4534, because vip\.address is set/,
    ],
    [
      { silenceMs: 2_000, crashDetection: "silence" },
      /election\.silenceMs 2000 \(from \S+\) must be at least 4534, because vip\.address is set/,
    ],
    [
      { leaseTtlMs: 9_067, crashDetection: "silence" },
      /election\.leaseTtlMs 9067 \(from \S+\) must be at least 9068, because vip\.address is set and crashDetection is "silence"/,
    ],
  ])(
    "a virtual IP needs a promise of silence with room for its lifetime, or none: %j",
    (election, expected) => {
      const vip = { address: "10.0.0.1", interface: "eth0" };
      const problems = problemsOf({ ...GO, vip, election });
      expect(problems).toMatch(expected);
      expect(problems.split("\n  ")).toHaveLength(2);
      expect(load({ ...GO, election }).vip).toBeNull();
    },
  );

  test("name the path in the file for a relation between options", () => {
    const problems = problemsOf({ ...GO, election: { leaseTtlMs: 4_000, heartbeatIntervalMs: 2_000 } });
    expect(problems).toMatch(
      /\n {2}election\.heartbeatIntervalMs 2000 \(from \S+\) must be less than half of leaseTtlMs 4000/,
    );
    const vip = { address: "10.0.0.1", netmask: 33, interface: "eth0" };
    expect(problemsOf({ ...GO, vip })).toMatch(/vip\.netmask 33 \(from \S+\) must be from 0 to 32/);
  });

  test.each<[Environment, readonly string[]]>([
    [
      { NATS_PASSWORD: "geheim" },
      ["nats.password (a hidden string) (from NATS_PASSWORD) must come with nats.user"],
    ],
    [
      { NATS_LEADER_USER: "u" },
      ['nats.user "u" (from NATS_LEADER_USER) must come with nats.passwordFile or NATS_LEADER_PASSWORD'],
    ],
    [
      { NATS_USER: "u", NATS_PASSWORD: "geheim", NATS_LEADER_TOKEN: "geheim", NATS_LEADER_CREDS: "/c" },
      [
        "nats.credentials (from NATS_LEADER_CREDS), nats.token (from NATS_LEADER_TOKEN) (hidden): must be one authentication method, not 2",
      ],
    ],
    [
      { NATS_LEADER_SERVERS: "nats://me:geheim@h", NATS_LEADER_TOKEN: "geheim" },
      [
        "nats.token (from NATS_LEADER_TOKEN), nats.servers (from NATS_LEADER_SERVERS) (hidden): must be one authentication method, not 2",
      ],
    ],
    [
      { NATS_LEADER_SERVERS: "a:1,x y,c:2,geheim:@h,d:99999" },
      [
        'nats.servers "x y" (from NATS_LEADER_SERVERS) must be nats://host:port, tls://host:port or host:port, with a port from 1 to 65535',
        'nats.servers "***@h" (from NATS_LEADER_SERVERS) must have credentials as user:pass@ or token@, special characters percent-encoded',
        'nats.servers "d:99999" (from NATS_LEADER_SERVERS) must be nats://host:port, tls://host:port or host:port, with a port from 1 to 65535',
      ],
    ],
    [
      { NATS_LEADER_HEARTBEAT_INTERVAL_MS: "2000", NATS_LEADER_LEASE_TTL_MS: "4000" },
      [
        "election.heartbeatIntervalMs 2000 (from NATS_LEADER_HEARTBEAT_INTERVAL_MS) must be less than half of leaseTtlMs 4000 (from NATS_LEADER_LEASE_TTL_MS) (1999 at most), so that one lost renewal can be repeated before the deadline",
      ],
    ],
    [
      { NATS_LEADER_SILENCE_MS: "2001", NATS_LEADER_LEASE_TTL_MS: "4000" },
      [
        "election.silenceMs 2001 (from NATS_LEADER_SILENCE_MS) must be at most half of leaseTtlMs 4000 (from NATS_LEADER_LEASE_TTL_MS) (2000), so that a silent leader is replaced before its lease expires",
      ],
    ],
    [
      { NATS_LEADER_SILENCE_MS: "0", NATS_LEADER_CRASH_DETECTION: "silence" },
      [
        'election.silenceMs 0 (from NATS_LEADER_SILENCE_MS) must be from 500 to 5000 with crashDetection "silence": without a promise of silence a leader that vanishes is replaced only when its lease has expired, which crashDetection "lease" says',
      ],
    ],
  ])("name the setting and the source of every value: %j", (env, expected) => {
    const { election, ...rest } = GO;
    const problems = problemsOf(rest, { env });
    expect(problems.split("\n  ").slice(1)).toEqual(expected);
    expect(problems).not.toContain("geheim");
    expect(election.leaseTtlMs).toBe(10_000);
  });

  test("name a file that has no seed in it, and an item of a list that is no text", () => {
    const seed = join(folder(), "seed");
    writeFileSync(seed, "geheim");
    const env = { NATS_NKEY: seed };
    const problems = problemsOf({ ...GO, nats: { servers: ["a:1", 5, "", "b:2"] } }, { env });
    expect(problems.split("\n  ").slice(1)).toEqual([
      expect.stringMatching(
        /^nats\.servers\[1\] 5 \(from \S+cluster\.json\) must be a nats:\/\/host:port, such as/,
      ),
      expect.stringMatching(/^nats\.servers\[2\] "" \(from \S+cluster\.json\) must be a nats:/),
      `nats.nkeyFile "${seed}" (from NATS_NKEY) must contain the seed of a user nkey (SU and 56 of A-Z 2-7)`,
    ]);
    expect(problems).not.toContain("geheim");
  });

  test("name every secret of a file, also one that another source replaces", () => {
    const nats = { servers: ["a:1"], user: "u", password: "geheim", token: "geheim" };
    for (const env of [{}, { NATS_LEADER_CREDS: "/c" }, { NATS_LEADER_PASSWORD: "x" }] as Environment[]) {
      const problems = problemsOf({ ...GO, nats }, { env });
      expect(problems).toContain("nats.password (hidden) is a secret and must not be in the file");
      expect(problems).toContain("nats.token (hidden) is a secret and must not be in the file");
      expect(problems).not.toContain("geheim");
    }
    const config = { ...GO, nats } as unknown as FileConfig;
    expect(() => checkConfig(config)).toThrow("nats.password (hidden) is a secret");
  });

  test("name a bad interface beside a bad address", () => {
    const problems = problemsOf({ ...GO, vip: { address: "10.0.0.300", interface: "a name/" } });
    expect(problems.split("\n  ").slice(1)).toEqual([
      expect.stringMatching(/^vip\.address "10\.0\.0\.300" \(from \S+\) must be an IPv4 or IPv6 address/),
      expect.stringMatching(
        /^vip\.interface "a name\/" \(from \S+\) must be the name of a network interface/,
      ),
    ]);
  });

  test("give line and column of a syntax error", () => {
    expect(problemsOf('{\n  "clusterId": "x",\n}')).toMatch(/cluster\.json:3:1 is not JSON/);
    expect(problemsOf("[]")).toContain("it must be an object");
    const unquoted = problemsOf('{"nats":{"servers":["nats://me:geheim@host"], x}}');
    expect(unquoted).toMatch(/is not JSON: /);
    expect(problemsOf('["nats://me:geheim@host", geheim]')).not.toContain("geheim");
  });
});

describe("names in a file", () => {
  const NAMES = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty"];

  test.each(NAMES)("%s is refused at every level, and pollutes nothing", (name) => {
    const member = `${JSON.stringify(name)}:{"polluted":true,"servers":["nats://evil:4222"]}`;
    const { nats, election, ...rest } = GO;
    const open = (section: object): string => JSON.stringify(section).slice(0, -1);
    for (const text of [
      `${open(GO)},${member}}`,
      `${open(rest)},"election":${open(election)},${member}},"nats":${JSON.stringify(nats)}}`,
      `${open({ ...rest, election })},"nats":${open(nats)},"tls":{${member}}}}`,
    ]) {
      expect(problemsOf(text)).toMatch(new RegExp(`${name} is not a setting`));
      expect(() => checkConfig(JSON.parse(text) as FileConfig)).toThrow(`${name} is not a setting`);
    }
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
    expect(Object.keys(Object.prototype)).toEqual([]);
  });

  test("with a dot do not stand for the path of another setting", () => {
    const { nats, ...rest } = GO;
    const problems = problemsOf({ ...rest, "nats.servers": nats.servers });
    expect(problems).toContain("nats.servers is not a setting");
    expect(problems).toContain("nats is missing");
  });

  test("are printed without their control characters, and only the first are listed", () => {
    const bad = "\u001b[2J\u202e";
    const problems = problemsOf({ ...GO, [bad]: 1, clusterId: bad, election: { [bad]: 2 } });
    expect(problems).toContain("\n  \\u001b[2J\\u202e is not a setting");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(problems).not.toMatch(/[\u001b\u202e]/);
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`name${index}`, index]));
    expect(problemsOf({ ...GO, ...many })).toMatch(/4980 more names at the top level are not settings/);
  });

  test("nested more deeply than any setting are refused, however deep", () => {
    const deep = `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`;
    expect(problemsOf(`{"nats":${deep}}`)).toContain("nats.a is not a setting");
    expect(problemsOf(`{"nats":{"tls":{"ca":${deep}}}}`)).toContain("nats.tls.ca (an object)");
  });

  test("an object in place of a number is refused, whatever its members", () => {
    const nats = { ...GO.nats, reconnectWaitMs: 100 };
    const election = { requestTimeoutMs: { toString: "auto", valueOf: 1 }, leaseTtlMs: { toString: 1 } };
    const problems = problemsOf({ ...GO, nats, election });
    expect(problems).toContain("election.requestTimeoutMs (an object)");
    expect(problems).toContain("election.leaseTtlMs (an object)");
  });

  test("a file of more than 1 MiB is refused", () => {
    expect(problemsOf(`{"clusterId":"${"x".repeat(1024 * 1024)}"}`)).toMatch(
      /cannot read configuration .*: it has more than 1048576 bytes/,
    );
  });
});

test("an empty path names the option and the variable that may have it", () => {
  expect(() => loadConfig({ path: "", env: {} })).toThrow(
    "cannot read the configuration: the path in --config or NATS_LEADER_CONFIG is empty",
  );
});

describe("the source of a value", () => {
  const flags = new Map([["nodeId", { value: "flag", flag: "--node-id" }]]);

  test("is the first of flags, our variables, the file and shared variables", () => {
    const env = {
      NATS_LEADER_NODE_ID: "env",
      NATS_LEADER_LEASE_TTL_MS: "20000",
      NATS_URL: "nats://shared:4222",
      NATS_CREDS: "/shared.creds",
    };
    const { config, origins } = load(GO, { env, flags });
    expect([config.nodeId, config.election?.leaseTtlMs]).toEqual(["flag", 20_000]);
    expect(config.nats).toMatchObject({ servers: GO.nats.servers, credentials: "/shared.creds" });
    expect(origins.get("nodeId")).toBe("--node-id");
    expect(origins.get("election.leaseTtlMs")).toBe("NATS_LEADER_LEASE_TTL_MS");
    const { nats, ...rest } = GO;
    const open = load({ ...rest, nats: { credentials: "/own.creds" } }, { env });
    expect(open.config.nats).toMatchObject({ servers: ["nats://shared:4222"], credentials: "/own.creds" });
    expect(load(GO, { env: { NATS_LEADER_SERVERS: "a:1, b:2" } }).config.nats.servers).toEqual([
      "a:1",
      "b:2",
    ]);
    expect(nats.servers).toHaveLength(1);
  });

  test("decides the login method; its secret comes from a file or a variable", () => {
    const secret = join(folder(), "secret");
    writeFileSync(secret, "geheim\n");
    const file = { ...GO, nats: { servers: ["x:1"], user: "u", passwordFile: secret } };
    expect(load(file, { env: { NATS_TOKEN: "t", NATS_CREDS: "/c" } }).nodeOptions).toMatchObject({
      user: "u",
      pass: "geheim",
    });
    expect(load(file, { env: { NATS_TOKEN: "t" } }).nodeOptions.token).toBeUndefined();
    expect(load(file, { env: { NATS_LEADER_PASSWORD: "other" } }).nodeOptions.pass).toBe("other");
    const token = load(file, { env: { NATS_LEADER_TOKEN: "t" } });
    expect(token.nodeOptions).toMatchObject({ token: "t" });
    expect(token.nodeOptions.user).toBeUndefined();
    expect(JSON.stringify([token.config, [...token.origins]])).not.toContain('"t"');
    expect(problemsOf({ ...file, nats: { ...file.nats, passwordFile: "/none" } })).toMatch(
      /nats\.passwordFile "\/none" \(from \S+\) cannot be read/,
    );
  });
});

describe("settings in force", () => {
  function inForce(config: unknown, env: Environment = {}): Record<string, readonly unknown[]> {
    const settings = settingsInForce(load(config, { env }));
    return Object.fromEntries(settings.map(({ path, value, from }) => [path, [value, from]]));
  }

  test("are all settings that have a value, with the source of each", () => {
    const secret = join(folder(), "secret");
    writeFileSync(secret, "geheim");
    const config = { ...GO, nats: { ...GO.nats, user: "me", reconnectWaitMs: 9_000 } };
    const found = inForce(config, { NATS_LEADER_PASSWORD: "geheim", NATS_LEADER_COOLDOWN_MS: "5" });
    expect(found).toMatchObject({
      clusterId: ["my-cluster", expect.stringContaining("cluster.json")],
      "nats.password": ["(hidden)", "NATS_LEADER_PASSWORD"],
      "nats.inboxPrefix": ["_INBOX", "default"],
      "nats.connectTimeoutMs": [2_000, "default"],
      "nats.reconnectWaitMs": [2_750, expect.stringContaining("cluster.json")],
      "election.requestTimeoutMs": [1_000, "default"],
      "election.cooldownMs": [5, "NATS_LEADER_COOLDOWN_MS"],
      "election.crashDetection": ["presence", "default"],
      "election.silenceMs": [2_000, "default"],
      "election.replicas": ["auto", "default"],
      "service.version": ["1.0.0", expect.stringContaining("cluster.json")],
      "history.enabled": [true, "default"],
    });
    expect(JSON.stringify(found)).not.toContain("geheim");
    const silent = {
      NATS_LEADER_CRASH_DETECTION: "silence",
      NATS_LEADER_SILENCE_MS: "700",
    };
    expect(inForce(GO, silent)).toMatchObject({
      "election.crashDetection": ["silence", "NATS_LEADER_CRASH_DETECTION"],
      "election.silenceMs": [700, "NATS_LEADER_SILENCE_MS"],
    });
    const vip = { address: "10.0.0.1", interface: "eth0" };
    expect(inForce({ ...GO, vip })["election.silenceMs"]).toEqual([5_000, "default"]);
    const { service, ...rest } = GO;
    expect(inForce(rest)["service.version"]).toEqual([PACKAGE_VERSION, "default"]);
    expect(service.version).toBe("1.0.0");
  });

  test("contain a login in the URLs of the servers", () => {
    const from = "NATS_LEADER_SERVERS";
    const user = inForce(GO, { [from]: "nats://me:geheim@h" });
    expect(user).toMatchObject({ "nats.user": ["me", from], "nats.password": ["(hidden)", from] });
    const token = inForce(GO, { [from]: "nats://geheim@h" });
    expect(token["nats.token"]).toEqual(["(hidden)", from]);
    expect(token["nats.user"]).toBeUndefined();
  });

  test("switch the micro service off, from the file and from a variable", () => {
    const { service, ...rest } = GO;
    expect(inForce(GO)["service.enabled"]).toEqual([true, "default"]);
    const off = { ...rest, service: { ...service, enabled: false } };
    expect(inForce(off)["service.enabled"]).toEqual([false, expect.stringContaining("cluster.json")]);
    expect(load(off).nodeOptions.service).toBe(false);
    const env = { NATS_LEADER_SERVICE: "off" };
    expect(inForce(GO, env)["service.enabled"]).toEqual([false, "NATS_LEADER_SERVICE"]);
    expect(load(off, { env: { NATS_LEADER_SERVICE: "on" } }).nodeOptions.service).toBe(true);
    expect(problemsOf(GO, { env: { NATS_LEADER_SERVICE: "maybe" } })).toContain(
      'service.enabled "maybe" (from NATS_LEADER_SERVICE) must be true or false',
    );
  });

  test("a variable with our prefix that is not known is named, with the one that was probably meant", () => {
    const env = {
      NATS_LEADER_LEASE_TTL: "5000",
      NATS_LEADER_HISTROY: "off",
      NATS_LEADER_CONFIG: "a.json",
      NATS_LEADER_MONITOR: "http://n1:8222",
      NATS_LEADER_SERVICE_HOST: "10.0.0.1",
      NATS_LEADER_PORT_4222_TCP_ADDR: "10.0.0.1",
      NATS_LEADER_EMPTY: "",
    };
    expect(load(GO, { env }).notes).toEqual([
      "the environment variable NATS_LEADER_LEASE_TTL is not known and has no effect; did you mean NATS_LEADER_LEASE_TTL_MS?",
      "the environment variable NATS_LEADER_HISTROY is not known and has no effect; did you mean NATS_LEADER_HISTORY?",
    ]);
  });

  test("every variable that the sources name is known", () => {
    const sources = fileURLToPath(new URL("../../src", import.meta.url));
    const named = readdirSync(sources, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .flatMap((file) => readFileSync(join(sources, file), "utf8").match(/NATS_LEADER_[A-Z_]*[A-Z]/g) ?? []);
    const env = Object.fromEntries(named.map((name) => [name, "x"]));
    expect(unknownVariables(env)).toEqual([]);
  });
});

describe("the options of a group", () => {
  const GROUP = { id: "orders", resources: ["a", { name: "b", zone: "z1" }], weight: 3, settleMs: 500 };
  const NATS = { servers: ["nats://localhost:4222"] };

  test("come from a flag, else our variable, else the file, and name their source", () => {
    const flags = new Map([["group.weight", { value: 7, flag: "--weight" }]]);
    const env = {
      NATS_LEADER_WEIGHT: "5",
      NATS_LEADER_SETTLE_MS: "900",
      NATS_LEADER_CREATE_BUCKET: "no",
      NATS_LEADER_REJOIN_GRACE_MS: "100",
    };
    const { config, origins } = load({ ...GO, group: GROUP }, { env, flags });
    expect(config.group).toEqual({
      ...GROUP,
      weight: 7,
      settleMs: 900,
      createBucket: false,
      rejoinGraceMs: 100,
    });
    expect([origins.get("group.weight"), origins.get("group.settleMs")]).toEqual([
      "--weight",
      "NATS_LEADER_SETTLE_MS",
    ]);
    const only = { nodeId: "a", nats: NATS };
    const given = (text: string): unknown =>
      load(only, { env: { NATS_LEADER_GROUP: "g", NATS_LEADER_RESOURCES: text }, forCluster: false }).config
        .group;
    expect(given("64")).toEqual({ id: "g", resources: 64 });
    expect(given("a, b,")).toEqual({ id: "g", resources: ["a", "b"] });
  });

  test("are checked like all others, with path, value, source and rule", () => {
    const group = { id: "a.b", resources: 0, weight: -1, zone: "", maxMove: 3, createBucket: "maybe" };
    expect(
      problemsOf({ ...GO, group })
        .split("\n  ")
        .slice(1),
    ).toEqual([
      expect.stringMatching(/^group\.id "a\.b" \(from \S+cluster\.json\) must be 1 to 64 of/),
      expect.stringMatching(
        /^group\.resources 0 \(from \S+\) must be a number of partitions from 1 to 100000/,
      ),
      expect.stringMatching(/^group\.weight -1 \(from \S+\) must be the share relative to other members/),
      expect.stringMatching(/^group\.zone "" \(from \S+\) must be 1 to 64 of/),
      expect.stringMatching(/^group\.createBucket "maybe" \(from \S+\) must be true or false/),
      "group.maxMove is not a setting; did you mean group.maxMoves?",
    ]);
    expect(problemsOf({ ...GO, group: { resources: ["a", "a", ""] } })).toContain(
      '\n  group.resources[1] "a" is on the list twice\n  group.resources[2]',
    );
    expect(problemsOf(GO, { env: { NATS_LEADER_WEIGHT: "much" } })).toContain(
      'group.weight "much" (from NATS_LEADER_WEIGHT) must be the share',
    );
  });

  test("take the place of a cluster id where a command accepts that, and are shown with their defaults", () => {
    const alone = { nodeId: "a", nats: NATS, group: GROUP };
    expect(problemsOf(alone)).toContain("clusterId is missing");
    const loaded = load(alone, { forCluster: "or-group" });
    const shown = settingsInForce(loaded).filter(({ path }) => path.startsWith("group."));
    expect(shown.map(({ path, value, from }) => [path, value, from === "default"])).toEqual([
      ["group.id", "orders", false],
      ["group.resources", GROUP.resources, false],
      ["group.weight", 3, false],
      ["group.settleMs", 500, false],
      ["group.rejoinGraceMs", 0, true],
      ["group.unownedGraceMs", 3_000, true],
      ["group.maxMoves", 16, true],
      ["group.createBucket", true, true],
    ]);
    expect(settingsInForce(load(GO)).filter(({ path }) => path.startsWith("group."))).toEqual([]);
    expect(problemsOf({ nodeId: "a", nats: NATS }, { forCluster: "or-group" })).toContain(
      "clusterId is missing",
    );
  });
});

describe("the command", () => {
  test("config check lists the values and their sources, as text and as JSON", async () => {
    const path = join(folder(), "a.json");
    writeFileSync(path, JSON.stringify(GO));
    const env = { NATS_LEADER_LEASE_TTL_MS: "12000" };
    const text = await cli(["config", "check", "--config", path], { env });
    expect(text.code).toBe(0);
    expect(text.stdout).toMatch(/^election\.leaseTtlMs +12000 +NATS_LEADER_LEASE_TTL_MS$/m);
    expect(text.stdout).toMatch(/^election\.drainTimeoutMs +10000 +default$/m);
    const { value } = await json<{ settings: object[] }>(["config", "check", "--config", path]);
    expect(value).toMatchObject({ ok: true, path });
    expect(value.settings).toContainEqual({ path: "nodeId", value: "node1", from: path });
    expect(value.settings).toContainEqual({ path: "history.maxTerms", value: 1_000, from: "default" });
    writeFileSync(path, JSON.stringify({ ...GO, nodeId: "a b" }));
    const wrong = await json<{ problems: string[] }>(["config", "check", "--config", path]);
    expect(wrong).toMatchObject({ code: 2, value: { ok: false } });
    expect(wrong.value.problems[0]).toMatch(/^nodeId "a b"/);
    const missing = await cli(["config", "check", "--config", "/none.json"]);
    expect(missing).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('create one with "nats-leader init"'),
    });
  });

  test("config check lists all problems, also missing files and a virtual IP that no host can take", async () => {
    const path = join(folder(), "a.json");
    const nats = { servers: ["nats://host:0"], credentials: "/none.creds" };
    writeFileSync(path, JSON.stringify({ ...GO, nodeId: "a b", nats }));
    const many = await json<{ problems: string[] }>(["config", "check", "--config", path]);
    expect(many).toMatchObject({ code: 2, value: { ok: false } });
    expect(many.value.problems).toEqual([
      expect.stringMatching(/^nodeId "a b"/),
      `nats.credentials "/none.creds" (from ${path}): the file does not exist`,
      expect.stringMatching(/^nats\.servers "nats:\/\/host:0"/),
    ]);
    writeFileSync(path, JSON.stringify({ ...GO, vip: { address: "127.0.0.9", interface: "eth0" } }));
    const loopback = await json<{ problems: string[] }>(["config", "check", "--config", path]);
    expect(loopback.value.problems).toEqual([
      `vip.address "127.0.0.9" (from ${path}) is a loopback address, which cannot move between hosts`,
    ]);
  });

  test("a command that connects names the setting, the file and the source of a login that cannot be used", async () => {
    const path = join(folder(), "a.json");
    writeFileSync(path, JSON.stringify({ ...GO, nats: { ...GO.nats, credentials: "/none.creds" } }));
    const inFile = `nats.credentials "/none.creds" (from ${path}): the file does not exist`;
    for (const command of [["status"], ["daemon"], ["promote"], ["groups"]])
      expect(await cli([...command, "--config", path])).toMatchObject({
        code: 2,
        stdout: "",
        stderr: expect.stringContaining(inFile),
      });
    const flag = ["groups", "--creds", folder()];
    expect(await cli(flag)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/nats\.credentials ".*" \(from --creds\): it is a folder/),
    });
    const ca = await cli(["groups"], { env: { NATS_LEADER_TLS_CA: "/none.pem" } });
    expect(ca.stderr).toContain('nats.tls.ca "/none.pem" (from NATS_LEADER_TLS_CA): the file does not exist');
  });

  test("init refuses an option that has no effect without the address", async () => {
    const path = join(folder(), "a.json");
    const args = ["init", "--cluster-id", "c", "--node-id", "a", "--config", path];
    for (const [flag, value] of [
      ["--vip-netmask", "24"],
      ["--vip-interface", "eth0"],
    ] as const)
      expect(await cli([...args, flag, value])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(`${flag} must come with --vip-address`),
      });
    expect(existsSync(path)).toBe(false);
  });

  test("init writes go-cluster's file with our schema, and keeps the file that it replaces", async () => {
    const path = join(folder(), "deep", "cluster.json");
    const args = ["init", "--config", path, "--cluster-id", "billing", "--node-id", "a"];
    expect(await cli(args)).toMatchObject({ code: 0, stdout: `Configuration written to ${path}\n` });
    const { $schema, ...rest } = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    expect($schema).toBe(SCHEMA_URL);
    expect(rest).toEqual({
      clusterId: "billing",
      nodeId: "a",
      nats: { servers: ["nats://localhost:4222"] },
      vip: {},
      election: { leaseTtlMs: 10_000, heartbeatIntervalMs: 3_000 },
    });
    const vip = ["--vip-address", "10.0.0.9", "--vip-netmask", "32", "--vip-interface", "eth1"];
    expect((await json([...args, ...vip])).value).toEqual({ ok: true, path, kept: `${path}.bak` });
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({
      vip: { address: "10.0.0.9", netmask: 32, interface: "eth1" },
    });
    expect(existsSync(`${path}.bak`)).toBe(true);
    expect((await cli([...args, "--vip-address", "10.0.0.9"])).code).toBe(2);
    const empty = ["--vip-address", "10.0.0.9", "--vip-netmask", "", "--vip-interface", "eth1"];
    expect((await cli([...args, ...empty])).stderr).toMatch(/--vip-netmask <bits>' argument '' is invalid/);
  });
});

test("the published JSON Schema equals the generated one", async () => {
  const path = fileURLToPath(new URL("../../schema/config.schema.json", import.meta.url));
  const published = readFileSync(path, "utf8");
  expect(published).toBe(schemaText());
  expect((await json(["config", "schema"])).value).toEqual(JSON.parse(published));
});
