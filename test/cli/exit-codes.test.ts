/** The exit code and the error of every command: invalid usage, no server, no permission, as text and as JSON. */
import { describe, expect, test } from "vitest";
import { wordsOf } from "../../src/cli/completion/words.ts";
import { fullProgram } from "../../src/cli/program.ts";
import { stepdownSubject } from "../../src/nats/names.ts";
import { runHere } from "../support/cli/run-here.ts";
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

/** They run or write something, or do not connect. */
const OTHERS = ["init", "daemon", "run", "config check"];

test("the table has every command that connects", async () => {
  const connecting = wordsOf(await fullProgram()).filter(({ options }) =>
    options.some(({ long }) => long === "--nats-url"),
  );
  const paths = connecting.map(({ path }) => path).filter((path) => !OTHERS.includes(path));
  expect(new Set(COMMANDS.map(([name]) => name))).toEqual(new Set(paths));
});

function errorIn(stderr: string): Record<string, unknown> {
  expect(stderr.match(/\n/g)).toHaveLength(1);
  return JSON.parse(stderr) as Record<string, unknown>;
}

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

describe("without a permission", () => {
  const CONFIG = `authorization { users: [
    { user: admin, password: secret }
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
      ["reader", ["nodes"], "$SRV.INFO.cluster_billing"],
      ["reader", ["history"], "$JS.API.STREAM.INFO.LEADER_HISTORY_billing"],
      ["reader", ["stepdown"], stepdownSubject("billing", "z")],
      ["reader", ["stepdown", "y"], stepdownSubject("billing", "y")],
    ] as const) {
      const args = [...command, ...NODE, "--nats-url", server.url, "--json"];
      const { code, stderr } = await runHere(args, { ...PASSWORD, NATS_LEADER_USER: user });
      expect([command, code, stderr]).toEqual([command, 4, expect.stringContaining(subject)]);
      expect(errorIn(stderr)).toMatchObject({ ok: false, code: "AUTHORIZATION", exitCode: 4 });
      expect(errorIn(stderr)["message"]).toContain("allow this user to publish to");
    }
  });
});
