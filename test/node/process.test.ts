/** Faults of processes: killed, frozen, asked to end, blocked. */
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { freshId } from "../support/fresh-id.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { operatorOf } from "../support/node/operator.ts";
import { proxied } from "../support/node/proxy.ts";
import { type HookCall, QUICK, startNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

const MODES = ["lease", "presence"] as const;

describe.each(MODES)("a leader frozen by SIGSTOP (crashDetection: %s)", (crashDetection) => {
  test("past its span does not lead at its first isLeader() after SIGCONT, before any timer ran", async () => {
    const clusterId = freshId();
    const leaseTtlMs = 2000;
    const frozen = await startChildNode(server, { leaseTtlMs, clusterId, nodeId: "frozen", crashDetection });
    await frozen.next("become");
    const other = await startNode(server, { leaseTtlMs, clusterId, nodeId: "other", crashDetection });
    frozen.send({ do: "spin", gapMs: 500, limitMs: 5000 });
    await frozen.next("spinning");
    frozen.child.kill("SIGSTOP");
    expect((await other.becomes()).epoch).toBe(2);
    frozen.child.kill("SIGCONT");
    const spun = await frozen.next("spun");
    expect(spun.after).toBe(false);
    expect(spun.gapMs).toBeGreaterThan(leaseTtlMs - 700);
    // With presence a node that blocks its event loop for long is not held.
    if (crashDetection === "lease") expect(spun.before).toBe(true);
    expect(await frozen.next("lose-ended")).toMatchObject({ epoch: 1, reason: "expired" });
    expect(await frozen.status()).toMatchObject({ held: false, role: "follower" });
    await other.leads();
    expect(other.count("lose-leadership")).toBe(0);
  });

  test("shorter than its span keeps its term, and no hook is called", async () => {
    const clusterId = freshId();
    const shared = { leaseTtlMs: 5000, heartbeatIntervalMs: 500, clusterId, crashDetection } as const;
    const frozen = await startChildNode(server, { ...shared, nodeId: "frozen" });
    await frozen.next("become");
    const other = await startNode(server, { ...shared, nodeId: "other" });
    await other.until(() => other.node.epoch === 1);
    frozen.child.kill("SIGSTOP");
    // How long it is frozen.
    await pause(1000);
    frozen.child.kill("SIGCONT");
    const renewals = await (await operatorOf(server, clusterId)).hear();
    await renewals.until((items) => items.length >= 2);
    expect(await frozen.leads()).toMatchObject({ role: "leader", epoch: 1 });
    expect(frozen.hooks()).toEqual(["become"]);
    expect(other.types()).toEqual(["started", "leader-change"]);
  });

  test("and cut off does not lead at its first isLeader(), although its span is not over", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const leaseTtlMs = 5000;
    const frozen = await startChildNode(proxy, { leaseTtlMs, clusterId, nodeId: "frozen", crashDetection });
    await frozen.next("become");
    const other = await startNode(server, { leaseTtlMs, clusterId, nodeId: "other", crashDetection });
    await other.until(() => other.node.epoch === 1);
    frozen.send({ do: "spin", gapMs: 500, limitMs: 3000 });
    await frozen.next("spinning");
    frozen.child.kill("SIGSTOP");
    proxy.cut();
    if (crashDetection === "presence") {
      // The server saw the connection close, so the follower does not wait for the lease.
      expect((await other.becomes(2000)).epoch).toBe(2);
    }
    // It is frozen for longer than the gap that it looks for.
    await pause(600);
    frozen.child.kill("SIGCONT");
    const spun = await frozen.next("spun");
    expect(spun.gapMs).toBeLessThan(leaseTtlMs - 1000);
    if (crashDetection === "presence") {
      expect(spun.after).toBe(false);
      expect(await frozen.next("lose-ended")).toMatchObject({ epoch: 1, reason: "superseded" });
      await other.leads();
    } else {
      // Without presence no node takes over before the lease expires, so the term goes on.
      expect(spun).toMatchObject({ before: true, after: true });
      await frozen.next("reconnected");
      expect((await frozen.leads()).epoch).toBe(1);
      expect(other.count("become-leader")).toBe(0);
    }
  });
});

describe("a leader killed by SIGKILL", () => {
  test("is replaced without waiting for its lease when it has a presence", async () => {
    const clusterId = freshId();
    const dead = await startChildNode(server, { ...LONG, clusterId, nodeId: "dead" });
    await dead.next("become");
    const other = await startNode(server, { ...LONG, clusterId, nodeId: "other" });
    await other.until(() => other.node.epoch === 1);
    dead.child.kill("SIGKILL");
    expect((await other.becomes()).epoch).toBe(2);
  });

  test("is replaced after its lease when it has none, and the epoch of a new node is larger, too", async () => {
    const clusterId = freshId();
    const dead = await startChildNode(server, {
      ...QUICK,
      clusterId,
      nodeId: "dead",
      crashDetection: "lease",
    });
    await dead.next("become");
    const watcher = await startNode(server, { ...QUICK, clusterId, nodeId: "watcher", observer: true });
    await watcher.until(() => watcher.node.epoch === 1);
    dead.child.kill("SIGKILL");
    await dead.child.exit;
    const before = performance.now();
    const fresh = await startNode(server, { ...QUICK, clusterId, nodeId: "fresh" });
    expect((await fresh.becomes()).epoch).toBe(2);
    expect(performance.now() - before).toBeGreaterThanOrEqual(QUICK.leaseTtlMs);
    await watcher.sees(fresh);
    const seen = watcher.calls("onLeaderChange").map((call) => call.leader?.nodeId ?? null);
    expect(seen.filter((id) => id !== null)).toEqual(["dead", "fresh"]);
  });
});

/** When a hook was called in this process, on the clock whose times a child reports. */
function nsOf({ atMs }: HookCall): bigint {
  return process.hrtime.bigint() - BigInt(Math.round((performance.now() - atMs) * 1e6));
}

describe("a leader that is asked to end by SIGTERM", () => {
  test.each([0, 700])(
    "hands over: the next onBecomeLeader starts after its onLoseLeadership of %d ms has resolved",
    async (loseTakesMs) => {
      const clusterId = freshId();
      const old = await startChildNode(server, { ...LONG, clusterId, nodeId: "old" }, { loseTakesMs });
      await old.next("become");
      const next = await startNode(server, { ...LONG, clusterId, nodeId: "next" });
      await next.until(() => next.node.epoch === 1);
      old.child.kill("SIGTERM");
      const begins = await old.next("lose-begins");
      const ended = await old.next("lose-ended");
      const become = await next.called("onBecomeLeader");
      expect(ended).toMatchObject({ epoch: 1, reason: "stopped" });
      expect(become.term?.epoch).toBe(2);
      expect(Number(BigInt(ended.atNs) - BigInt(begins.atNs)) / 1e6).toBeGreaterThanOrEqual(loseTakesMs - 2);
      expect(nsOf(become)).toBeGreaterThan(BigInt(ended.atNs));
      await old.next("stopped");
      expect(await old.child.exit).toEqual({ code: 0, signal: null });
    },
  );

  test("keeps its lease while onLoseLeadership takes longer than the TTL", async () => {
    const clusterId = freshId();
    const old = await startChildNode(server, { ...QUICK, clusterId, nodeId: "old" }, { loseTakesMs: 2500 });
    await old.next("become");
    const other = await startNode(server, { ...QUICK, clusterId, nodeId: "other" });
    await other.until(() => other.node.epoch === 1);
    old.child.kill("SIGTERM");
    const become = await other.called("onBecomeLeader");
    const ended = await old.next("lose-ended");
    expect(nsOf(become)).toBeGreaterThan(BigInt(ended.atNs));
    expect(become.term?.epoch).toBe(2);
    await old.child.exit;
  });
});

test("a leader whose event loop is blocked past its span does not lead at its next isLeader(), and warns afterwards", async () => {
  const clusterId = freshId();
  const blocked = await startChildNode(server, {
    ...QUICK,
    clusterId,
    nodeId: "blocked",
    crashDetection: "lease",
  });
  await blocked.next("become");
  const other = await startNode(server, { ...QUICK, clusterId, nodeId: "other" });
  // On a busy machine a term of this length can end and be followed by another one of this node.
  await other.until(() => other.node.leader?.nodeId === "blocked");
  const { epoch } = await blocked.leads();
  blocked.send({ do: "block", ms: 1500 });
  await blocked.next("spinning");
  const next = await other.next("become-leader", ({ term }) => term.epoch > epoch);
  expect(next.term.epoch).toBe(epoch + 1);
  expect(await blocked.next("spun")).toMatchObject({ before: false, after: false });
  const lost = await waitFor(() =>
    blocked.child.lines.find((line) => line.type === "lose-ended" && line.epoch === epoch),
  );
  expect(lost).toMatchObject({ reason: "expired" });
  expect((await blocked.status()).held).toBe(false);
});

test.skipIf(process.platform !== "linux")(
  "a leader whose log is not read keeps renewing, and stops when it is asked to",
  async () => {
    const clusterId = freshId();
    const leader = await startChildNode(
      server,
      { ...QUICK, clusterId, nodeId: "a", crashDetection: "lease" },
      { floodsLogWithoutReader: true },
    );
    await leader.next("become");
    const renewals = await (await operatorOf(server, clusterId)).hear();
    await renewals.until((items) => items.length >= 4);
    expect(await leader.leads()).toMatchObject({ epoch: 1 });
    expect(leader.hooks()).toEqual(["become"]);
    leader.child.kill("SIGTERM");
    await leader.next("stopped");
    expect(await leader.child.exit).toEqual({ code: 0, signal: null });
  },
);
