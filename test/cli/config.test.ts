/** The configuration file: go-cluster's format and ours, the sources of values, and the errors. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { schemaText } from "../../scripts/build/generated.ts";
import { type LoadedConfig, type LoadOptions, loadConfig } from "../../src/config/file/load.ts";
import { SCHEMA_URL } from "../../src/config/file/schema.ts";
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
      nats: { servers: "nats://x", password: "geheim" },
      election: { heartbeatIntervalMs: "3000", leaseTTLMs: 4, replicas: 2 },
      leaseTtlMs: 5,
      vip: { address: "10.0.0.300" },
    });
    expect(problems.split("\n  ").slice(1)).toEqual([
      expect.stringMatching(/^clusterId "bil\.ling" \(from \S+cluster\.json\) must be 1 to 64 of/),
      "nodeId is missing; give --node-id, NATS_LEADER_NODE_ID or a file with it; it must be 1 to 64 of the characters A-Z a-z 0-9 _ - (it becomes a token of NATS subjects)",
      expect.stringMatching(/^nats\.servers "nats:\/\/x" \(from \S+\) must be a list of nats:\/\/host:port/),
      "nats.password (hidden) is a secret and must not be in the file: use nats.passwordFile or NATS_LEADER_PASSWORD",
      expect.stringMatching(/^vip\.address "10\.0\.0\.300" \(from \S+\) must be an IPv4 or IPv6 address/),
      expect.stringMatching(/^election\.heartbeatIntervalMs "3000" \(from \S+\) must be a whole number/),
      expect.stringMatching(/^election\.replicas 2 \(from \S+\) must be "auto", 1, 3 or 5/),
      "election.leaseTTLMs is not a setting; did you mean election.leaseTtlMs?",
      "leaseTtlMs is not a setting; did you mean election.leaseTtlMs?",
      "vip.interface is missing; it must be the name of a network interface, because vip.address is set",
    ]);
    expect(problems).not.toContain("geheim");
  });

  test("name the path in the file for a relation between options", () => {
    const problems = problemsOf({ ...GO, election: { leaseTtlMs: 4_000, heartbeatIntervalMs: 2_000 } });
    expect(problems).toMatch(
      /\n {2}election\.heartbeatIntervalMs 2000 must be less than half of leaseTtlMs 4000/,
    );
    const vip = { address: "10.0.0.1", netmask: 33, interface: "eth0" };
    expect(problemsOf({ ...GO, vip })).toContain("vip.netmask 33 must be from 0 to 32");
  });

  test("give line and column of a syntax error", () => {
    expect(problemsOf('{\n  "clusterId": "x",\n}')).toMatch(/cluster\.json:3:1 is not JSON/);
    expect(problemsOf("[]")).toContain("it must be an object");
  });
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
    expect(problemsOf({ ...file, nats: { ...file.nats, passwordFile: "/none" } })).toContain(
      'nats.passwordFile "/none" cannot be read',
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
    const { value } = await json<{ settings: object[] }>(["config", "check", "--config", path]);
    expect(value).toMatchObject({ ok: true, path });
    expect(value.settings).toContainEqual({ path: "nodeId", value: "node1", from: path });
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
      service: { version: "1.0.0" },
    });
    const vip = ["--vip-address", "10.0.0.9", "--vip-netmask", "32", "--vip-interface", "eth1"];
    expect((await json([...args, ...vip])).value).toEqual({ ok: true, path, kept: `${path}.bak` });
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({
      vip: { address: "10.0.0.9", netmask: 32, interface: "eth1" },
    });
    expect(existsSync(`${path}.bak`)).toBe(true);
    expect((await cli([...args, "--vip-address", "10.0.0.9"])).code).toBe(2);
  });
});

test("the published JSON Schema equals the generated one", async () => {
  const path = fileURLToPath(new URL("../../schema/config.schema.json", import.meta.url));
  const published = readFileSync(path, "utf8");
  expect(published).toBe(schemaText());
  expect((await json(["config", "schema"])).value).toEqual(JSON.parse(published));
});
