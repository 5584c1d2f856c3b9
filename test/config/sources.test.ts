/** The settings that teams bring along: which source decides, two at a time, and what contradicts itself. */
import { describe, expect, test } from "vitest";
import { findServers } from "../../src/config/file/find-servers.ts";
import { settingsInForce } from "../../src/config/file/in-force.ts";
import type { Environment } from "../../src/config/file/layers.ts";
import { type LoadedConfig, type LoadOptions, loadLayer } from "../../src/config/file/load.ts";
import { monitorUrl } from "../../src/config/file/monitors.ts";
import { layerOf } from "../../src/config/file/read.ts";
import { idOfName } from "../../src/config/node-id.ts";
import { isId } from "../../src/nats/identity.ts";

const FILE = "cluster.json";
const BASE = { clusterId: "billing", nodeId: "a" };
const NATS = { nats: { servers: ["n:1"] } };

interface Given {
  readonly file?: object;
  readonly env?: Environment;
  readonly flags?: Readonly<Record<string, unknown>>;
}

function load({ file = {}, env = {}, flags = {} }: Given, more: Partial<LoadOptions> = {}): LoadedConfig {
  const given = new Map(Object.entries(flags).map(([path, value]) => [path, { value, flag: `--${path}` }]));
  return loadLayer(layerOf(FILE, JSON.stringify(file)), { path: FILE, env, flags: given, ...more });
}

function problemsOf(given: Given): readonly string[] {
  try {
    load(given);
  } catch (error) {
    return (error as Error).message.split("\n  ").slice(1);
  }
  return [];
}

function merged(givens: readonly Given[], base: object): Given {
  return {
    file: Object.assign({}, base, ...givens.map(({ file }) => file)) as object,
    env: Object.assign({}, ...givens.map(({ env }) => env)) as Environment,
    flags: Object.assign({}, ...givens.map(({ flags }) => flags)) as Record<string, unknown>,
  };
}

/** The strongest first. */
const SERVER_SOURCES: readonly (readonly [from: string, given: Given, servers: readonly string[]])[] = [
  ["--nats.servers", { flags: { "nats.servers": ["flag:1"] } }, ["flag:1"]],
  ["NATS_LEADER_SERVERS", { env: { NATS_LEADER_SERVERS: "own:1,own:2" } }, ["own:1", "own:2"]],
  [
    `${FILE}: cluster_urls`,
    { file: { cluster_urls: ["nats://file:1", "file:2"] } },
    ["nats://file:1", "file:2"],
  ],
  ["NATS_URL", { env: { NATS_URL: "url:1, url:2" } }, ["url:1", "url:2"]],
  ["NATS_PORT", { env: { NATS_PORT: "tcp://10.0.0.1:4333" } }, ["10.0.0.1:4333"]],
];

const NODE_SOURCES: readonly (readonly [from: string, given: Given, nodeId: string])[] = [
  ["--nodeId", { flags: { nodeId: "flag" } }, "flag"],
  ["NATS_LEADER_NODE_ID", { env: { NATS_LEADER_NODE_ID: "own" } }, "own"],
  [FILE, { file: { nodeId: "file" } }, "file"],
  ["INSTANCE_ID", { env: { INSTANCE_ID: "instance-7" } }, "instance-7"],
  ["HOSTNAME", { env: { HOSTNAME: "web-1" } }, "web-1"],
];

/** Each source with itself and with each weaker one. */
function pairs<T>(sources: readonly T[]): [T, T][] {
  return sources.flatMap((strong, at) => sources.slice(at).map((weak): [T, T] => [strong, weak]));
}

describe("servers", () => {
  test.each(pairs(SERVER_SOURCES).map(([a, b]) => [a[0], b[0], a, b] as const))(
    "of %s come before those of %s",
    (_strong, _weak, [from, given, servers], [, other]) => {
      const { config, origins } = load(merged([other, given], BASE));
      expect([config.nats.servers, origins.get("nats.servers")]).toEqual([servers, from]);
    },
  );

  test.each<[object, string, readonly string[]]>([
    [{ nats: { servers: "a:1, b:2" } }, FILE, ["a:1", "b:2"]],
    [{ nats: { servers: ["a:1,b:2", "c:3"] } }, FILE, ["a:1", "b:2", "c:3"]],
    [{ nats: { cluster_urls: ["a:1", "b:2"] } }, `${FILE}: nats.cluster_urls`, ["a:1", "b:2"]],
    [{ nats: { url: "a:1,b:2" } }, `${FILE}: nats.url`, ["a:1", "b:2"]],
    [{ url: "nats://a:1,nats://b:2" }, `${FILE}: url`, ["nats://a:1", "nats://b:2"]],
    [{ url: "", cluster_urls: ["a:1"] }, `${FILE}: cluster_urls`, ["a:1"]],
    [{ url: "a:1", cluster_urls: [] }, `${FILE}: url`, ["a:1"]],
    [
      { url: "b:2,a", cluster_urls: ["nats://a:4222", "b:2"] },
      `${FILE}: cluster_urls`,
      ["nats://a:4222", "b:2"],
    ],
  ])("are read from a file with %j", (file, from, servers) => {
    const { config, origins } = load({ file: { ...BASE, ...file } });
    expect([config.nats.servers, origins.get("nats.servers")]).toEqual([servers, from]);
  });

  test.each<[Environment, string, readonly string[]]>([
    [{ NATS_HOST: "n" }, "NATS_HOST", ["n"]],
    [{ NATS_HOST: "n", NATS_PORT: "5222" }, "NATS_HOST and NATS_PORT", ["n:5222"]],
    [{ NATS_HOST: "n:7", NATS_PORT: "7" }, "NATS_HOST", ["n:7"]],
    [{ NATS_HOST: "n1, n2:7", NATS_PORT: "7" }, "NATS_HOST and NATS_PORT", ["n1:7", "n2:7"]],
    [{ NATS_HOST: "[::1]", NATS_PORT: "7" }, "NATS_HOST and NATS_PORT", ["[::1]:7"]],
    [{ NATS_HOST: "nats://n", NATS_PORT: "7" }, "NATS_HOST and NATS_PORT", ["nats://n:7"]],
    [{ NATS_PORT: "5222" }, "NATS_PORT", ["localhost:5222"]],
    [{ NATS_HOST: "n", NATS_PORT: "tcp://10.0.0.1:7" }, "NATS_HOST and NATS_PORT", ["n:7"]],
    [{ NATS_URL: "nats://n:7", NATS_HOST: "n", NATS_PORT: "7" }, "NATS_URL", ["nats://n:7"]],
    [{ NATS_URL: "", NATS_HOST: "n", NATS_PORT: "" }, "NATS_HOST", ["n"]],
  ])("are read from %j", (env, from, servers) => {
    const { config, origins } = load({ file: BASE, env });
    expect([config.nats.servers, origins.get("nats.servers")]).toEqual([servers, from]);
  });

  test.each<[Given, string]>([
    [
      { file: { url: "a", cluster_urls: ["b"] } },
      'cluster_urls ["b"] and url ["a"] name different servers; keep one of them (both from cluster.json)',
    ],
    [
      { file: { nats: { servers: ["a"], url: "b" } } },
      'nats.servers ["a"] and nats.url ["b"] name different servers; keep one of them (both from cluster.json)',
    ],
    [
      { env: { NATS_URL: "nats://me:geheim@u", NATS_HOST: "n" } },
      'NATS_URL ["nats://***@u"] and NATS_HOST ["n"] name different servers; unset one of them, or set NATS_LEADER_SERVERS',
    ],
    [
      { env: { NATS_HOST: "n:1", NATS_PORT: "2" } },
      'NATS_HOST "n:1" and NATS_PORT "2" name different ports; keep one of them',
    ],
    [{ env: { NATS_PORT: "abc" } }, 'NATS_PORT "abc" must be a port from 1 to 65535'],
    [{ env: { NATS_HOST: "n", NATS_PORT: "70000" } }, 'NATS_PORT "70000" must be a port from 1 to 65535'],
  ])("that contradict each other in one source are refused, with both names: %j", (given, problem) => {
    expect(problemsOf({ ...given, file: { ...BASE, ...given.file } })).toEqual([problem]);
    // A stronger source decides, and the contradiction is of no importance.
    const flags = { "nats.servers": ["flag:1"] };
    expect(load({ ...given, flags, file: { ...BASE, ...given.file } }).config.nats.servers).toEqual([
      "flag:1",
    ]);
  });

  test("that are no servers are quoted with the name that the file gives them", () => {
    expect(problemsOf({ file: { ...BASE, cluster_urls: ["ftp://x"] } })).toEqual([
      expect.stringMatching(/^nats\.servers "ftp:\/\/x" \(from cluster\.json: cluster_urls\) must be nats:/),
    ]);
    expect(problemsOf({ file: { ...BASE, url: 7 } })).toEqual([
      expect.stringMatching(/^nats\.servers 7 \(from cluster\.json: url\) must be a list/),
    ]);
    const secret = problemsOf({ file: { ...BASE, url: "nats://me:geheim@h" } });
    expect(secret).toEqual([
      expect.stringMatching(/\(hidden\) \(from cluster\.json: url\), which must not be/),
    ]);
    expect(secret.join()).not.toContain("geheim");
  });

  test("of a program with a file of its own are found in the same order, and its other settings ignored", () => {
    const file = { name: "b.json", settings: { cluster_urls: ["f"], rate: 5, nats: { other: 1 } } };
    const flag = { name: "--servers", value: "flag" };
    const env = { NATS_URL: "u" };
    expect(findServers({ flag, file, env })).toMatchObject({
      servers: ["nats://flag:4222"],
      from: "--servers",
    });
    expect(findServers({ file, env: { ...env, NATS_LEADER_SERVERS: "own" } }).from).toBe(
      "NATS_LEADER_SERVERS",
    );
    expect(findServers({ file, env }).from).toBe("b.json: cluster_urls");
    expect(findServers({ flag: { name: "--servers", value: undefined }, env }).from).toBe("NATS_URL");
    expect(findServers({})).toEqual({ servers: null, from: null, login: {}, problems: [] });
    const login = findServers({ env: { NATS_URL: "nats://me:geheim@h" } });
    expect([login.servers, login.login]).toEqual([["nats://h:4222"], { user: "me", pass: "geheim" }]);
    expect(file.settings.cluster_urls).toEqual(["f"]);
  });
});

describe("the node id", () => {
  const file = { clusterId: "billing", ...NATS };

  test.each(pairs(NODE_SOURCES).map(([a, b]) => [a[0], b[0], a, b] as const))(
    "of %s comes before that of %s",
    (_strong, _weak, [from, given, nodeId], [, other]) => {
      const loaded = load(merged([other, given], file));
      expect([loaded.nodeId, loaded.origins.get("nodeId")]).toEqual([nodeId, from]);
    },
  );

  test("is the name of the host only where a command runs a node, or acts on this one", () => {
    const env = { HOSTNAME: "web-1" };
    expect(load({ file, env }, { forNode: false }).nodeId).toBeNull();
    expect(load({ file, env }, { forNode: false, namedByHost: true }).nodeId).toBe("web-1");
    expect(load({ file, env: { INSTANCE_ID: "7" } }, { forNode: false }).nodeId).toBe("7");
  });

  test("is made of a name that is no id, which a note says", () => {
    const { nodeId, notes } = load({ file, env: { HOSTNAME: "web-1.shop.example" } });
    expect(nodeId).toBe("web-1-shop-example");
    expect(notes).toEqual([
      'nodeId "web-1-shop-example" is made of HOSTNAME "web-1.shop.example", which is not an id',
    ]);
    expect(load({ file, env: { INSTANCE_ID: "7", HOSTNAME: "a.b" } }).notes).toEqual([]);
  });

  test("of long names with one beginning differs", () => {
    const long = "n".repeat(64);
    const ids = [long, `${long}a`, `${long}b`].map(idOfName);
    expect(new Set(ids).size).toBe(3);
    expect(ids.every(isId)).toBe(true);
    expect(ids[0]).toBe(long);
  });
});

describe("monitoring ports", () => {
  test.each<[object, string, readonly string[]]>([
    [{ nats: { ...NATS.nats, monitors: "n1:8222, http://n2:1" } }, FILE, ["n1:8222", "http://n2:1"]],
    [{ ...NATS, nodes: ["http://n1:8222"] }, `${FILE}: nodes`, ["http://n1:8222"]],
    [
      {
        nats: {
          ...NATS.nats,
          nodes: [
            { name: "n1", host: "n1", port: 4222, monitoringPort: 8222 },
            { host: "::1", http_port: 1 },
            { host: "n3" },
          ],
        },
      },
      `${FILE}: nats.nodes`,
      ["http://n1:8222", "http://[::1]:1", "http://n3:8222"],
    ],
  ])("are read from a file with %j", (file, from, monitors) => {
    const loaded = load({ file: { ...BASE, ...file } });
    expect([loaded.config.nats.monitors, loaded.origins.get("nats.monitors")]).toEqual([monitors, from]);
    const env = { NATS_LEADER_MONITOR: "http://own:1" };
    expect(load({ file: { ...BASE, ...file }, env }).config.nats.monitors).toEqual(["http://own:1"]);
    const shown = settingsInForce(loaded).find(({ path }) => path === "nats.monitors");
    expect(shown).toEqual({ path: "nats.monitors", value: monitors, from });
  });

  test("that are none are refused, with their index", () => {
    const nodes = ["n1", "ftp://x", { host: "h", monitoringPort: 1, http_port: 2 }, { name: "n" }, 5];
    expect(problemsOf({ file: { ...BASE, ...NATS, nodes } })).toEqual([
      expect.stringMatching(/^nats\.monitors\[1\] "ftp:\/\/x" \(from cluster\.json: nodes\) must be an http/),
      expect.stringMatching(/^nats\.monitors\[2\] \(an object\)/),
      expect.stringMatching(/^nats\.monitors\[3\] \(an object\)/),
      expect.stringMatching(/^nats\.monitors\[4\] 5 /),
    ]);
    const file = { ...BASE, nodes: ["n1"], nats: { ...NATS.nats, monitors: ["n2"] } };
    expect(problemsOf({ file })).toEqual([
      'nats.monitors ["n2"] and nodes ["n1"] name different monitoring ports; keep one of them (both from cluster.json)',
    ]);
    const secret = problemsOf({ file: { ...BASE, ...NATS, nodes: ["http://me:geheim@n1:8222"] } });
    expect(secret).toEqual([expect.stringMatching(/^nats\.monitors has a URL with a password/)]);
  });

  test.each([
    ["n1", "http://n1:8222/"],
    ["n1:80", "http://n1/"],
    ["[::1]", "http://[::1]:8222/"],
    ["https://n1", "https://n1/"],
    ["ftp://n1", undefined],
    ["http://", undefined],
  ])("%s is %s", (text, url) => {
    expect(monitorUrl(text)?.href).toBe(url);
  });
});
