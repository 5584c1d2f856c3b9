/** Applications that hang, throw late, ignore their signals or call back into the node, on a real server. */
import { EventEmitter } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { deferred, waitFor, within } from "../../scripts/shared/wait.ts";
import { Node, type Term } from "../../src/index.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { proxied } from "../support/node/proxy.ts";
import { makeNode, QUICK, startLeader, startNode } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** Blocks the event loop. */
function block(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

/** Ends the term of a leader from outside: the key is deleted, and the node leads again at once. */
async function purge(clusterId: string): Promise<void> {
  await (await operatorOf(server, clusterId)).purgeBucket();
}

describe("campaign() in a term that already runs", () => {
  test("resolves after the event loop was blocked", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    block(400);
    expect(await within(a.node.campaign())).toBe(a.node.term);
  });

  test("resolves with the same term when its suspension has ended", async () => {
    const proxy = await proxied(server);
    const a = await startLeader(proxy, { clusterId: freshId(), nodeId: "a" });
    const { term } = a.node;
    proxy.refuse(true);
    proxy.cut();
    await a.next("suspended");
    const campaign = a.node.campaign();
    const held = term?.untilHeld().then(() => term.held);
    proxy.refuse(false);
    expect(await within(campaign)).toBe(term);
    expect(await within(held ?? Promise.reject(new Error("no term")))).toBe(true);
  });
});

test("a hook that fails after its term has ended does not end the next term", async () => {
  const clusterId = freshId();
  const a = await startNode(
    server,
    { clusterId, nodeId: "a" },
    {
      async onBecomeLeader(term) {
        if (term.epoch > 1) return;
        await new Promise((resolve) => term.signal.addEventListener("abort", resolve));
        throw new Error("cleanup failed");
      },
    },
  );
  await a.becomes();
  await a.called("onBecomeLeader");
  await purge(clusterId);
  const error = await a.next("hook-error");
  expect(error).toMatchObject({ hook: "onBecomeLeader", epoch: 1, error: { message: "cleanup failed" } });
  await waitFor(() => (a.node.term?.epoch ?? 0) > 1);
  await a.called("onBecomeLeader", 2);
  expect(a.events.items.filter((event) => event.type === "lose-leadership")).toHaveLength(1);
});

describe("an error that work throws after its signal has aborted", () => {
  test("rejects runWhileLeader(), and is logged and emitted exactly once", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const running = deferred<Term>();
    const work = a.node.runWhileLeader(async (term, { signal }) => {
      running.resolve(term);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      throw new Error("flush failed");
    });
    const failed = expect(work).rejects.toMatchObject({
      code: "HOOK_FAILED",
      cause: { message: "flush failed" },
    });
    await running.promise;
    await a.node.stop();
    await failed;
    expect(a.count("hook-error")).toBe(1);
    expect(a.log.filter(({ fields }) => fields["event"] === "hook-error")).toHaveLength(1);
  });

  test("is no failure if it only repeats the abort", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const running = deferred<Term>();
    const work = a.node.runWhileLeader(async (term, { signal }) => {
      running.resolve(term);
      await pause(60_000, undefined, { signal });
    });
    await running.promise;
    await a.node.stop();
    await within(work);
    expect(a.count("hook-error")).toBe(0);
  });
});

describe("a leader whose work cannot run reports it", () => {
  test("when a hook does not return: warning, log line and status", async () => {
    const clusterId = freshId();
    const hung = deferred();
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    const b = await startNode(
      server,
      { clusterId, nodeId: "b", drainTimeoutMs: 100 },
      { onLeaderChange: () => hung.promise },
    );
    await b.called("onLeaderChange");
    await a.node.stop();
    await b.node.campaign();
    const warning = await b.next("warning", ({ code }) => code === "HOOK_SLOW");
    expect(warning.message).toMatch(/onLeaderChange has not returned for \d+\.\d s/);
    expect(b.log.some(({ level, fields }) => level === "error" && fields["code"] === "HOOK_SLOW")).toBe(true);
    expect(b.calls("onBecomeLeader")).toEqual([]);
    hung.resolve();
    await b.called("onBecomeLeader");
  });

  test("when work of a lost term does not end: the work of the next term waits for it", async () => {
    const clusterId = freshId();
    const gate = deferred();
    const epochs: number[] = [];
    const a = await startNode(server, { clusterId, nodeId: "a", drainTimeoutMs: 100 });
    const stop = new AbortController();
    const work = a.node.runWhileLeader(
      async (term) => {
        epochs.push(term.epoch);
        if (epochs.length === 1) await gate.promise;
      },
      { signal: stop.signal },
    );
    await waitFor(() => epochs.length === 1);
    await purge(clusterId);
    const warning = await a.next("warning", ({ code }) => code === "WORK_BLOCKED");
    expect(warning.message).toMatch(/leader work of epoch 1 has not ended/);
    expect(epochs).toHaveLength(1);
    gate.resolve();
    await waitFor(() => epochs.length === 2);
    stop.abort();
    await work;
  });
});

describe("calls inside hooks and work", () => {
  test("runWhileLeader() awaited in onBecomeLeader runs in that term and ends with it", async () => {
    const ran: number[] = [];
    const a = makeNode(
      server,
      { clusterId: freshId(), nodeId: "a", cooldownMs: 0 },
      {
        async onBecomeLeader() {
          await a.node.runWhileLeader(async (term, { signal }) => {
            ran.push(term.epoch);
            await new Promise((resolve) => signal.addEventListener("abort", resolve));
          });
        },
      },
    );
    await a.start();
    await waitFor(() => ran.length === 1);
    expect(await within(a.node.stepDown())).toMatchObject({ epoch: 1, drain: "complete" });
    await waitFor(() => ran.length === 2);
    expect(ran).toEqual([1, 2]);
    expect(await within(a.node.stop())).toMatchObject({ term: { epoch: 2, drain: "complete" } });
  });

  test("stop() in a handler that work registered waits for the work", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const handler = deferred<() => Promise<boolean>>();
    let cleaned = false;
    const work = a.node.runWhileLeader(async (_, { signal }) => {
      const timer = setInterval(() => {
        if (requested) void stopped();
      }, 5);
      let requested = false;
      const result = deferred<boolean>();
      const stopped = async (): Promise<void> => {
        clearInterval(timer);
        await a.node.stop();
        result.resolve(cleaned);
      };
      handler.resolve(() => {
        requested = true;
        return result.promise;
      });
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      await pause(100);
      cleaned = true;
    });
    const request = await handler.promise;
    expect(await within(request())).toBe(true);
    await work;
  });

  test("stop() and stepDown() awaited by work itself resolve at once", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", cooldownMs: 0 });
    const results: unknown[] = [];
    await within(
      a.node.runWhileLeader(async () => {
        await pause(1);
        results.push(await Promise.all([a.node.stepDown()]).then(([result]) => result));
        if (results.length === 2) results.push(await a.node.stop());
      }),
    );
    expect(results[0]).toEqual({ epoch: 1, leaseDeleted: null, drain: "pending" });
    expect(a.node.role).toBe("stopped");
  });
});

describe("a stop or step-down whose application does not end", () => {
  test.each(["onBecomeLeader", "onLoseLeadership", "onLeaderChange"] as const)(
    "resolves, and its result names the code that has not returned: %s",
    async (hook) => {
      const never = deferred();
      const a = makeNode(
        server,
        { clusterId: freshId(), nodeId: "a", drainTimeoutMs: 300 },
        { [hook]: () => never.promise },
      );
      await a.start();
      await a.node.campaign();
      const result = await within(a.node.stop());
      expect(result.unfinished).toEqual([hook]);
      await a.next("stopped");
      never.resolve();
    },
  );

  test("does not hold up stepDown(), whose result has the drain as timed out", async () => {
    const gate = deferred();
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", drainTimeoutMs: 100 });
    const running = deferred();
    const work = a.node.runWhileLeader(async () => {
      running.resolve();
      await gate.promise;
    });
    await running.promise;
    expect(await a.node.stepDown()).toEqual({ epoch: 1, leaseDeleted: true, drain: "timed-out" });
    expect(await a.next("released")).toMatchObject({ deleted: true, drain: "timed-out" });
    gate.resolve();
    await a.node.stop();
    await work;
  });
});

test("term.signal.aborted compares clocks: no round of work begins after the deadline", async () => {
  const a = await startLeader(server, { ...QUICK, clusterId: freshId(), nodeId: "a" });
  const rounds: { readonly held: boolean }[] = [];
  let unblocked = false;
  const work = a.node.runWhileLeader(async (term, { signal }) => {
    while (!signal.aborted) {
      if (unblocked) rounds.push({ held: term.held });
      await pause(50, undefined, { signal });
    }
    expect(term.signal.aborted).toBe(true);
    expect(() => term.signal.throwIfAborted()).toThrow();
  });
  await pause(120);
  block(1.5 * QUICK.leaseTtlMs);
  unblocked = true;
  await a.next("lose-leadership");
  expect(rounds.filter(({ held }) => !held)).toEqual([]);
  await a.node.stop();
  await work.catch(() => {});
});

test("hooks that are misspelt or no function are refused, all in one error", () => {
  const hooks = { onBecomeLeadr: () => {}, onLeaderChange: 1, helper: () => {} };
  expect(() => new Node({ clusterId: "c", nodeId: "a", servers: server.url }, hooks as never)).toThrow(
    "onBecomeLeadr is not a hook; did you mean onBecomeLeader?; hook onLeaderChange must be a function, not number",
  );
});

test("hooks may be any object; other methods of it are its own business", () => {
  const options = { clusterId: "c", nodeId: "a", servers: server.url };
  class Application extends EventEmitter {
    onlineUsers(): void {}
    onBecomeLeader(): void {}
    get expensive(): never {
      throw new Error("read");
    }
  }
  expect(() => new Node(options, new Application())).not.toThrow();
  for (const hooks of [null, 5, "x"]) {
    expect(() => new Node(options, hooks as never)).toThrow(
      /hooks must be an object, not (null|number|string)/,
    );
  }
});

test("while onBecomeLeader keeps throwing, the node pauses longer each time, whatever the cooldown", async () => {
  const a = await startNode(
    server,
    { clusterId: freshId(), nodeId: "a", cooldownMs: 0 },
    {
      onBecomeLeader() {
        throw new Error("no database");
      },
    },
  );
  await waitFor(() => a.count("become-leader") === 4);
  const begins = a.events.items.flatMap((event) => (event.type === "become-leader" ? [event.at] : []));
  const gaps = begins.slice(1).map((at, index) => at - (begins[index] ?? 0));
  // A busy machine makes a gap longer, never shorter. `event.at` has whole milliseconds.
  for (const [index, pauseMs] of [250, 500, 1000].entries()) {
    expect(gaps[index]).toBeGreaterThanOrEqual(pauseMs - 1);
  }
});
