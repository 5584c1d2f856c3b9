/** The exit code and the error of every command: invalid usage, no server, no permission, as text and as JSON. */
import type { Msg } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { wordsOf } from "../../src/cli/completion/words.ts";
import { fullProgram } from "../../src/cli/program.ts";
import { newStreamConfig } from "../../src/nats/lease/stream-config.ts";
import { stepdownSubject } from "../../src/nats/names.ts";
import { startService } from "../../src/nats/service/service.ts";
import { atEnd } from "../support/at-end.ts";
import { type HereOutput, runHere } from "../support/cli/run-here.ts";
import { operatorOf } from "../support/node/operator.ts";
import { useNatsServer } from "../support/use-server.ts";

const NODE = ["--cluster-id", "billing", "--node-id", "a"];
const NOWHERE = ["--nats-url", "nats://127.0.0.1:1"];

/** Every command that connects, with the arguments that it needs. */
const COMMANDS: readonly (readonly string[])[] = [
  ["status"],
  ["watch"],
  ["nodes"],
  ["history"],
  ["doctor"],
  ["promote"],
  ["demote"],
  ["transfer", "b"],
  ["stepdown"],
  ["stepdown", "b", "--to", "a"],
  ["join"],
  ["leave"],
  ["create-bucket"],
];

/** Those that need the servers and no cluster. */
const GROUP_COMMANDS: readonly (readonly string[])[] = [
  ["groups"],
  ["group", "show", "orders"],
  ["group", "orders"],
  ["group", "history", "orders"],
  ["group", "plan", "orders", "--without", "a"],
  ["group", "drain", "orders", "a"],
  ["group", "rejoin", "orders", "a"],
  ["group", "move", "orders", "7", "a"],
];

/** They run or write something, or do not connect. */
const OTHERS = ["init", "daemon", "run", "config check", "health", "ui"];

test("the table has every command that connects", async () => {
  const connecting = wordsOf(await fullProgram()).filter(({ options }) =>
    options.some(({ long }) => long === "--nats-url"),
  );
  const paths = connecting.map(({ path }) => path).filter((path) => !OTHERS.includes(path));
  const ofGroups = GROUP_COMMANDS.map(([name, sub]) => (name === "groups" ? name : `${name} ${sub}`));
  const named = [...COMMANDS.map(([name]) => name), ...ofGroups.filter((path) => path !== "group orders")];
  expect(new Set(named)).toEqual(new Set(paths));
});

describe.each(GROUP_COMMANDS)("%s %s %s %s %s", (...command) => {
  const args = command.filter((arg) => arg !== undefined);

  test("exits 2 for an unknown option, a value out of range and an invalid id", async () => {
    const wrong = [
      [...args, "--frobnicate"],
      [...args, "--timeout", "soon"],
      ...(args[0] === "groups" ? [] : [args.map((arg) => (arg === "orders" ? "a b" : arg))]),
    ];
    for (const line of wrong) {
      const text = await runHere(line);
      expect([line, text]).toMatchObject([line, { code: 2, stdout: "" }]);
      const json = await runHere([...line, "--json"]);
      expect([line, json]).toMatchObject([line, { code: 2, stdout: "" }]);
      expect(errorIn(json.stderr)).toMatchObject({ ok: false, code: "INVALID_USAGE", exitCode: 2 });
    }
  });

  test("exits 4 without a server", async () => {
    const text = await runHere([...args, ...NOWHERE]);
    expect([text.code, text.stderr]).toEqual([4, expect.stringContaining("127.0.0.1:1")]);
    const json = await runHere([...args, ...NOWHERE, "--json"]);
    expect(json.code).toBe(4);
    expect(errorIn(json.stderr)).toMatchObject({ ok: false, code: "NO_CONNECTION", exitCode: 4 });
  });
});

function errorIn(stderr: string): Record<string, unknown> {
  expect(stderr.match(/\n/g)).toHaveLength(1);
  return JSON.parse(stderr) as Record<string, unknown>;
}

test("a monitoring port of another protocol, and --self without micro service, are refused", async () => {
  for (const url of ["ftp://x", "nats://n1:8222"]) {
    const variable = await runHere(["doctor", ...NODE, ...NOWHERE], { NATS_LEADER_MONITOR: url });
    expect([variable.code, variable.stderr]).toEqual([
      2,
      expect.stringContaining(`nats.monitors[0] "${url}" (from NATS_LEADER_MONITOR) must be an http`),
    ]);
    const flag = await runHere(["doctor", ...NODE, ...NOWHERE, "--monitor", url]);
    expect([flag.code, flag.stderr]).toEqual([2, expect.stringContaining("Must be http or https URLs")]);
  }
  const self = await runHere(["status", "--self", ...NODE, ...NOWHERE], { NATS_LEADER_SERVICE: "off" });
  expect([self.code, self.stderr]).toEqual([
    2,
    expect.stringContaining("service.enabled false (from NATS_LEADER_SERVICE) must be true for --self"),
  ]);
});

test("a node id in an argument or option is checked as in the configuration", async () => {
  for (const id of ["", "a b", "*", ">", "a.b", "x".repeat(65)]) {
    for (const args of [
      ["transfer", id],
      ["stepdown", id],
      ["stepdown", "--to", id],
    ]) {
      const text = await runHere([...args, ...NODE, ...NOWHERE]);
      expect([args, text.code, text.stderr]).toEqual([args, 2, expect.stringContaining("1 to 64 of the")]);
      const json = await runHere([...args, ...NODE, ...NOWHERE, "--json"]);
      expect([json.code, json.stdout]).toEqual([2, ""]);
      expect(errorIn(json.stderr)).toMatchObject({ code: "INVALID_USAGE", exitCode: 2 });
    }
  }
});

describe.each(COMMANDS)("%s %s %s %s", (...command) => {
  const args = command.filter((arg) => arg !== undefined);

  test("exits 2 for an unknown option and for a value out of range", async () => {
    for (const wrong of [["--frobnicate"], ["--timeout", "soon"], ["--timeout", "25h"]]) {
      const text = await runHere([...args, ...NODE, ...wrong]);
      expect(text).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("error: ") });
      const json = await runHere([...args, ...NODE, ...wrong, "--json"]);
      expect(json).toMatchObject({ code: 2, stdout: "" });
      expect(errorIn(json.stderr)).toMatchObject({ ok: false, code: "INVALID_USAGE", exitCode: 2 });
    }
  });

  test("exits 2 for an invalid configuration, and quotes it", async () => {
    const invalid = [...args, "--cluster-id", "a b", "--node-id", "a"];
    const text = await runHere(invalid);
    expect(text).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining('"a b"') });
    const json = await runHere([...invalid, "--json"]);
    expect(json).toMatchObject({ code: 2, stdout: "" });
    expect(errorIn(json.stderr)).toMatchObject({ ok: false, code: "INVALID_CONFIG", exitCode: 2 });
  });

  test("exits 4 without a server", async () => {
    const text = await runHere([...args, ...NODE, ...NOWHERE]);
    const shown = text.stdout + text.stderr;
    expect([text.code, shown]).toEqual([4, expect.stringContaining("127.0.0.1:1")]);
    const json = await runHere([...args, ...NODE, ...NOWHERE, "--json"]);
    expect(json.code).toBe(4);
    // doctor prints its findings in any case.
    if (args[0] === "doctor") return expect(JSON.parse(json.stdout)).toMatchObject({ exitCode: 4 });
    expect(errorIn(json.stderr)).toMatchObject({ ok: false, code: "NO_CONNECTION", exitCode: 4 });
    if (args[0] === "status") expect(JSON.parse(json.stdout)).toMatchObject({ connected: false });
  });
});

describe("while JetStream is silent", () => {
  const server = useNatsServer({ jetstream: false });
  const DAEMON = {
    role: "PASSIVE",
    leader: "z",
    epoch: 7,
    uptimeMs: 1_000,
    connected: true,
    state: "follower",
  };

  /** JetStream's API without an answer, and the micro service of node a. */
  async function silentJetStream(): Promise<(...args: string[]) => Promise<HereOutput>> {
    const { connection } = await operatorOf(server, "billing");
    connection.subscribe("$JS.API.>", { callback: () => {} });
    const status = { ...DAEMON, nodeId: "a", clusterId: "billing", leaseHeld: false };
    const options = { clusterId: "billing", nodeId: "a", version: "1.0.0" };
    const service = await startService(connection, options, {
      status: () => status as never,
      stepDown: () => Promise.reject(new Error("not the leader")),
    });
    atEnd(() => service.stop());
    return (...args) => runHere([...args, "--nats-url", server.url, "--timeout", "300ms"]);
  }

  test("every command exits 4, and says that there is no answer", async () => {
    const run = await silentJetStream();
    for (const command of COMMANDS) {
      // doctor prints findings.
      if (command[0] === "doctor") continue;
      const { code, stderr } = await run(...command, ...NODE, "--json");
      expect([command, code, errorIn(stderr)]).toEqual([
        command,
        4,
        expect.objectContaining({ ok: false, exitCode: 4, message: expect.stringMatching(/answer/) }),
      ]);
    }
  });

  test("create-bucket exits 4 for a bucket whose stream has no leader", async () => {
    const { connection } = await operatorOf(server, "billing");
    const info = {
      config: newStreamConfig("billing", 3, 0),
      created: new Date().toISOString(),
      state: { messages: 0, bytes: 0, first_seq: 1, last_seq: 0 },
      cluster: { name: "c", raft_group: "S-R3F-x", replicas: [{ name: "n2" }, { name: "n3" }] },
    };
    const callback = (_error: Error | null, message: Msg): void => {
      message.respond(JSON.stringify(info));
    };
    connection.subscribe("$JS.API.STREAM.INFO.KV_KV_CLUSTER_billing", { callback });
    const { code, stderr } = await runHere(["create-bucket", ...NODE, "--nats-url", server.url, "--json"]);
    expect(code).toBe(4);
    expect(errorIn(stderr)).toMatchObject({
      code: "JETSTREAM_UNAVAILABLE",
      message: expect.stringMatching(/none of its 3 replicas leads.*majority of its servers/),
    });
  });

  test("create-bucket exits 4 without JetStream, and says so", async () => {
    for (const [more, expected] of [
      [[], "JetStream is off on this server"],
      [["--domain", "hub"], 'JetStream domain "hub" does not answer'],
    ] as const) {
      const { code, stderr } = await runHere(["create-bucket", ...NODE, "--nats-url", server.url, ...more]);
      expect([code, stderr]).toEqual([4, expect.stringContaining(expected)]);
    }
  });

  test("status shows the daemon, and the leader as unknown; --self exits as the daemon does", async () => {
    const run = await silentJetStream();
    const text = await run("status", ...NODE);
    expect(text).toMatchObject({ code: 4, stderr: expect.stringContaining("cannot read the lease") });
    for (const shown of ["Leader:    unknown", "Epoch:     unknown", "Connected: true"]) {
      expect(text.stdout).toContain(shown);
    }
    expect(text.stdout).toContain("Daemon:    running (follower)");
    const self = await run("status", "--self", ...NODE, "--json");
    expect([self.code, JSON.parse(self.stdout)]).toEqual([
      0,
      expect.objectContaining({ daemon: "running", leader: "", leaderKnown: false, lease: null }),
    ]);
    const other = await run("status", "--self", "--cluster-id", "billing", "--node-id", "b");
    expect([other.code, other.stdout]).toEqual([1, expect.stringContaining("Daemon:    not running")]);
  });

  test("nodes shows the nodes that answer", async () => {
    const run = await silentJetStream();
    const { code, stdout } = await run("nodes", ...NODE, "--json");
    expect([code, JSON.parse(stdout)]).toEqual([
      4,
      expect.objectContaining({
        leader: "",
        error: expect.stringContaining("cannot read the lease"),
        nodes: [expect.objectContaining({ nodeId: "a", leads: false, state: "follower" })],
      }),
    ]);
  });
});

describe("without a permission", () => {
  const CONFIG = `authorization { users: [
    { user: admin, password: secret }
    { user: observer, password: secret, permissions: { publish: [
      "$JS.API.STREAM.INFO.KV_KV_CLUSTER_billing", "$JS.API.STREAM.MSG.GET.KV_KV_CLUSTER_billing"
    ] } }
    { user: mute, password: secret, permissions: { publish: { deny: ">" } } }
    { user: reader, password: secret, permissions: { publish: [
      "$JS.API.STREAM.INFO.KV_KV_CLUSTER_billing", "$JS.API.STREAM.MSG.GET.KV_KV_CLUSTER_billing", "cluster_billing.status.*"
    ] } }
  ] }`;
  const PASSWORD = { NATS_LEADER_PASSWORD: "secret" };
  const server = useNatsServer({ config: CONFIG });

  test("every command exits 4 and names the subject to allow", async () => {
    const operator = await operatorOf(server, "billing", { user: "admin", pass: "secret" });
    await operator.createBucket(0);
    await operator.put({
      node_id: "z",
      epoch: 7,
      acquired_at: 1_000,
      incarnation: "z1",
      nonce: 1,
      ttl_ms: 60_000,
    });
    for (const [user, command, subject] of [
      ["mute", ["status"], "$JS.API.STREAM.INFO.KV_KV_CLUSTER_billing"],
      ["mute", ["watch"], "$JS.API.STREAM.INFO.KV_KV_CLUSTER_billing"],
      ["mute", ["nodes"], "$JS.API.STREAM.INFO.KV_KV_CLUSTER_billing"],
      ["mute", ["demote"], "$JS.API.STREAM.INFO.KV_KV_CLUSTER_billing"],
      ["mute", ["promote"], "cluster_billing.status.a"],
      ["mute", ["join"], "cluster_billing.status.a"],
      ["mute", ["leave"], "cluster_billing.status.a"],
      ["observer", ["status"], "cluster_billing.status.a"],
      ["observer", ["status", "--self"], "cluster_billing.status.a"],
      ["reader", ["nodes"], "$SRV.INFO.cluster_billing"],
      ["reader", ["history"], "$JS.API.STREAM.INFO.LEADER_HISTORY_billing"],
      ["reader", ["stepdown"], stepdownSubject("billing", "z")],
      ["reader", ["stepdown", "y"], stepdownSubject("billing", "y")],
    ] as const) {
      const args = [...command, ...NODE, "--nats-url", server.url, "--json"];
      const { code, stderr } = await runHere(args, { ...PASSWORD, NATS_LEADER_USER: user });
      expect([command, code, stderr]).toEqual([command, 4, expect.stringContaining(subject)]);
      expect(errorIn(stderr)).toMatchObject({ ok: false, code: "AUTHORIZATION", exitCode: 4 });
      expect(errorIn(stderr)["message"]).toMatch(
        /allow this user to publish to .* \("nats-leader permissions operator --cluster-id billing" prints all that this takes\)$/,
      );
    }
  });

  test("status of a user that may not ask the nodes shows them as unknown, not as dead", async () => {
    const env = { ...PASSWORD, NATS_LEADER_USER: "observer" };
    const where = ["--cluster-id", "billing", "--nats-url", server.url];
    const own = await runHere(["status", ...where, "--node-id", "z"], env);
    expect(own).toMatchObject({ code: 4, stderr: expect.stringContaining("cluster_billing.status.z") });
    expect(own.stdout).toContain("Leader:    z");
    expect(own.stdout).toContain("Daemon:    unknown");
    const cluster = await runHere(["status", ...where], env);
    expect(cluster).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("this user may not ask node z"),
    });
    const { stdout } = await runHere(["status", ...where, "--json"], env);
    expect(JSON.parse(stdout)).toMatchObject({ leader: "z", lease: { holder: "z", answers: null } });
  });
});
