import { expect, test } from "vitest";
import { blockOf } from "../../test/support/docs/blocks.ts";
import { ConfigError, readSettings, type Settings } from "./config.ts";

type Env = Record<string, string>;

function read(argv: readonly string[], env: Env = {}, file: unknown = undefined): Settings {
  const withFile = file === undefined ? argv : [...argv, "--config", "bridge.json"];
  return readSettings(withFile, env, () => (typeof file === "string" ? file : JSON.stringify(file)));
}

function problemsOf(argv: readonly string[], env: Env = {}, file: unknown = undefined): readonly string[] {
  try {
    read(argv, env, file);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test("without anything the bridge has three instances, six partitions and servers of its own", () => {
  const { config, serversFrom } = read([]);
  expect(config).toMatchObject({ instances: 3, partitions: 6, servers: null, postgres: null, sink: "auto" });
  expect(serversFrom).toBeNull();
});

test.each<[string, string[], Env, unknown, string[], string]>([
  [
    "a list",
    [],
    {},
    { cluster_urls: ["nats://a:4222", "b"] },
    ["nats://a:4222", "nats://b:4222"],
    "bridge.json: cluster_urls",
  ],
  [
    "url, comma separated",
    [],
    {},
    { url: "nats://a:1, tls://b:2" },
    ["nats://a:1", "tls://b:2"],
    "bridge.json: url",
  ],
  [
    "NATS_HOST and NATS_PORT",
    [],
    { NATS_HOST: "n", NATS_PORT: "5222" },
    undefined,
    ["nats://n:5222"],
    "NATS_HOST and NATS_PORT",
  ],
  ["NATS_HOST alone", [], { NATS_HOST: "n" }, undefined, ["nats://n:4222"], "NATS_HOST"],
  ["NATS_HOST with a port", [], { NATS_HOST: "n:7" }, undefined, ["nats://n:7"], "NATS_HOST"],
  ["NATS_PORT alone", [], { NATS_PORT: "5222" }, undefined, ["nats://localhost:5222"], "NATS_PORT"],
  [
    "NATS_PORT of Kubernetes",
    [],
    { NATS_PORT: "tcp://10.0.0.1:4222" },
    undefined,
    ["nats://10.0.0.1:4222"],
    "NATS_PORT",
  ],
  [
    "NATS_URL before the NATS_PORT of Kubernetes",
    [],
    { NATS_URL: "u", NATS_PORT: "tcp://10.0.0.1:4222" },
    undefined,
    ["nats://u:4222"],
    "NATS_URL",
  ],
  [
    "the file before the environment",
    [],
    { NATS_HOST: "n" },
    { url: "f" },
    ["nats://f:4222"],
    "bridge.json: url",
  ],
  [
    "the flag before the file",
    ["--servers", "a,b:1"],
    { NATS_HOST: "n" },
    { url: "f" },
    ["nats://a:4222", "nats://b:1"],
    "--servers",
  ],
  ["an IPv6 address", ["--servers", "[::1]:4222"], {}, undefined, ["nats://[::1]:4222"], "--servers"],
])("servers are named by %s", (_how, argv, env, file, servers, from) => {
  expect(read(argv, env, file)).toMatchObject({ config: { servers }, serversFrom: from });
});

test("the file of README.md is accepted", () => {
  const { code } = blockOf("examples/data-bridge/README.md", "{");
  const { config, serversFrom } = read([], { NATS_PASSWORD: "p" }, code);
  expect(config.servers).toEqual(["nats://n1:4222", "nats://n2:4222", "nats://n3:4222"]);
  expect(serversFrom).toBe("bridge.json: cluster_urls");
});

test("numbers and names come from flags before the file", () => {
  const file = { instances: 4, rate: 10, stream: "ORDERS", maxPending: 50 };
  const { config } = read(["--instances", "5"], {}, file);
  expect(config).toMatchObject({ instances: 5, rate: 10, stream: "ORDERS", maxPending: 50 });
});

test("a login comes from the file, and its password from the environment", () => {
  expect(read([], { NATS_PASSWORD: "p" }, { user: "u" }).config.login).toMatchObject({
    user: "u",
    pass: "p",
  });
  expect(read([], { NATS_TOKEN: "t" }).config.login).toMatchObject({ token: "t" });
  const empty = { NATS_TOKEN: "", NATS_PASSWORD: "", NATS_URL: "", NATS_HOST: "", NATS_PORT: "" };
  expect(read([], empty)).toMatchObject({ config: { login: {}, servers: null } });
  expect(read([], empty).config.login.token).toBeUndefined();
});

test.each<[string, string[], Env, unknown, RegExp]>([
  [
    "both lists",
    [],
    {},
    { url: "a", cluster_urls: ["b"] },
    /^cluster_urls \["b"\] and url \["a"\] name different servers; keep one of them \(both from bridge\.json\)$/,
  ],
  [
    "two variables",
    [],
    { NATS_URL: "u", NATS_HOST: "n" },
    undefined,
    /^NATS_URL \["u"\] and NATS_HOST \["n"\] name different servers; unset one of them/,
  ],
  [
    "two ports",
    [],
    { NATS_HOST: "n:7", NATS_PORT: "8" },
    undefined,
    /^NATS_HOST "n:7" and NATS_PORT "8" name different ports/,
  ],
  ["a list that is none", [], {}, { cluster_urls: 7 }, /^bridge\.json: cluster_urls must name servers/],
  ["a list of numbers", [], {}, { cluster_urls: [1] }, /^bridge\.json: cluster_urls must name servers/],
  ["an empty list", [], {}, { cluster_urls: [] }, /^bridge\.json: cluster_urls must name servers/],
  ["an empty --servers", ["--servers", " , "], {}, undefined, /^--servers must name servers/],
  [
    "a port that is none",
    [],
    { NATS_HOST: "n", NATS_PORT: "x" },
    undefined,
    /NATS_PORT "x" must be a port from 1 to 65535/,
  ],
  ["a port out of range", ["--servers", "a:70000"], {}, undefined, /must be nats:\/\/host:port/],
  ["another scheme", ["--servers", "http://a:80"], {}, undefined, /must be nats:\/\/host:port/],
  [
    "a number that is none",
    ["--instances", "three"],
    {},
    undefined,
    /--instances .* whole number from 0 to 64/,
  ],
  ["a number out of range", [], {}, { partitions: 0 }, /bridge.json: partitions .* from 1 to 1000/],
  ["a number as text", [], {}, { rate: "600" }, /bridge.json: rate .* whole number/],
  [
    "an unknown setting",
    [],
    {},
    { clusterUrls: [] },
    /"clusterUrls" is no setting; there are url, cluster_urls/,
  ],
  ["an unknown flag", ["--instance", "3"], {}, undefined, /--instance/],
  ["a file that is no JSON", [], {}, "url: a", /bridge.json is not JSON$/],
  ["a file that is a list", [], {}, [], /must be an object/],
  ["a user without a password", [], {}, { user: "u" }, /user and password go together/],
  ["two logins", [], { NATS_TOKEN: "t" }, { creds: "c" }, /exclude each other/],
  ["another sink", ["--sink", "mysql"], {}, undefined, /sink "mysql" must be auto, postgres, ledger/],
  ["a database that is none", ["--postgres", "mysql://a"], {}, undefined, /postgres must be postgres:\/\//],
  ["a stream with a dot", ["--stream", "a.b"], {}, undefined, /stream "a.b" must be/],
  ["two scripts", ["--check", "--script", "stop"], {}, undefined, /exclude each other/],
])("a clear problem for %s", (_what, argv, env, file, problem) => {
  expect(problemsOf(argv, env, file)).toEqual([expect.stringMatching(problem)]);
});

test("a file that cannot be read is one problem, and names the reason", () => {
  const failing = (): string => {
    throw new Error("ENOENT: no such file");
  };
  expect(() => readSettings(["--config", "x.json"], {}, failing)).toThrow(
    /--config x.json cannot be read: ENOENT/,
  );
});

test("no problem shows a password", () => {
  const argv = ["--servers", "nats://me:s3cret@a:1,b@c@d:s3cret@:::", "--postgres", "x://u:s3cret@h"];
  const problems = problemsOf(argv, {}, '{"password": "s3cret"').join("\n");
  expect(problems).toMatch(/has a login/);
  expect(problems).not.toContain("s3cret");
});

test("all problems are reported together", () => {
  expect(problemsOf(["--instances", "x", "--rate", "-", "--sink", "?"])).toHaveLength(3);
});
