/** Nothing grows with the number of terms, calls, or nodes on a shared connection. Counts what is kept; measures no time and no heap. */
import { getEventListeners } from "node:events";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test, vi } from "vitest";
import { keptBy, survivors as survivorsOf } from "../../scripts/shared/kept.ts";
import { FencedStream } from "../../src/fencing.ts";
import { Node, type NodeOptions, type Term } from "../../src/index.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { oldest } from "../support/node/presence.ts";
import { pendingTimers } from "../support/timers.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

function survivors(refs: readonly WeakRef<object>[]): Promise<number> {
  // Forgets timers that have fired: the stacks in their record keep what set them.
  pendingTimers();
  return survivorsOf(refs);
}

async function connected(): Promise<NatsConnection> {
  const connection = await connect({
    servers: server.url,
    pingInterval: 1000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
  });
  atEnd(() => connection.close());
  return connection;
}

/** Without the recorder of the other tests, which keeps everything. */
async function started(options: Partial<NodeOptions> = {}): Promise<Node> {
  const node = new Node({
    clusterId: freshId(),
    nodeId: "a",
    servers: server.url,
    logger: false,
    ...options,
  } as NodeOptions);
  atEnd(() => node.stop());
  await node.start();
  return node;
}

describe("a shared connection", () => {
  /** In a function of its own: a variable in the frame of the test would keep the node. */
  async function startAndStop(connection: NatsConnection): Promise<WeakRef<Node>> {
    const node = new Node({ clusterId: freshId(), nodeId: "a", connection, logger: false });
    await node.start();
    await node.stop();
    return new WeakRef(node);
  }

  test("keeps nothing of nodes that have stopped", async () => {
    const connection = await connected();
    const closed = vi.spyOn(connection, "closed");
    await startAndStop(connection);
    const before = keptBy(connection);
    const stopped: WeakRef<Node>[] = [];
    for (let i = 0; i < 30; i++) stopped.push(await startAndStop(connection));
    expect(keptBy(connection)).toEqual(before);
    expect(before.statusLoops).toBe(0);
    // A reaction on this promise cannot be removed.
    expect(closed).toHaveBeenCalledTimes(1);
    expect(await survivors(stopped)).toBe(0);
  });

  test("has one status loop, however many nodes use it", async () => {
    const connection = await connected();
    const nodes = await Promise.all(
      Array.from({ length: 10 }, () => started({ connection, servers: undefined })),
    );
    expect(keptBy(connection).statusLoops).toBe(1);
    await Promise.all(nodes.map((node) => node.stop()));
    expect(keptBy(connection).statusLoops).toBe(0);
  });

  test.skipIf(oldest)(
    "keeps nothing of fenced streams that are closed (needs nats-server 2.11)",
    async () => {
      const connection = await connected();
      const stream = freshId("L");
      const open = async (): Promise<WeakRef<FencedStream>> => {
        const fenced = await FencedStream.connect(connection, { stream, subjects: [`${stream}.>`] });
        fenced.close();
        return new WeakRef(fenced);
      };
      await open();
      const before = keptBy(connection);
      const closed: WeakRef<FencedStream>[] = [];
      for (let i = 0; i < 20; i++) closed.push(await open());
      expect(keptBy(connection)).toEqual(before);
      expect(before.statusLoops).toBe(0);
      expect(await survivors(closed)).toBe(0);
    },
  );
});

describe("calls of a node", () => {
  test("keep no iterator of events that the application has dropped, and every one that is waited for", async () => {
    const node = await started();
    await node.campaign();
    const signal = new AbortController().signal;
    const dropped: WeakRef<object>[] = [];
    const drop = async (): Promise<void> => {
      const events = node.events({ signal });
      const next = events.next();
      await node.stepDown();
      await next;
      await node.rejoin();
      await node.campaign();
      dropped.push(new WeakRef(events));
    };
    for (let i = 0; i < 5; i++) await drop();
    const waited = node.events().next();
    expect(await survivors(dropped)).toBe(0);
    await node.stop();
    expect((await waited).done).toBe(false);
  });

  test("leave nothing when they have ended: campaign(), runWhileLeader(), events()", async () => {
    const clusterId = freshId();
    const leader = await started({ clusterId });
    await leader.campaign();
    const follower = await started({ clusterId, nodeId: "b" });
    const application = new AbortController();
    const calls: WeakRef<AbortSignal>[] = [];
    const one = async (): Promise<void> => {
      const own = new AbortController();
      calls.push(new WeakRef(own.signal));
      const waits = [
        follower.campaign({ signal: own.signal }).catch(() => {}),
        follower.campaign({ signal: application.signal, timeoutMs: 1 }).catch(() => {}),
        follower.runWhileLeader(() => {}, { signal: own.signal }),
      ];
      own.abort();
      await Promise.all(waits);
      await follower.events({ signal: application.signal }).return?.();
    };
    for (let i = 0; i < 200; i++) await one();
    expect(getEventListeners(application.signal, "abort")).toEqual([]);
    expect(await survivors(calls)).toBe(0);
  });

  test("leave no listener on a signal that outlives the nodes", async () => {
    const application = new AbortController();
    const { signal } = application;
    for (let i = 0; i < 5; i++) {
      const node = new Node({ clusterId: freshId(), nodeId: "a", servers: server.url, logger: false });
      await node.start({ signal });
      const work = node.runWhileLeader(() => {}, { signal });
      const term = await node.campaign({ signal });
      await term.untilHeld({ signal });
      await node.stop({ signal });
      await work;
    }
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("keep no term that is over", async () => {
    const node = await started({ cooldownMs: 0 });
    const work = node.runWhileLeader(() => {});
    const terms: WeakRef<Term>[] = [];
    const lead = async (): Promise<void> => {
      terms.push(new WeakRef(await node.campaign()));
      await node.stepDown();
    };
    for (let i = 0; i < 50; i++) await lead();
    await node.campaign();
    expect(await survivors(terms)).toBe(0);
    await node.stop();
    await work;
  });
});

describe("FencedStream.open()", () => {
  test.skipIf(oldest)(
    "of one term returns one writer, and leaves no trace on a signal that outlives it (needs nats-server 2.11)",
    async () => {
      const connection = await connected();
      const stream = freshId("L");
      const fenced = await FencedStream.connect(connection, { stream, subjects: [`${stream}.>`] });
      atEnd(() => fenced.close());
      const { signal } = new AbortController();
      const any = vi.spyOn(AbortSignal, "any");
      const term = { epoch: 1, nodeId: "a", incarnation: "i" };
      const writer = await fenced.open(term, { signal });
      for (let i = 0; i < 5; i++) expect(await fenced.open(term, { signal })).toBe(writer);
      expect(await fenced.open({ ...term, epoch: 2 }, { signal })).not.toBe(writer);
      expect(getEventListeners(signal, "abort")).toEqual([]);
      // Node keeps a reference for every signal made of another one.
      expect(any).not.toHaveBeenCalled();
    },
  );
});
