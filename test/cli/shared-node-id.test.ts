/** A lease whose holder does not answer, while another process answers with its node id. */
import { headers } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { statusSubject } from "../../src/nats/names.ts";
import { INCARNATION_HEADER } from "../../src/nats/service/twins.ts";
import { configFor, type RunningDaemon, startDaemon } from "../support/cli/run-cli.ts";
import { type HereOutput, runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
const HOLDER = "the-other-process";

interface Shared {
  readonly daemon: RunningDaemon;
  readonly operator: Operator;
  run(...args: string[]): Promise<HereOutput>;
}

/** A daemon of node a, and a lease of node a that another process has. */
async function shared(): Promise<Shared> {
  const clusterId = freshId();
  const operator = await operatorOf(server, clusterId);
  await operator.createBucket(0);
  const record = { node_id: "a", epoch: 7, acquired_at: Date.now(), incarnation: HOLDER, nonce: 1 };
  await operator.put({ ...record, ttl_ms: 60_000 });
  const daemon = await startDaemon(configFor(server, clusterId, "a"));
  const where = ["--cluster-id", clusterId, "--nats-url", server.url, "--timeout", "2s"];
  return { daemon, operator, run: (...args) => runHere([...args, ...where]) };
}

/** The holder looks for others with its id before it freezes, so that the daemon knows of it. */
async function notice({ operator }: Shared): Promise<void> {
  const hdrs = headers();
  hdrs.set(INCARNATION_HEADER, HOLDER);
  const subject = statusSubject(operator.clusterId, "a");
  await operator.connection.request(subject, "", { timeout: 5000, headers: hdrs });
}

const OWN = ["--node-id", "a"];

test("nodes has a row for the silent leader, and says that the id may be used twice", async () => {
  const { run } = await shared();
  const text = await run("nodes");
  expect(text.code).toBe(0);
  expect(text.stdout).toMatch(/^a +follower/m);
  expect(text.stdout).toMatch(/^a +leader, silent +7 /m);
  expect(text.stdout).toContain('a process of node "a" that does not answer has the lease');
  const { nodes } = JSON.parse((await run("nodes", "--json")).stdout) as { nodes: object[] };
  expect(nodes).toHaveLength(2);
  expect(nodes).toContainEqual(expect.objectContaining({ leads: true, instance: null, epoch: 7 }));
});

test("status says that another process has the lease", async () => {
  const { run } = await shared();
  const text = await run("status", ...OWN);
  expect([text.code, text.stdout]).toEqual([0, expect.stringContaining("another process has this node id")]);
  expect(JSON.parse((await run("status", ...OWN, "--json")).stdout)).toMatchObject({
    role: "PASSIVE",
    daemon: "running",
    leader: "a",
    lease: { answers: false, heldByOther: true },
  });
});

test("leave, demote and stepdown exit 4 while the lease of a process that may have ended runs", async () => {
  const { run, daemon } = await shared();
  for (const command of [["leave", ...OWN], ["demote", ...OWN], ["stepdown"], ["stepdown", "a"]]) {
    const { code, stderr } = await run(...command);
    expect([command, code, stderr]).toEqual([
      command,
      4,
      expect.stringContaining("it has ended, or is frozen"),
    ]);
  }
  expect(await daemon.manager.status()).toMatchObject({ competes: true });
});

test("leave, demote and join exit 2 if both processes are known to have run at once; promote exits 1", async () => {
  const both = await shared();
  await notice(both);
  for (const [command, expected] of [
    ["leave", 2],
    ["demote", 2],
    ["join", 2],
    ["promote", 1],
  ] as const) {
    const { code, stderr } = await both.run(command, ...OWN);
    expect([command, code, stderr]).toEqual([
      command,
      expected,
      expect.stringContaining('two processes have node id "a"'),
    ]);
  }
  expect((await both.run("stepdown")).code).toBe(4);
  expect(await both.daemon.manager.status()).toMatchObject({ competes: true });
});
