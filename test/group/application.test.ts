/** What a group guarantees its application, with a core that does what the test says. */
import { getEventListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { ClusterError } from "../../src/errors.ts";
import type { ResourceTerm } from "../../src/group/term.ts";
import { deferred } from "../../src/runtime/waiting.ts";
import { scriptedMember } from "../support/group/scripted-member.ts";

test("hooks and work of a resource are called in order; those of another one run beside them", async () => {
  const calls: string[] = [];
  const slow = deferred<void>();
  const member = scriptedMember({
    onOwn: async ({ resource }) => {
      calls.push(`own ${resource}`);
      if (resource === "0") await slow.promise;
      calls.push(`owned ${resource}`);
    },
    onDisown: ({ resource }, reason) => void calls.push(`disown ${resource} ${reason}`),
  });
  await member.group.start();
  const working = member.group.runOwned(async (term, { signal }) => {
    calls.push(`work ${term.resource}`);
    await aborted(signal);
    calls.push(`worked ${term.resource}`);
  });
  member.core.owns("0");
  member.core.owns("1");
  await member.time.advance(0);
  expect(calls).toEqual(["own 0", "own 1", "owned 1", "work 1"]);
  slow.resolve();
  await member.time.advance(0);
  expect(calls.splice(4)).toEqual(["owned 0", "work 0"]);
  member.core.drains("1");
  await member.time.advance(0);
  expect(calls.splice(4)).toEqual(["worked 1", "disown 1 moved"]);
  await member.group.stop();
  await working;
  expect(calls.splice(4)).toEqual(["worked 0", "disown 0 stopped"]);
});

test("a resource that is given up is kept until its hooks and its work have ended, however long that takes", async () => {
  const end = deferred<void>();
  const member = scriptedMember({}, { drainTimeoutMs: 1_000 });
  await member.group.start();
  void member.group.runOwned(() => end.promise);
  member.core.owns("0");
  await member.time.advance(0);
  member.core.drains("0");
  await member.time.advance(60_000);
  expect(member.core.sent).not.toContain("drained 0");
  expect(member.events).toContain("warning DRAIN_SLOW");
  end.resolve();
  await member.time.advance(0);
  expect(member.core.sent).toContain("drained 0");
  expect(member.events.at(-1)).toBe("released 0");
  await member.group.stop();
});

test("stop() gives up after drainTimeoutMs, and says what has not ended", async () => {
  const member = scriptedMember({ onDisown: () => never() }, { drainTimeoutMs: 1_000 });
  await member.group.start();
  const work = member.group.runOwned((term) => (term.resource === "1" ? never() : undefined));
  const rejected = expect(work).rejects.toMatchObject({ code: "STOPPED" });
  member.core.owns("0");
  member.core.owns("1");
  await member.time.advance(0);
  const stopping = member.group.stop();
  await member.time.advance(999);
  expect(member.core.sent).toEqual(["resources 4", "stop"]);
  await member.time.advance(1);
  expect(await stopping).toEqual({
    reason: "requested",
    drain: "timed-out",
    pending: false,
    unfinished: [
      { code: "onDisown", resource: "0" },
      { code: "onDisown", resource: "1" },
      { code: "work", resource: "1" },
    ],
  });
  await rejected;
  expect(member.closed).toBe(1);
});

test("a member that has stopped sets no timer, also if its code has not returned", async () => {
  const member = scriptedMember({ onOwn: () => never() }, { drainTimeoutMs: 10 });
  await member.group.start();
  member.core.owns("0");
  await member.time.advance(0);
  const stopping = member.group.stop();
  await member.time.advance(10);
  expect((await stopping).unfinished).toEqual([{ code: "onOwn", resource: "0" }]);
  // What is left is the line of the log about what was lost.
  expect(member.time.pending).toBe(1);
  await member.time.advance(500);
  expect(member.time.pending).toBe(0);
});

test("work of a lost term that has not ended keeps the work of the next term of that resource waiting, and of no other", async () => {
  const ends = [deferred<void>(), deferred<void>()];
  const runs: string[] = [];
  const member = scriptedMember();
  await member.group.start();
  void member.group.runOwned(async ({ resource, epoch }) => {
    runs.push(`${resource}/${epoch}`);
    await ends[epoch - 1]?.promise;
  });
  member.core.owns("0");
  await member.time.advance(0);
  member.core.endSession("expired");
  member.core.owns("0");
  member.core.owns("1");
  await member.time.advance(20_000);
  expect(runs).toEqual(["0/1", "1/3"]);
  expect(member.events).toContain("warning WORK_BLOCKED");
  ends[0]?.resolve();
  await member.time.advance(0);
  expect(runs).toEqual(["0/1", "1/3", "0/2"]);
  ends[1]?.resolve();
  await member.group.stop();
});

test("work of an earlier incarnation keeps that of the next one waiting", async () => {
  const end = deferred<void>();
  const runs: number[] = [];
  const member = scriptedMember({}, { drainTimeoutMs: 10 });
  const work = async ({ epoch }: ResourceTerm): Promise<void> => {
    runs.push(epoch);
    if (runs.length === 1) await end.promise;
  };
  await member.group.start();
  const first = expect(member.group.runOwned(work)).rejects.toMatchObject({ code: "STOPPED" });
  member.core.owns("0");
  await member.time.advance(0);
  const stopping = member.group.stop();
  await member.time.advance(10);
  await Promise.all([stopping, first]);
  await member.group.start();
  void member.group.runOwned(work);
  member.core.owns("0");
  await member.time.advance(0);
  expect(runs).toHaveLength(1);
  end.resolve();
  await member.time.advance(0);
  expect(runs).toHaveLength(2);
  await member.group.stop();
});

test("work that has ended leaves no listener on the signal of its term", async () => {
  const member = scriptedMember();
  await member.group.start();
  member.core.owns("0");
  const { signal } = member.group.term("0") as ResourceTerm;
  for (let round = 0; round < 20; round += 1) {
    const registration = new AbortController();
    const working = member.group.runOwned((_, run) => aborted(run.signal), { signal: registration.signal });
    await member.time.advance(0);
    expect(getEventListeners(signal, "abort")).toHaveLength(1);
    registration.abort();
    await working;
    expect(getEventListeners(signal, "abort")).toEqual([]);
    expect(getEventListeners(registration.signal, "abort")).toEqual([]);
  }
  await member.group.stop();
});

test("a hook or work that fails gives its resource up, which is refused for longer each time; others go on", async () => {
  let fails = 0;
  const member = scriptedMember({
    onOwn: ({ resource }) => {
      if (resource === "0" && ++fails <= 2) throw new Error("cannot open");
    },
  });
  await member.group.start();
  let failWork = false;
  void member.group.runOwned(({ resource }, { signal }) => {
    if (failWork && resource === "0") throw new Error("cannot write");
    return aborted(signal);
  });
  member.core.owns("1");
  for (let turn = 0; turn < 3; turn++) {
    failWork = turn === 2;
    member.core.owns("0");
    await member.time.advance(0);
  }
  const refusals = member.core.sent.filter((one) => one.startsWith("refuse"));
  expect(refusals).toEqual(["refuse 0 250", "refuse 0 500", "refuse 0 1000"]);
  expect(member.events.filter((one) => one.startsWith("hook-error"))).toHaveLength(3);
  expect([...member.group.owned.keys()]).toEqual(["1"]);
  await member.group.stop();
});

test("a term is over at once for every reader, also when thousands end together; listeners are called in slices", async () => {
  const member = scriptedMember({}, { resources: 1_000 });
  await member.group.start();
  const terms: ResourceTerm[] = [];
  let aborts = 0;
  void member.group.runOwned((term, { signal }) => {
    terms.push(term);
    signal.addEventListener("abort", () => ++aborts);
    return aborted(signal);
  });
  for (let index = 0; index < 1_000; index++) member.core.owns(String(index));
  await member.time.advance(0);
  expect(terms).toHaveLength(1_000);
  expect(terms.every(({ held }) => held)).toBe(true);
  member.core.endSession("expired");
  expect(terms.some(({ held }) => held)).toBe(false);
  expect(terms.every(({ signal }) => signal.aborted)).toBe(true);
  expect(terms.every(({ remainingMs }) => remainingMs === 0)).toBe(true);
  expect(member.group.owned.size).toBe(0);
  expect(aborts).toBeLessThan(1_000);
  await member.time.advance(0);
  expect(aborts).toBe(1_000);
  await member.group.stop();
});

test("a deadline that has passed ends every term without any other code", async () => {
  const member = scriptedMember();
  await member.group.start();
  member.core.owns("0");
  await member.time.advance(0);
  const term = member.group.term("0");
  expect(term?.signal.aborted).toBe(false);
  member.core.leaseMs = 0;
  expect(member.group.owned.size).toBe(0);
  expect(member.group.term("0")).toBeNull();
  expect(term?.signal.aborted).toBe(true);
  expect(term?.lossReason).toBe("expired");
  expect(() => term?.signal.throwIfAborted()).toThrow(
    'the term of resource "0" with epoch 1 has ended: expired',
  );
  member.core.leaseMs = 1_000;
  await member.group.stop();
});

test("untilHeld() waits for the end of a suspension, and ends with the term", async () => {
  const member = scriptedMember();
  await member.group.start();
  member.core.owns("0");
  member.core.owns("1");
  await member.time.advance(0);
  const [first, second] = [...member.group.owned.values()] as [ResourceTerm, ResourceTerm];
  member.core.suspends();
  const order: string[] = [];
  const limited = first.untilHeld({ timeoutMs: 50 }).catch((error: ClusterError) => order.push(error.code));
  const held = first.untilHeld().then(() => order.push("held"));
  const over = second.untilHeld().catch((error: ClusterError) => order.push(error.message));
  await member.time.advance(50);
  member.core.drains("1");
  await member.time.advance(0);
  member.core.suspends(true);
  await Promise.all([limited, held, over]);
  expect(order).toEqual(["TIMEOUT", 'the term of resource "1" with epoch 2 has ended: moved', "held"]);
  await member.group.stop();
});

test("untilOwned() resolves with the term, or rejects at its limit, by its signal and when the member stops", async () => {
  const member = scriptedMember();
  await expect(member.group.untilOwned("0")).rejects.toMatchObject({ code: "NOT_STARTED" });
  await member.group.start();
  const owned = member.group.untilOwned("0");
  const limit = expect(member.group.untilOwned("1", { timeoutMs: 5 })).rejects.toMatchObject({
    code: "TIMEOUT",
  });
  const abort = new AbortController();
  const byAbort = expect(member.group.untilOwned("1", { signal: abort.signal })).rejects.toMatchObject({
    code: "ABORTED",
  });
  const byStop = expect(member.group.untilOwned("1")).rejects.toMatchObject({ code: "STOPPED" });
  abort.abort();
  member.core.owns("0");
  await member.time.advance(5);
  expect(await owned).toBe(member.group.term("0"));
  await member.group.stop();
  await Promise.all([limit, byAbort, byStop]);
});

test("drain() resolves when nothing is owned and all work has ended; rejoin() ends it", async () => {
  const member = scriptedMember();
  await member.group.start();
  const end = deferred<void>();
  void member.group.runOwned(({ resource }) => (resource === "0" ? end.promise : undefined));
  member.core.owns("0");
  member.core.owns("1");
  await member.time.advance(0);
  const draining = member.group.drain();
  const ended = expect(member.group.drain({ timeoutMs: 5 })).rejects.toMatchObject({ code: "TIMEOUT" });
  await member.time.advance(5);
  await ended;
  end.resolve();
  expect(await draining).toEqual({ drain: "complete" });
  expect(member.core.owned.size).toBe(0);
  await member.group.rejoin();
  member.core.releases = false;
  member.core.owns("2");
  await member.time.advance(0);
  const second = expect(member.group.drain()).rejects.toThrow("rejoin() was called");
  await member.group.rejoin();
  await second;
  member.core.confirm();
  await member.group.stop();
  expect(member.core.sent.filter((one) => /^(draining|rejoin|stop)/.test(one))).toEqual([
    "draining",
    "draining",
    "rejoin",
    "draining",
    "rejoin",
    "stop",
  ]);
});

test("stop() and drain() that a hook or work awaits are answered before the drain has ended", async () => {
  const answers: unknown[] = [];
  const member = scriptedMember({
    onOwn: async ({ resource }) => {
      if (resource === "0") answers.push(await member.group.drain());
    },
  });
  await member.group.start();
  void member.group.runOwned(async (_term, { signal }) => {
    await aborted(signal);
    answers.push(await member.group.stop({ restarting: true }));
  });
  member.core.owns("0");
  await member.time.advance(0);
  expect(answers.splice(0)).toEqual([{ drain: "pending" }]);
  member.core.owns("1");
  await member.time.advance(0);
  member.core.drains("1");
  await member.time.advance(0);
  expect(answers).toEqual([{ reason: "requested", drain: "pending", unfinished: [], pending: true }]);
  expect(member.core.sent).toContain("stop restarting");
  await member.group.stop();
});

test("a stop that may be awaited by work is answered when nothing else holds it up", async () => {
  const member = scriptedMember({}, { drainTimeoutMs: 10_000 });
  await member.group.start();
  const answer = deferred<unknown>();
  void member.group.runOwned(async (_term, { signal }) => {
    await aborted(signal);
    // No stack shows that this work waits for the stop.
    setImmediate(() => void member.group.stop().then(answer.resolve));
    await answer.promise;
  });
  member.core.owns("0");
  await member.time.advance(0);
  member.core.drains("0");
  await member.time.advance(0);
  await sleep(0);
  await member.time.advance(1_000);
  expect(await answer.promise).toMatchObject({ pending: true });
  expect(await member.group.stop()).toMatchObject({ drain: "complete", pending: false });
});

test("work that is registered in a term runs in that term only, and its failure rejects", async () => {
  const results: unknown[] = [];
  const member = scriptedMember({
    onOwn: (term) => {
      if (term.resource === "0")
        void member.group
          .runOwned(({ resource }, { signal }) => {
            results.push(`runs ${resource}`);
            return aborted(signal);
          })
          .then(() => results.push("ended"));
      else
        void member.group
          .runOwned(() => {
            throw new Error("broken");
          })
          .catch((error: ClusterError) => results.push(error.code));
    },
    onMembersChange: () =>
      member.group.runOwned(() => {}).catch((error: ClusterError) => void results.push(error.code)),
  });
  await member.group.start();
  await member.time.advance(0);
  expect(results.splice(0)).toEqual(["NOT_LEADER"]);
  member.core.owns("0");
  member.core.owns("1");
  await member.time.advance(0);
  expect(results.splice(0)).toEqual(["runs 0", "HOOK_FAILED"]);
  member.core.drains("0");
  await member.time.advance(0);
  expect(results).toEqual(["ended"]);
  await member.group.stop();
});

test("the signal of runOwned() ends the registration and the runs; an error that repeats the abort is no failure", async () => {
  const member = scriptedMember();
  await member.group.start();
  const end = new AbortController();
  const signals: AbortSignal[] = [];
  const working = member.group.runOwned(
    async (_term, { signal }) => {
      signals.push(signal);
      await aborted(signal);
      signal.throwIfAborted();
    },
    { signal: end.signal },
  );
  member.core.owns("0");
  await member.time.advance(0);
  end.abort(new Error("enough"));
  await working;
  expect(signals[0]?.reason).toMatchObject({ code: "ABORTED", cause: { message: "enough" } });
  expect(member.group.term("0")?.held).toBe(true);
  member.core.owns("1");
  await member.time.advance(0);
  expect(signals).toHaveLength(1);
  expect(member.events.filter((one) => one.startsWith("hook-error"))).toEqual([]);
  await member.group.stop();
});

test("a hook that has not returned for long is reported while work waits for it", async () => {
  const end = deferred<void>();
  const member = scriptedMember({ onOwn: () => end.promise, onNatsDisconnect: () => end.promise });
  await member.group.start();
  void member.group.runOwned(() => {});
  member.core.owns("0");
  member.session({ type: "disconnected", error: null });
  member.session({ type: "connected", binding: null });
  member.session({ type: "disconnected", error: null });
  await member.time.advance(20_000);
  expect(member.events.filter((one) => one === "warning HOOK_SLOW")).toHaveLength(2);
  end.resolve();
  await member.group.stop();
});

test("a connection that was closed for good stops the member", async () => {
  const member = scriptedMember();
  await member.group.start();
  member.core.owns("0");
  await member.time.advance(0);
  member.session({ type: "closed", error: null });
  await member.time.advance(0);
  expect(member.events.slice(-4)).toEqual(["disown 0", "released 0", "session-ended", "stopped"]);
  expect(member.events).toContain("warning CONNECTION_CLOSED");
  await expect(member.group.untilOwned("0")).rejects.toMatchObject({ code: "NO_CONNECTION" });
});

test("the lists of a source are followed; one that fails leaves the last list in force", async () => {
  const next = deferred<void>();
  const member = scriptedMember(
    {},
    {
      resources: async function* () {
        yield ["a", { name: "b", zone: "z" }];
        await next.promise;
        yield ["a", "a"];
        yield ["a", "b", "c"];
        throw new Error("no database");
      },
    },
  );
  await member.group.start();
  expect(member.core.list).toEqual(["a", "b"]);
  next.resolve();
  await member.time.advance(10);
  expect(member.core.list).toEqual(["a", "b", "c"]);
  expect(member.events.filter((one) => one === "warning RESOURCES_FAILED")).toHaveLength(2);
  await member.group.stop();
});

test("a source that yields no list rejects start(); one that waits is ended by an abort", async () => {
  const ended: string[] = [];
  const none = scriptedMember({}, { resources: async function* () {} });
  await expect(none.group.start()).rejects.toMatchObject({ code: "INVALID_CONFIG" });
  const waits = scriptedMember(
    {},
    {
      resources: async function* (signal) {
        await aborted(signal);
        ended.push("ended");
        yield [];
      },
    },
  );
  const starting = waits.group.start({ signal: AbortSignal.abort(new Error("no time")) });
  await expect(starting).rejects.toMatchObject({ code: "ABORTED" });
  await sleep(0);
  expect(ended).toEqual(["ended"]);
});

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function never(): Promise<never> {
  return new Promise(() => {});
}

test("errors of the API are ClusterErrors that name the option or the call", async () => {
  expect(() => scriptedMember({}, { resources: ["a", "a"], memberId: "x y", weigth: 2 } as never)).toThrow(
    /memberId "x y" must be.*weigth is not an option; did you mean weight.*resources\[1\] "a" is on the list twice/s,
  );
  const many = Array.from({ length: 100_001 }, (_, index) => `r${index}`);
  expect(() => scriptedMember({}, { resources: many })).toThrow("100001 entries; at most 100000 are allowed");
  expect(() => scriptedMember({}, { resources: 100_001 })).toThrow("a number of partitions from 1 to 100000");
  expect(() => scriptedMember({ onOwned: () => {} } as never)).toThrow(
    "onOwned is not a hook; did you mean onOwn?",
  );
  const { group } = scriptedMember();
  await expect(group.runOwned("no" as never)).rejects.toBeInstanceOf(ClusterError);
  await expect(group.drain()).rejects.toMatchObject({ code: "NOT_STARTED" });
  const texts =
    'resource must be a text that is not empty, not a number; the names of partitions are texts: "5"';
  expect(() => group.term(5 as never)).toThrow(`term(resource): ${texts}`);
  await expect(group.untilOwned(5 as never)).rejects.toThrow(`untilOwned(resource): ${texts}`);
  await expect(group.move(5 as never, "b")).rejects.toThrow(`move(resource, to): ${texts}`);
  await expect(group.move("5", undefined as never)).rejects.toMatchObject({
    code: "INVALID_CONFIG",
    message: "move(resource, to): to must be a text that is not empty, not undefined",
  });
  await expect(group.untilOwned("")).rejects.toThrow("resource must be a text that is not empty, not empty");
  expect(await group.stop()).toEqual({
    reason: "requested",
    drain: "complete",
    unfinished: [],
    pending: false,
  });
  await expect(group.drain()).rejects.toMatchObject({ code: "STOPPED" });
});
