/** Hooks and leader work that are slow, throw, stop the node or never return. */
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { deferred, waitFor, within } from "../../scripts/shared/wait.ts";
import type { Term } from "../../src/index.ts";
import { startNatsServer } from "../../src/testing.ts";
import { freshId } from "../support/fresh-id.ts";
import { makeNode, QUICK, settled, startLeader, startNode } from "../support/node/test-node.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

describe("a slow hook", () => {
  test("does not cost the lease: onBecomeLeader takes several TTLs", async () => {
    const clusterId = freshId();
    const a = await startNode(
      server,
      { ...QUICK, clusterId, nodeId: "a" },
      { onBecomeLeader: () => pause(3 * QUICK.leaseTtlMs) },
    );
    await a.becomes();
    const b = await startNode(server, { ...QUICK, clusterId, nodeId: "b" });
    const become = await a.called("onBecomeLeader");
    await a.hooks.until(() => become.endedMs !== null);
    await a.leads();
    expect([a.node.epoch, a.count("become-leader"), b.count("become-leader")]).toEqual([1, 1, 0]);
  });

  test("delays the ones after it, and none is called while another runs", async () => {
    const clusterId = freshId();
    const a = await startLeader(
      server,
      { clusterId, nodeId: "a", cooldownMs: 0 },
      {
        onBecomeLeader: () => pause(100),
        onLoseLeadership: () => pause(100),
        onLeaderChange: () => pause(50),
      },
    );
    await a.node.stepDown();
    await a.called("onBecomeLeader", 2);
    await a.node.stop();
    const calls = a.hooks.items;
    for (const [index, call] of calls.entries()) {
      expect(call.atMs).toBeGreaterThanOrEqual(calls[index - 1]?.endedMs ?? 0);
    }
    const own = calls.filter((call) => call.term !== undefined);
    expect(own.map((call) => `${call.name} ${call.term?.epoch}`)).toEqual([
      "onBecomeLeader 1",
      "onLoseLeadership 1",
      "onBecomeLeader 2",
      "onLoseLeadership 2",
    ]);
  });

  test("that outlives its term: the signal aborts at once, and onLoseLeadership is called when the hook has returned", async () => {
    const gate = deferred();
    const a = await startLeader(
      server,
      { clusterId: freshId(), nodeId: "a" },
      { onBecomeLeader: () => gate.promise },
    );
    const { term } = await a.called("onBecomeLeader");
    const down = a.node.stepDown();
    expect(term?.signal.aborted).toBe(true);
    expect(term?.signal.reason).toMatchObject({ code: "NOT_LEADER" });
    expect(a.node.isLeader()).toBe(false);
    expect(a.calls("onLoseLeadership")).toHaveLength(0);
    gate.resolve();
    await down;
    expect(a.calls("onLoseLeadership")).toHaveLength(1);
  });

  test.each([0, 300])(
    "that never returns delays a step-down only until drainTimeoutMs (%d), and then another node leads",
    async (drainTimeoutMs) => {
      const clusterId = freshId();
      const gate = deferred();
      const a = await startLeader(
        server,
        { clusterId, nodeId: "a", drainTimeoutMs },
        { onLoseLeadership: () => gate.promise },
      );
      const b = await startNode(server, { clusterId, nodeId: "b" });
      await b.sees(a);
      const before = performance.now();
      await a.node.stepDown();
      expect(performance.now() - before).toBeGreaterThanOrEqual(drainTimeoutMs - 1);
      await b.leads();
      expect(a.log.filter((line) => line.fields["event"] === "drain-timeout")).toMatchObject([
        { level: "error", fields: { epoch: 1 } },
      ]);
      gate.resolve();
    },
  );

  test("delays onLeaderChange, which is then called with the newest change only", async () => {
    const clusterId = freshId();
    const a = await startLeader(server, { clusterId, nodeId: "a", cooldownMs: 0 });
    const gate = deferred();
    const watcher = await startNode(
      server,
      { clusterId, nodeId: "watcher", observer: true },
      { onLeaderChange: () => gate.promise },
    );
    await watcher.called("onLeaderChange");
    for (let epoch = 2; epoch <= 4; epoch++) {
      await a.leads();
      await a.node.stepDown();
      await watcher.until(() => watcher.node.epoch === epoch);
    }
    gate.resolve();
    await watcher.called("onLeaderChange", 2);
    await watcher.node.stop();
    expect(watcher.calls("onLeaderChange").map((call) => call.leader?.epoch)).toEqual([1, 4]);
    // Between two leaders there is none, if the watcher reads the lease at that moment.
    const leaders = watcher.events.items.flatMap((event) =>
      event.type === "leader-change" && event.leader !== null ? [event.leader.epoch] : [],
    );
    expect(leaders).toEqual([1, 2, 3, 4]);
  });
});

describe("onBecomeLeader that throws", () => {
  test.each([
    [
      "throws",
      () => {
        throw new Error("no database");
      },
    ],
    ["rejects", () => Promise.reject(new Error("no database"))],
  ])("when it %s, the node resigns and another leads", async (_, onBecomeLeader) => {
    const clusterId = freshId();
    const a = await startNode(server, { clusterId, nodeId: "a" }, { onBecomeLeader });
    const b = await startNode(server, { clusterId, nodeId: "b" });
    expect((await a.next("lose-leadership")).reason).toBe("hook-failed");
    await settled([a, b], 1);
    await b.leads();
    expect((await a.called("onLoseLeadership")).reason).toBe("hook-failed");
    expect(a.events.items.find((event) => event.type === "hook-error")).toMatchObject({
      hook: "onBecomeLeader",
      error: { message: "no database" },
    });
    expect(a.node.role).toBe("follower");
  });

  test("keeps the node from campaigning until its cooldown ends", async () => {
    let calls = 0;
    const a = await startNode(
      server,
      { clusterId: freshId(), nodeId: "a", cooldownMs: 600 },
      {
        onBecomeLeader: () => {
          calls += 1;
          if (calls === 1) throw new Error("not yet");
        },
      },
    );
    const released = await a.next("released");
    const again = await a.next("become-leader", ({ term }) => term.epoch === 2);
    expect(again.at - released.at).toBeGreaterThanOrEqual(590);
  });
});

test("any other hook that throws is reported and has no consequence", async () => {
  const clusterId = freshId();
  const fail = (): never => {
    throw new Error("a bug of mine");
  };
  const a = await startLeader(
    server,
    { clusterId, nodeId: "a", cooldownMs: 0 },
    { onLoseLeadership: fail, onLeaderChange: fail },
  );
  await a.node.stepDown();
  await a.until(() => a.node.isLeader());
  await a.until(() => a.count("hook-error") >= 3);
  await a.node.stop();
  const hooks = a.events.items.flatMap((event) => (event.type === "hook-error" ? [event.hook] : []));
  expect(new Set(hooks)).toEqual(new Set(["onLoseLeadership", "onLeaderChange"]));
  const lines = a.log.filter((line) => line.fields["event"] === "hook-error");
  expect(lines.length).toBe(hooks.length);
  expect(lines[0]).toMatchObject({ level: "error", fields: { err: { message: "a bug of mine" } } });
});

describe("stop() inside application code resolves, and the node stops when the code has returned", () => {
  test.each(["onBecomeLeader", "onLeaderChange", "onLoseLeadership"] as const)("in %s", async (name) => {
    const clusterId = freshId();
    let stopped = 0;
    const a = makeNode(
      server,
      { clusterId, nodeId: "a" },
      {
        [name]: async () => {
          if (stopped > 0) return;
          stopped += 1;
          await a.node.stop();
        },
      },
    );
    const b = await startNode(server, { clusterId, nodeId: "b", observer: true });
    await a.start();
    if (name === "onLoseLeadership") {
      await a.until(() => a.node.isLeader());
      await a.node.stepDown();
    }
    await a.next("stopped");
    expect(a.node.role).toBe("stopped");
    await b.sees(null);
    expect([a.count("become-leader"), a.count("lose-leadership")]).toEqual([1, 1]);
    expect([a.calls("onBecomeLeader").length, a.calls("onLoseLeadership").length]).toEqual([1, 1]);
  });

  test("in runWhileLeader work", async () => {
    const a = await startNode(server, { clusterId: freshId(), nodeId: "a" });
    let resolvedInside = false;
    await within(
      a.node.runWhileLeader(async (term) => {
        await a.node.stop();
        resolvedInside = true;
        expect(term.signal.aborted).toBe(true);
      }),
    );
    expect(resolvedInside).toBe(true);
    await a.next("stopped");
    expect(a.events.items.find((event) => event.type === "lose-leadership")).toMatchObject({
      reason: "stopped",
    });
  });

  test("in onNatsDisconnect and onNatsReconnect", async () => {
    const own = await startNatsServer();
    try {
      const a = makeNode(
        own,
        { clusterId: freshId(), nodeId: "a" },
        { onNatsDisconnect: () => a.node.stop() },
      );
      const b = makeNode(
        own,
        { clusterId: freshId(), nodeId: "b" },
        { onNatsReconnect: () => b.node.stop() },
      );
      await Promise.all([a.start(), b.start()]);
      await Promise.all([a.becomes(), b.becomes()]);
      await own.restart();
      await Promise.all([a.next("stopped"), b.next("stopped", undefined, 10_000)]);
    } finally {
      await own.dispose();
    }
  });
});

describe("stepDown() inside application code resolves, and the lease is released when the code has returned", () => {
  test("in onBecomeLeader", async () => {
    const clusterId = freshId();
    let inside: string | undefined;
    const a = makeNode(
      server,
      { clusterId, nodeId: "a" },
      {
        async onBecomeLeader(term) {
          await a.node.stepDown();
          inside = `${a.node.role} ${term.signal.aborted}`;
        },
      },
    );
    await a.start();
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await settled([a, b], 1);
    await b.leads();
    expect(inside).toBe("draining true");
    expect(a.calls("onLoseLeadership")).toMatchObject([{ reason: "released" }]);
  });

  test("in runWhileLeader work, which is not run again before the next term", async () => {
    const a = await startNode(server, { clusterId: freshId(), nodeId: "a", cooldownMs: 0 });
    const epochs: number[] = [];
    const stop = new AbortController();
    await within(
      a.node.runWhileLeader(
        async (term) => {
          epochs.push(term.epoch);
          if (epochs.length < 3) await a.node.stepDown();
          else stop.abort();
        },
        { signal: stop.signal },
      ),
    );
    expect(epochs).toEqual([1, 2, 3]);
  });

  test("in onLoseLeadership it joins the step-down and does not hang", async () => {
    let joined: unknown;
    const a = await startLeader(
      server,
      { clusterId: freshId(), nodeId: "a" },
      {
        async onLoseLeadership() {
          joined = await a.node.stepDown();
        },
      },
    );
    await within(a.node.stepDown());
    expect(joined).toEqual({ epoch: 1, leaseDeleted: null, drain: "pending" });
  });
});

describe("a stop that may not wait", () => {
  test("with timeoutMs gives up on hooks that never return, and still releases the lease", async () => {
    const clusterId = freshId();
    const never = deferred();
    const a = await startLeader(
      server,
      { clusterId, nodeId: "a" },
      { onLoseLeadership: () => never.promise },
    );
    const b = await startNode(server, { clusterId, nodeId: "b" });
    await b.sees(a);
    await within(a.node.stop({ timeoutMs: 200 }), { timeoutMs: PATIENCE_MS });
    await b.until(() => b.node.isLeader());
    never.resolve();
  });

  test("with a signal that aborts gives up on leader work", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const never = deferred();
    const running = deferred();
    const work = a.node.runWhileLeader(() => {
      running.resolve();
      return never.promise;
    });
    await running.promise;
    const stop = new AbortController();
    const stopped = a.node.stop({ signal: stop.signal });
    stop.abort();
    await within(stopped, { timeoutMs: 1500 });
    never.resolve();
    await expect(work).rejects.toMatchObject({ code: "STOPPED" });
  });
});

test("hooks and work that outlive a stop never run beside those of the next start", async () => {
  const running = new Set<string>();
  const pairs: string[] = [];
  const ends = [deferred<void>(), deferred<void>()] as const;
  let rounds = 0;
  const enter = async (name: string, until: Promise<void> | null): Promise<void> => {
    const kind = name.slice(0, 4);
    for (const other of running) if (other.startsWith(kind)) pairs.push(`${name} beside ${other}`);
    running.add(name);
    if (until !== null) await until;
    running.delete(name);
  };
  const a = makeNode(
    server,
    { clusterId: freshId(), nodeId: "a", drainTimeoutMs: 50 },
    { onLoseLeadership: ({ epoch }) => enter(`hook ${epoch}`, epoch === 1 ? ends[0].promise : null) },
  );
  const work = ({ epoch }: Term): Promise<void> => {
    rounds += 1;
    return enter(`work ${epoch}`, epoch === 1 ? ends[1].promise : null);
  };
  await a.start();
  const first = a.node.runWhileLeader(work).catch((error: unknown) => error);
  await a.becomes();
  await waitFor(() => rounds === 1);
  expect((await a.node.stop()).unfinished).toEqual(["onLoseLeadership", "work"]);
  expect(await first).toMatchObject({ code: "STOPPED" });
  await a.start();
  const second = a.node.runWhileLeader(work);
  await a.until(() => a.node.term?.epoch === 2);
  await waitFor(() => a.warnings("HOOK_SLOW").length > 0);
  expect(rounds).toBe(1);
  ends[0].resolve();
  await a.next("become-leader");
  expect(rounds).toBe(1);
  ends[1].resolve();
  await waitFor(() => rounds === 2);
  await a.node.stop();
  await second;
  expect(pairs).toEqual([]);
});
