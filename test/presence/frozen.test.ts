/**
 * A process that is frozen or busy does not see its connection end. With presence another node may lead by then, so the first
 * answer of `isLeader()` must be right.
 */
import { describe, expect, test } from "vitest";
import type { TcpProxy } from "../../scripts/shared/proxy-types.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { freshId } from "../support/fresh-id.ts";
import { type ChildNode, startChildNode } from "../support/node/child-node.ts";
import { operatorOf } from "../support/node/operator.ts";
import { proxied } from "../support/node/proxy.ts";
import { startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Scene {
  readonly clusterId: string;
  readonly proxy: TcpProxy;
  readonly frozen: ChildNode;
  readonly other: TestNode;
}

async function scene(options: object = LONG): Promise<Scene> {
  const clusterId = freshId();
  const proxy = await proxied(server);
  const shared = { ...LONG, ...options, clusterId };
  const frozen = await startChildNode(proxy, { ...shared, nodeId: "frozen" });
  await frozen.next("become");
  const other = await startNode(server, { ...shared, nodeId: "other" });
  await other.until(() => other.node.epoch === 1);
  return { clusterId, proxy, frozen, other };
}

describe("a leader that is frozen while its connection is reset on both sides", () => {
  test("is replaced at once, answers false first, and loses its term to the successor", async () => {
    const { proxy, frozen, other } = await scene();
    frozen.send({ do: "spin", gapMs: 500, limitMs: 20_000 });
    await freeze(frozen);
    await goesBy(600);
    proxy.resetServerSide();
    proxy.resetClientSide();
    expect((await other.becomes()).epoch).toBe(2);
    frozen.child.kill("SIGCONT");
    expect(await frozen.next("spun")).toMatchObject({ after: false });
    expect(await frozen.next("lose-ended")).toMatchObject({ epoch: 1, reason: "superseded" });
    expect(await frozen.status()).toMatchObject({ held: false, role: "follower", epoch: 2 });
    expect(other.node.isLeader()).toBe(true);
    expect(other.count("lose-leadership")).toBe(0);
  });

  test("resumes its term if no other node competes, and no hook is called", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const frozen = await startChildNode(proxy, { ...LONG, clusterId, nodeId: "frozen" });
    await frozen.next("become");
    frozen.send({ do: "spin", gapMs: 500, limitMs: 20_000 });
    await freeze(frozen);
    await goesBy(600);
    proxy.resetServerSide();
    proxy.resetClientSide();
    frozen.child.kill("SIGCONT");
    expect(await frozen.next("spun")).toMatchObject({ after: false });
    await frozen.next("reconnected");
    await waitFor(async () => (await frozen.status()).held);
    expect(await frozen.status()).toMatchObject({ role: "leader", epoch: 1 });
    expect(frozen.types().filter((type) => /become|lose/.test(type))).toEqual(["become"]);
  });
});

test("a leader that is frozen for less than its span keeps its term if its connection is kept", async () => {
  // Both the lease and the promised silence outlast the pause.
  const options = { leaseTtlMs: 10_000, heartbeatIntervalMs: 500, silenceMs: 5_000 };
  const { clusterId, frozen, other } = await scene(options);
  const heard = await (await operatorOf(server, clusterId)).hear();
  frozen.send({ do: "spin", gapMs: 500, limitMs: 20_000 });
  await freeze(frozen);
  await goesBy(1200);
  frozen.child.kill("SIGCONT");
  const spun = await frozen.next("spun");
  // The process cannot have detected a change of the connection yet.
  expect(spun.after).toBe(false);
  const before = heard.items.length;
  await waitFor(async () => (await frozen.status()).held);
  await heard.until((items) => items.length > before + 1);
  expect(await frozen.status()).toMatchObject({ held: true, role: "leader", epoch: 1 });
  // The child reports "started" when start() has returned, which may be after it became leader.
  const asked = ["started", "status", "spinning", "spun"];
  expect(frozen.types().filter((type) => !asked.includes(type))).toEqual(["become"]);
  expect(other.types()).toEqual(["started", "leader-change"]);
});

test("a leader whose event loop was blocked answers false from 250 ms on, and true after a turn of the loop", async () => {
  const clusterId = freshId();
  const a = await startLeader(server, { ...LONG, clusterId, nodeId: "a" });
  const { term } = a.node;
  const seen: { at: number; held: boolean | undefined; leads: boolean }[] = [];
  const begun = performance.now();
  for (let at = 0; at < 400; at = performance.now() - begun) {
    seen.push({ at, held: term?.held, leads: a.node.isLeader() });
  }
  const afterwards = [a.node.isLeader(), term?.held];
  // Microtasks are not a turn of the loop: no socket has been read.
  await Promise.resolve();
  afterwards.push(a.node.isLeader());
  expect(seen[0]).toMatchObject({ held: true, leads: true });
  expect(seen.at(-1)).toMatchObject({ held: false, leads: false });
  expect(seen.filter(({ at }) => at >= 250).every(({ held, leads }) => !held && !leads)).toBe(true);
  // After the first false, it stays false while the block lasts.
  expect(seen.findLastIndex(({ leads }) => leads)).toBeLessThan(seen.findIndex(({ leads }) => !leads));
  expect(afterwards).toEqual([false, false, false]);
  await waitFor(() => a.node.isLeader());
  expect([a.node.term, term?.held, term?.signal.aborted]).toEqual([term, true, false]);
  expect(a.types()).toEqual(["started", "become-leader", "leader-change"]);
  expect(a.hooks.items.map(({ name }) => name)).toEqual(["onBecomeLeader", "onLeaderChange"]);
});

test("a leader whose connection ends while its event loop is blocked is suspended before it can answer true again", async () => {
  const clusterId = freshId();
  const proxy = await proxied(server);
  const child = await startChildNode(proxy, { ...LONG, clusterId, nodeId: "a" });
  await child.next("become");
  const b = await startNode(server, { ...LONG, clusterId, nodeId: "b" });
  await b.until(() => b.node.epoch === 1);
  child.send({ do: "block", ms: 800 });
  await child.next("spinning");
  proxy.refuse(true);
  proxy.cut();
  expect((await b.becomes()).epoch).toBe(2);
  expect(await child.next("spun")).toMatchObject({ before: false, after: false });
  expect(await child.status()).toMatchObject({ held: false });
  proxy.refuse(false);
  expect(await child.next("lose-ended")).toMatchObject({ reason: "superseded" });
});

/** Blocks the event loop of the child. */
async function freeze(node: ChildNode): Promise<void> {
  await node.next("spinning");
  node.child.kill("SIGSTOP");
}

/** Time passes while the process is frozen: there is no event to await. */
function goesBy(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
