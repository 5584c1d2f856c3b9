/** A partition between a leader and its server, in one or both directions, for longer than the lease. */
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import type { TcpProxy } from "../../scripts/shared/proxy-types.ts";
import { waitFor, within } from "../../scripts/shared/wait.ts";
import { leaseSpanMs } from "../../src/election/lease.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { type HeardWrite, operatorOf } from "../support/node/operator.ts";
import { overlaps, proxied } from "../support/node/proxy.ts";
import { CALM, QUICK, startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import type { Recorder } from "../support/recorder.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

const MODES = ["lease", "presence"] as const;

interface Scene {
  readonly clusterId: string;
  readonly proxy: TcpProxy;
  /** Leads, connected through the proxy. */
  readonly leader: TestNode;
  /** Follows, connected directly. */
  readonly follower: TestNode;
  readonly heard: Recorder<HeardWrite>;
}

async function scene(crashDetection: "lease" | "presence", options = {}): Promise<Scene> {
  const clusterId = freshId();
  const proxy = await proxied(server);
  const shared = { ...QUICK, clusterId, crashDetection, ...options };
  const leader = await startLeader(proxy, { ...shared, nodeId: "leader" });
  const follower = await startNode(server, { ...shared, nodeId: "follower" });
  await follower.sees(leader);
  const heard = await (await operatorOf(server, clusterId)).hear();
  await heard.next(() => true); // a renewal, just now
  const freshMs = leaseSpanMs(shared.leaseTtlMs) - 0.15 * shared.leaseTtlMs; // half a heartbeat after a renewal
  await waitFor(() => (leader.node.term?.remainingMs ?? 0) > freshMs, { intervalMs: 1 }); // its answer has arrived
  return { clusterId, proxy, leader, follower, heard };
}

const isBy =
  (nodeId: string) =>
  ({ record }: HeardWrite): boolean =>
    record?.["node_id"] === nodeId;

/** When the leader's last renewal was received, and when the follower became leader. */
async function takenOver({ follower, heard }: Scene): Promise<{ lastRenewalMs: number; becameMs: number }> {
  const become = await follower.called("onBecomeLeader");
  const renewals = heard.items.filter(isBy("leader"));
  return { lastRenewalMs: renewals.at(-1)?.atMs ?? Number.NaN, becameMs: become.atMs };
}

describe.each(MODES)("a leader that is cut off (crashDetection: %s)", (crashDetection) => {
  test.each([
    ["both ways", (proxy: TcpProxy) => proxy.blackhole(true)],
    ["for requests only", (proxy: TcpProxy) => proxy.toServer("drop")],
    ["for responses only", (proxy: TcpProxy) => proxy.toClient("drop")],
  ])("%s stops by its own deadline, and no node takes over before W", async (_, cut) => {
    const all = await scene(crashDetection);
    const { leader, follower, proxy, heard } = all;
    const overlapped = overlaps(leader, follower);
    const lastHeardMs = heard.items.at(-1)?.atMs ?? 0;
    const { signal } = leader.node.term ?? {};
    cut(proxy);
    const lost = await leader.next("lose-leadership");
    expect(lost.reason).toBe("expired");
    expect(signal?.aborted).toBe(true);
    // The deadline is S after the last answered renewal, which was sent before the cut.
    expect(performance.now() - lastHeardMs).toBeGreaterThan(600);
    const { lastRenewalMs, becameMs } = await takenOver(all);
    // A tolerance of 20 ms: this test and the follower receive the renewal at different moments.
    expect(becameMs - lastRenewalMs).toBeGreaterThanOrEqual(QUICK.leaseTtlMs - 20);
    expect(overlapped()).toBe(0);
    expect(follower.node.epoch).toBe(2);
    proxy.blackhole(false);
    await leader.sees(follower);
    expect(leader.count("become-leader")).toBe(1);
  });

  test("leads again with a larger epoch after its return, if no other node leads", async () => {
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...QUICK, clusterId: freshId(), nodeId: "a", crashDetection });
    proxy.blackhole(true);
    expect((await a.next("lose-leadership")).reason).toBe("expired");
    expect(a.node.isLeader()).toBe(false);
    proxy.blackhole(false);
    await a.next("become-leader", ({ term }) => term.epoch > 1);
    await a.leads();
  });

  test("can be stopped, and nothing hangs", async () => {
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...QUICK, clusterId: freshId(), nodeId: "a", crashDetection });
    proxy.blackhole(true);
    const down = a.node.stepDown();
    const stopped = a.node.stop();
    await within(stopped, { timeoutMs: 3000 });
    expect(await down).toMatchObject({ epoch: 1, leaseDeleted: false });
    expect(a.node.role).toBe("stopped");
    expect([a.count("become-leader"), a.count("lose-leadership")]).toEqual([1, 1]);
  });

  test("does not resume its term when its late renewals reach the server", async () => {
    const all = await scene(crashDetection);
    const { leader, follower, proxy, clusterId, heard } = all;
    const operator = await operatorOf(server, clusterId);
    proxy.toServer("hold");
    await leader.next("lose-leadership");
    await follower.until(() => follower.node.isLeader());
    proxy.toServer("pass"); // the held renewals arrive together
    await leader.sees(follower);
    const before = heard.items.length;
    await heard.until((items) => items.slice(before).filter(isBy("follower")).length >= 2);
    await follower.leads();
    expect([follower.count("lose-leadership"), leader.count("become-leader")]).toEqual([0, 1]);
    expect(await operator.record()).toMatchObject({ node_id: "follower", epoch: 2 });
  });
});

test("while a leader can renew, although answers to its writes are lost, no node takes over", async () => {
  const all = await scene("lease", { leaseTtlMs: 3000 });
  const { leader, follower, proxy, heard } = all;
  proxy.filterToClient((frame) => !frame.text.includes('"stream":'));
  const cut = heard.items.length;
  await heard.until((items) => items.length >= cut + 2);
  await leader.leads();
  expect(follower.count("become-leader")).toBe(0);
  proxy.filterToClient(null);
  const before = heard.items.length;
  await heard.until((items) => items.length >= before + 2);
  expect([leader.node.epoch, leader.node.role]).toEqual([1, "leader"]);
  expect(leader.count("become-leader")).toBe(1);
});

test("a node on a connection that was passed in can be stopped while nothing gets through", async () => {
  const proxy = await proxied(server);
  const connection = await connect({ servers: proxy.url, pingInterval: 120_000 });
  atEnd(() => connection.close());
  const a = await startLeader({ connection }, { ...QUICK, clusterId: freshId(), nodeId: "a" });
  proxy.blackhole(true);
  await within(a.node.stop(), { timeoutMs: 4000 });
  expect(connection.isClosed()).toBe(false);
  proxy.blackhole(false);
  await connection.flush();
});

describe("a slow network", () => {
  test("whose latency is below the request timeout changes nothing", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    proxy.delay(40);
    const a = await startLeader(proxy, { ...CALM, clusterId, nodeId: "a" });
    const b = await startNode(proxy, { ...CALM, clusterId, nodeId: "b" });
    await b.sees(a);
    const heard = await (await operatorOf(server, clusterId)).hear();
    await heard.until((items) => items.length >= 3);
    expect(a.types()).toEqual(["started", "become-leader", "leader-change"]);
    expect(b.types()).toEqual(["started", "leader-change"]);
  });

  test("whose latency exceeds the span allows no leader, and never two", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { ...QUICK, clusterId, nodeId: "a", crashDetection: "lease" });
    const b = await startNode(proxy, { ...QUICK, clusterId, nodeId: "b", crashDetection: "lease" });
    const overlapped = overlaps(a, b);
    proxy.delay(500);
    await a.next("lose-leadership");
    // Nothing is to happen: each of them would acquire the lease within this time.
    await pause(2 * QUICK.leaseTtlMs);
    expect([a.node.isLeader(), b.node.isLeader()]).toEqual([false, false]);
    proxy.delay(0);
    await Promise.race([a, b].map((node) => node.until(() => node.node.isLeader())));
    expect(overlapped()).toBe(0);
  });
});
