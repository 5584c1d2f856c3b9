import { describe, expect, test } from "vitest";
import { confirmsDeath, watchPresence } from "../../scripts/shared/presence-questions.ts";
import type { LeaseEntry, LeaseWrite } from "../../src/election/types.ts";
import type { SessionEvent } from "../../src/runtime/ports.ts";
import { FakeBucket } from "../../src/testing/simulation/fakes/fake-bucket.ts";
import { FakeConnections } from "../../src/testing/simulation/fakes/fake-connections.ts";
import { FakeSession } from "../../src/testing/simulation/fakes/fake-session.ts";
import { FakeStore } from "../../src/testing/simulation/fakes/fake-store.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import { settle, VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";

const record = { nodeId: "a", epoch: 1, acquiredAt: 0, incarnation: "a1", nonce: 1, ttlMs: 10_000 };
const put = (expectation: LeaseWrite["expect"]): LeaseWrite => ({ kind: "put", record, expect: expectation });

describe("virtual time", () => {
  test("fires due timers in the order of their times, then of their creation", async () => {
    const time = new VirtualTime();
    const fired: string[] = [];
    for (const [ms, name] of [
      [20, "c"],
      [10, "a"],
      [10, "b"],
      [30, "d"],
    ] as const) {
      time.at(ms, () => fired.push(`${name}@${time.now}`));
    }
    await time.advance(25);
    expect(fired).toEqual(["a@10", "b@10", "c@20"]);
    expect(time.now).toBe(25);
    expect(time.pending).toBe(1);
  });

  test("does not fire cancelled timers and never goes back", async () => {
    const time = new VirtualTime();
    await time.advance(100);
    const fired: number[] = [];
    time.at(50, () => fired.push(time.now));
    time.after(10, () => fired.push(-1))();
    await time.advance(100);
    expect(fired).toEqual([100]);
  });

  test("settles promises between two timers, and calls afterEach after each timer", async () => {
    const time = new VirtualTime();
    const seen: string[] = [];
    time.at(10, () => void Promise.resolve().then(() => seen.push("promise")));
    time.at(20, () => seen.push("timer"));
    await time.advance(30, () => seen.push(`at ${time.now}`));
    expect(seen).toEqual(["at 0", "promise", "at 10", "timer", "at 20"]);
  });
});

describe("a virtual clock", () => {
  test("runs the timers that were due in a pause in the order of their times, whenever they were set", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const order: string[] = [];
    clock.setTimer(310, () => order.push("second"));
    clock.suspend(100);
    await time.advance(200);
    clock.setTimer(200, () => order.push("first"));
    clock.pause(1_000);
    await time.advance(1_100);
    expect(order).toEqual(["first", "second"]);
  });

  test("goes on with the code that blocked it before anything that came in the meantime", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const order: string[] = [];
    clock.setTimer(50, () => order.push("timer"));
    time.at(60, () => clock.deliver(() => order.push("message")));
    clock.block(100, () => {
      order.push(`the code, at ${time.now}`);
      clock.block(100, () => order.push(`its end, at ${time.now}`));
    });
    await time.advance(300);
    expect(order).toEqual(["the code, at 100", "its end, at 200", "timer", "message"]);
  });

  test("runs at its rate, and so do its timers", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time, { rate: 2 });
    const fired: number[] = [];
    clock.setTimer(1_000, () => fired.push(time.now));
    await time.advance(600);
    expect(fired).toEqual([500]);
    expect(clock.now().mono).toBe(1_200);
  });

  test("has a wall clock that can be wrong and can be stepped", () => {
    const clock = new VirtualClock(new VirtualTime(), { wallOffsetMs: 5_000 });
    const before = clock.now().wall;
    clock.stepWall(-7_000);
    expect(clock.now().wall - before).toBe(-7_000);
    expect(clock.now().boot).toBe(0);
  });

  test("goes on while the process is stopped; overdue events then happen in order, timers first", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const happened: string[] = [];
    const note = (what: string) => (): void => void happened.push(`${what}@${time.now}`);
    clock.setTimer(10, note("timer 1"));
    clock.setTimer(20, note("timer 2"));
    time.at(5, () => clock.pause(100));
    time.at(6, () => clock.afterTurn(note("turn")));
    time.at(15, () => clock.deliver(note("message 1")));
    time.at(16, () => clock.deliver(note("message 2")));
    await time.advance(104);
    expect(happened).toEqual([]);
    expect(clock.running).toBe(false);
    await time.advance(1);
    expect(clock.running).toBe(true);
    expect(happened).toEqual(
      ["timer 1", "timer 2", "message 1", "message 2", "turn"].map((what) => `${what}@105`),
    );
  });

  test("may deliver messages before timers after a pause; new messages queue behind the overdue ones", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const happened: string[] = [];
    clock.setTimer(10, () => happened.push("timer"));
    clock.pause(100, "messages");
    time.at(50, () => clock.deliver(() => happened.push("old message")));
    time.at(100, () => clock.deliver(() => happened.push("new message")));
    await time.advance(100);
    expect(happened).toEqual(["old message", "timer", "new message"]);
  });

  test("can be stopped again while it catches up, and for longer than before", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const happened: string[] = [];
    const note = (what: string) => (): void => void happened.push(`${what}@${time.now}`);
    clock.pause(100);
    clock.pause(50);
    time.at(10, () =>
      clock.deliver(() => {
        note("first")();
        clock.pause(100);
      }),
    );
    time.at(20, () => clock.deliver(note("second")));
    await time.advance(1_000);
    expect(happened).toEqual(["first@100", "second@200"]);
  });

  test("stays stopped until resume() after a pause without a limit", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const happened: string[] = [];
    clock.setTimer(10, () => happened.push(`timer@${time.now}`));
    clock.pause(Number.POSITIVE_INFINITY);
    time.at(500, () => clock.resume());
    await time.advance(499);
    expect(happened).toEqual([]);
    await time.advance(1);
    clock.resume();
    expect(happened).toEqual(["timer@500"]);
    expect([clock.running, time.pending]).toEqual([true, 0]);
  });

  test("stops its monotonic clock while the machine is suspended, and timers wait for it", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const fired: number[] = [];
    clock.setTimer(1_000, () => fired.push(time.now));
    await time.advance(500);
    clock.suspend(2_000);
    await time.advance(1_000);
    expect(clock.now()).toMatchObject({ mono: 500, boot: 1_500 });
    clock.suspend(2_000);
    await time.advance(3_000);
    expect(clock.now()).toMatchObject({ mono: 1_500, boot: 4_500 });
    expect(fired).toEqual([4_000]);
  });

  test("runs periodic checks before anything could observe their results, each as of its time", async () => {
    for (const settling of ["always", "announced"] as const) {
      const time = new VirtualTime(settling);
      const clock = new VirtualClock(time, { rate: 2 });
      let checkedAt = 0;
      const end = clock.every(50, () =>
        clock.afterTurn(() => {
          checkedAt = clock.now().mono;
        }),
      );
      expect(time.pending).toBe(1);
      const seen: number[] = [];
      time.at(70, () => clock.deliver(() => seen.push(checkedAt)));
      time.at(80, () => clock.pause(20));
      time.at(99, () => clock.deliver(() => seen.push(checkedAt)));
      await time.advance(101);
      clock.now();
      seen.push(checkedAt);
      await time.advance(700);
      clock.now();
      seen.push(checkedAt);
      expect(seen, settling).toEqual([100, 150, 200, 1_600]);
      end();
      expect(time.pending).toBe(0);
    }
  });

  test("runs nothing after the process was killed", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const happened: string[] = [];
    clock.setTimer(10, () => happened.push("timer"));
    clock.pause(5);
    clock.deliver(() => happened.push("late"));
    clock.kill();
    clock.deliver(() => happened.push("message"));
    clock.afterTurn(() => happened.push("turn"));
    await time.advance(100);
    expect(happened).toEqual([]);
    expect(clock.running).toBe(false);
  });
});

describe("a fake bucket", () => {
  test("applies a write only if its expectation holds", () => {
    const bucket = new FakeBucket();
    expect(bucket.write(put({ emptyAtSequence: 1 }))).toEqual({ kind: "conflict" });
    expect(bucket.write(put({ emptyAtSequence: 0 }))).toEqual({ kind: "applied", revision: 1 });
    expect(bucket.write(put({ emptyAtSequence: 1 }))).toEqual({ kind: "conflict" });
    expect(bucket.write(put({ revision: 2 }))).toEqual({ kind: "conflict" });
    bucket.writeOtherKey();
    expect(bucket.write(put({ revision: 1 }))).toEqual({ kind: "applied", revision: 3 });
  });

  test("keeps its sequence when the message expires", () => {
    const bucket = new FakeBucket();
    bucket.write(put({ emptyAtSequence: 0 }));
    bucket.expire();
    expect(bucket.snapshot()).toEqual({ generation: "generation-1", lastSequence: 1, entry: null });
    expect(bucket.write(put({ revision: 1 }))).toEqual({ kind: "conflict" });
    expect(bucket.write(put({ revision: 0 }))).toEqual({ kind: "applied", revision: 2 });
  });

  test("starts at revision 1 of another generation when it is recreated", () => {
    const bucket = new FakeBucket();
    bucket.write(put({ emptyAtSequence: 0 }));
    bucket.delete();
    expect(bucket.write(put({ revision: 1 }))).toEqual({ kind: "conflict" });
    bucket.recreate();
    bucket.recreate();
    expect(bucket.generation).toBe("generation-2");
    expect(bucket.write(put({ emptyAtSequence: 0 }))).toEqual({ kind: "applied", revision: 1 });
  });

  test("starts above the requested revision when it is recreated, if it supports that", () => {
    const bucket = new FakeBucket();
    bucket.delete();
    bucket.recreate(57);
    bucket.recreate(99);
    expect(bucket.write(put({ emptyAtSequence: 57 }))).toEqual({ kind: "applied", revision: 58 });
    bucket.canBeginAbove = false;
    bucket.delete();
    bucket.recreate(57);
    expect(bucket.write(put({ emptyAtSequence: 0 }))).toEqual({ kind: "applied", revision: 1 });
  });

  test("goes back when the server loses its newest writes", () => {
    const bucket = new FakeBucket();
    bucket.write(put({ emptyAtSequence: 0 }));
    const before = bucket.snapshot();
    bucket.write(put({ revision: 1 }));
    bucket.rollBackTo(before.lastSequence, before.entry);
    expect(bucket.snapshot()).toEqual(before);
  });

  test("reports every write and every repetition to watchers until they stop watching", () => {
    const bucket = new FakeBucket();
    const seen: string[] = [];
    const unwatch = bucket.watch({
      entry: (entry: LeaseEntry) => seen.push(`${entry.kind} ${entry.revision}`),
      gone: () => seen.push("gone"),
    });
    bucket.force((revision) => ({ kind: "deleted", revision }));
    bucket.repeat({ kind: "deleted", revision: 1 });
    bucket.delete();
    unwatch();
    bucket.recreate();
    bucket.force((revision) => ({ kind: "deleted", revision }));
    expect(seen).toEqual(["deleted 1", "deleted 1", "gone"]);
    expect(bucket.log).toHaveLength(2);
  });
});

test("a forged message reaches watchers on the network and changes nothing in the bucket", async () => {
  const time = new VirtualTime();
  const bucket = new FakeBucket();
  const store = new FakeStore(time, bucket);
  const seen: string[] = [];
  const note = (who: string) => (entry: LeaseEntry) =>
    void seen.push(`${who}: ${entry.kind} ${entry.revision}`);
  bucket.watch({ entry: note("server"), gone: () => {} });
  store.watch({ entry: note("node"), gone: () => {} });
  bucket.forge({ kind: "deleted", revision: 99 });
  await time.advance(10);
  expect(seen).toEqual(["node: deleted 99"]);
  expect([bucket.log, bucket.snapshot().lastSequence]).toEqual([[], 0]);
});

describe("a fake store", () => {
  const setUp = (): {
    time: VirtualTime;
    bucket: FakeBucket;
    clock: VirtualClock;
    session: FakeSession;
    store: FakeStore;
  } => {
    const time = new VirtualTime();
    const bucket = new FakeBucket();
    const clock = new VirtualClock(time);
    const session = new FakeSession(new FakeConnections(time), { clock });
    return { time, bucket, clock, session, store: new FakeStore(time, bucket, { clock, session }) };
  };

  test("reports a write as unknown if its request or response is lost", async () => {
    for (const fault of ["dropRequests", "dropResponses"] as const) {
      const { time, bucket, store } = setUp();
      store.network[fault] = true;
      const outcome = store.write(put({ emptyAtSequence: 0 }), 300);
      await time.advance(300);
      expect((await outcome).kind).toBe("unknown");
      expect(bucket.log).toHaveLength(fault === "dropRequests" ? 0 : 1);
    }
  });

  test("reports a late write as unknown, although it is applied", async () => {
    const { time, bucket, store } = setUp();
    store.network.delayNextWriteMs = 1_000;
    const late = store.write(put({ emptyAtSequence: 0 }), 300);
    await time.advance(300);
    expect((await late).kind).toBe("unknown");
    await time.advance(1_000);
    expect(bucket.log).toHaveLength(1);
  });

  test("fails a read without an answer, reports a deleted bucket, and returns a stale snapshot on request", async () => {
    const { time, bucket, store } = setUp();
    const answers: string[] = [];
    const read = async (): Promise<void> => {
      const outcome = store.read(300).then((answer) => answers.push(answer.kind));
      await time.advance(400);
      await outcome;
    };
    store.network.staleSnapshot = bucket.snapshot();
    bucket.write(put({ emptyAtSequence: 0 }));
    await read();
    bucket.delete();
    await read();
    store.network.dropRequests = true;
    await read();
    expect(answers).toEqual(["snapshot", "no-bucket", "failed"]);
  });

  test("reports a write that was meant for an unknown stream as a reason to read, and drops such writes after the read", async () => {
    const { time, bucket, store } = setUp();
    const writer = new FakeStore(time, bucket);
    const seen: string[] = [];
    store.watch({ entry: ({ revision }) => seen.push(`entry ${revision}`), gone: () => seen.push("gone") });
    const done = async (action: PromiseLike<unknown>): Promise<void> => {
      await time.advance(10);
      await action;
    };
    const { signal } = new AbortController();
    await done(store.open(signal));
    await done(writer.open(signal));
    await done(writer.write(put({ emptyAtSequence: 0 }), 300));
    bucket.delete();
    bucket.recreate();
    await done(writer.read(300));
    await done(writer.write(put({ emptyAtSequence: 0 }), 300));
    expect(seen).toEqual(["entry 1", "gone", "gone"]);
    await done(store.read(300));
    await done(writer.write(put({ revision: 1 }), 300));
    expect(seen.splice(0)).toEqual(["entry 1", "gone", "gone", "entry 2"]);
    // A write that was sent before its sender noticed the new bucket.
    bucket.write(put({ revision: 2 }), "generation-1");
    await time.advance(10);
    await done(store.read(300));
    bucket.write(put({ revision: 3 }), "generation-1");
    await time.advance(10);
    expect(seen).toEqual(["gone"]);
  });

  test("delivers no request and no response over a broken connection", async () => {
    const { time, bucket, session, store } = setUp();
    const seen: string[] = [];
    store.watch({ entry: () => seen.push("entry"), gone: () => seen.push("gone") });
    const outcome = store.write(put({ emptyAtSequence: 0 }), 300);
    await time.advance(1);
    session.disconnect();
    await time.advance(400);
    expect((await outcome).kind).toBe("unknown");
    const offline = store.write(put({ revision: 1 }), 300);
    await time.advance(400);
    expect((await offline).kind).toBe("unknown");
    expect(bucket.log).toHaveLength(1);
    expect(seen).toEqual([]);
    session.reconnect();
    bucket.delete();
    await time.advance(10);
    expect(seen).toEqual(["gone"]);
  });

  test("delivers the answer to a request on the next connection, if that is open by then", async () => {
    const { time, session, store } = setUp();
    store.network.delayNextWriteMs = 100;
    const outcome = store.write(put({ emptyAtSequence: 0 }), 300);
    session.disconnect();
    session.reconnect();
    await time.advance(400);
    expect((await outcome).kind).toBe("applied");
  });

  test("holds answers and timeouts while the process is stopped", async () => {
    const { time, clock, store } = setUp();
    let settled = false;
    const outcome = store.write(put({ emptyAtSequence: 0 }), 300).then((answer) => {
      settled = true;
      return answer;
    });
    clock.pause(1_000, "messages");
    await time.advance(999);
    expect(settled).toBe(false);
    await time.advance(1);
    expect((await outcome).kind).toBe("applied");
  });

  test("opens the bucket, creates it if necessary, and fails without an answer", async () => {
    const { time, bucket, store } = setUp();
    bucket.delete();
    const opened = store.open(new AbortController().signal);
    await time.advance(10);
    expect(await opened).toMatchObject({ generation: "generation-2" });
    store.network.dropRequests = true;
    const failed = store.open(new AbortController().signal).catch((error: Error) => error.message);
    await time.advance(1_000);
    expect(await failed).toMatch("no answer");
  });

  test("serves one listener at a time until it is closed", async () => {
    const { time, bucket, store } = setUp();
    const seen: string[] = [];
    const listener = (name: string) => ({ entry: () => void seen.push(name), gone: () => {} });
    store.watch(listener("first"));
    store.watch(listener("second"));
    bucket.force((revision) => ({ kind: "deleted", revision }));
    store.network.dropWatch = true;
    bucket.force((revision) => ({ kind: "deleted", revision }));
    store.network.dropWatch = false;
    await time.advance(10);
    await store.close();
    bucket.force((revision) => ({ kind: "deleted", revision }));
    await time.advance(10);
    expect(seen).toEqual(["second"]);
  });
});

describe("a fake session", () => {
  const listening = (session: FakeSession): SessionEvent["type"][] => {
    const heard: SessionEvent["type"][] = [];
    session.listen((event) => heard.push(event.type));
    return heard;
  };

  test("has another connection after every reconnect, and emits both changes", async () => {
    const connections = new FakeConnections(new VirtualTime());
    const session = new FakeSession(connections, { presence: true });
    const heard = listening(session);
    expect(session.binding).toEqual({ serverId: "server", clientId: 1, presence: "stream.presence-1" });
    session.disconnect();
    session.disconnect();
    expect(session.connected).toBe(false);
    session.reconnect();
    session.reconnect();
    expect(session.binding?.clientId).toBe(2);
    expect(heard).toEqual(["disconnected", "connected"]);
  });

  test("reports the deletion of the presence that it watches, and of no other", async () => {
    const time = new VirtualTime();
    const connections = new FakeConnections(time);
    const [a, b, c] = [0, 1, 2].map(() => new FakeSession(connections, { presence: true }));
    if (a === undefined || b === undefined || c === undefined) throw new Error("three sessions");
    const heard = listening(a);
    watchPresence(a, "stream.presence-2");
    c.kill();
    await time.advance(5);
    expect(heard).toEqual([]);
    b.kill();
    await time.advance(5);
    expect(heard).toEqual(["presence-lost"]);
    b.kill();
    a.disconnect();
    connections.advise("stream.presence-2");
    await time.advance(5);
    expect(heard).toEqual(["presence-lost", "disconnected"]);
  });

  test("confirms a death only with an answer of the server, within the timeout", async () => {
    const time = new VirtualTime();
    const connections = new FakeConnections(time);
    const network = { ...new FakeStore(time, new FakeBucket()).network };
    const a = new FakeSession(connections, { network });
    const b = new FakeSession(connections, { presence: true });
    const binding = b.binding;
    if (binding === null) throw new Error("connected");
    const ask = async (): Promise<boolean> => {
      const answer = confirmsDeath(a, binding, 100);
      await time.advance(100);
      await settle();
      return answer;
    };
    expect(await ask()).toBe(false);
    b.disconnect();
    expect(await ask()).toBe(true);
    network.dropRequests = true;
    expect(await ask()).toBe(false);
    network.dropRequests = false;
    network.dropResponses = true;
    expect(await ask()).toBe(false);
    a.disconnect();
    expect(await ask()).toBe(false);
  });

  test("may be listed as closed while the server still handles what it has sent", async () => {
    const time = new VirtualTime();
    const connections = new FakeConnections(time);
    for (const closesEarly of [false, true]) {
      const connection = connections.connect(false);
      connections.slowDown(connection, 100, closesEarly);
      const handled: string[] = [];
      connections.receive(connection, () => handled.push("in the buffer"));
      await time.advance(10);
      connections.receive(connection, () => handled.push("after it"));
      connections.close(connection);
      const kind = closesEarly ? "closed" : "open";
      expect(connections.answer(connection, false)).toMatchObject({ kind });
      expect(handled).toEqual(["in the buffer"]);
      await time.advance(100);
      expect(connections.answer(connection, false)).toEqual({ kind: "closed" });
      expect(handled).toEqual(["in the buffer", "after it"]);
    }
  });

  test("that has ended is not listed any more once the server has forgotten it; an open one is", async () => {
    const time = new VirtualTime();
    const connections = new FakeConnections(time);
    const [ended, open] = [connections.connect(true), connections.connect(true)];
    connections.close(ended);
    connections.forgetClosed();
    expect(connections.answer(ended, true)).toBeNull();
    expect(connections.answer(open, true)).toEqual({ kind: "open", inMsgs: 0 });
    const later = connections.connect(true);
    connections.close(later);
    expect(connections.answer(later, true)).toEqual({ kind: "closed" });
  });

  test("is neither open nor closed while the server does not answer", async () => {
    const time = new VirtualTime();
    const connections = new FakeConnections(time);
    const connection = connections.connect(false);
    connections.mute(100);
    connections.close(connection);
    expect(connections.answer(connection, false)).toBeNull();
    await time.advance(100);
    expect(connections.answer(connection, false)).toEqual({ kind: "closed" });
  });

  test("of another account learns nothing about a connection, not even that it is closed, and does not hear its beats", async () => {
    const time = new VirtualTime();
    const connections = new FakeConnections(time);
    const holder = new FakeSession(connections, { silenceMs: 2_000 });
    const clocks = [new VirtualClock(time), new VirtualClock(time)] as const;
    const same = new FakeSession(connections, { clock: clocks[0] });
    const other = new FakeSession(connections, { clock: clocks[1], account: "other" });
    const { binding } = holder;
    if (binding === null) throw new Error("connected");
    const watched = { ...binding, silence: { ms: 2_000, account: "account" } };
    const heard = [listening(same), listening(other)];
    for (const session of [same, other]) session.watchHolder(watched);
    holder.beat(250);
    await time.advance(1_000);
    expect(heard).toEqual([[], ["holder-silent"]]);
    holder.kill();
    // Its last beat is still under way.
    await time.advance(10);
    const answers = [same, other].map((session) =>
      session.inquire(watched, { timeoutMs: 100, closedIsEnough: true }),
    );
    await time.advance(100);
    expect(await Promise.all(answers)).toEqual([{ kind: "closed" }, { kind: "none" }]);
    for (const session of [same, other]) session.kill();
    expect(time.pending).toBe(0);
  });

  test("reports what happened while its process was stopped only afterwards", async () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const session = new FakeSession(new FakeConnections(time), { clock });
    const heard = listening(session);
    clock.pause(100);
    session.disconnect();
    await time.advance(99);
    expect(session.connected).toBe(true);
    expect(session.link).toBeNull();
    await time.advance(1);
    expect(session.connected).toBe(false);
    expect(heard).toEqual(["disconnected"]);
  });
});
