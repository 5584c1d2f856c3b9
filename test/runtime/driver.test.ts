import { describe, expect, test } from "vitest";
import type { CrashDetection, ElectionEvent } from "../../src/election/types.ts";
import { Driver, type Output } from "../../src/runtime/driver.ts";
import { FakeBucket } from "../../src/testing/simulation/fakes/fake-bucket.ts";
import { FakeConnections } from "../../src/testing/simulation/fakes/fake-connections.ts";
import { FakeSession } from "../../src/testing/simulation/fakes/fake-session.ts";
import { FakeStore } from "../../src/testing/simulation/fakes/fake-store.ts";
import { perfectNetwork } from "../../src/testing/simulation/fakes/network.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";
import { config, record } from "../election/play/solo.ts";

class Rig {
  readonly time = new VirtualTime();
  readonly bucket = new FakeBucket();
  readonly connections = new FakeConnections(this.time);
  readonly clock = new VirtualClock(this.time);
  readonly session: FakeSession;
  readonly store: FakeStore;
  readonly driver: Driver;
  readonly log: string[] = [];
  /** What happens to the messages of this node. */
  readonly network = perfectNetwork();
  onOutput: (output: Output) => void = () => {};
  onTrace: (event: ElectionEvent) => void = () => {};

  constructor(crashDetection: CrashDetection = "lease", silenceMs = 0) {
    const { clock, time, network } = this;
    this.session = new FakeSession(this.connections, {
      presence: crashDetection === "presence",
      clock,
      ...(silenceMs === 0 ? {} : { silenceMs, network }),
    });
    this.store = new FakeStore(time, this.bucket, {
      clock,
      session: this.session,
      ...(silenceMs === 0 ? {} : { network }),
    });
    this.driver = new Driver({
      config: { ...config, crashDetection, silenceMs },
      clock,
      store: this.store,
      session: this.session,
      output: (output) => {
        this.log.push(output.type);
        this.onOutput(output);
      },
      trace: (event) => {
        this.log.push(`<${event.type}`);
        this.onTrace(event);
      },
    });
  }

  async leading(): Promise<this> {
    this.driver.start(this.store.info());
    await this.time.advance(10);
    expect(this.driver.isHeld()).toBe(true);
    this.log.length = 0;
    return this;
  }

  async stop(): Promise<void> {
    this.driver.dispatch({ type: "stop" });
    this.driver.dispatch({ type: "drained" });
    await this.time.advance(2_000);
    await this.store.close();
  }
}

describe("the queue", () => {
  test("handles an event that an effect causes after the step that emitted the effect", async () => {
    const rig = await new Rig().leading();
    rig.onOutput = (output) => {
      if (output.type === "drain") rig.driver.dispatch({ type: "drained" });
    };
    rig.driver.dispatch({ type: "resign", reason: "released" });
    expect(rig.log).toEqual(["<resign", "drain", "<drained"]);
    await rig.time.advance(10);
    expect(rig.log.slice(3)).toEqual(["<watched", "<written", "released", "leader-change"]);
    await rig.stop();
  });

  test("never handles one event inside another", async () => {
    const rig = await new Rig().leading();
    let depth = 0;
    let deepest = 0;
    rig.onOutput = () => {
      depth += 1;
      deepest = Math.max(deepest, depth);
      rig.driver.dispatch({ type: "tick" });
      depth -= 1;
    };
    rig.driver.dispatch({ type: "resign", reason: "released" });
    rig.driver.dispatch({ type: "drained" });
    await rig.time.advance(100);
    expect(deepest).toBe(1);
    expect(rig.log.filter((entry) => entry === "<tick").length).toBe(3);
    await rig.stop();
  });

  test("goes on after an output handler that threw", async () => {
    const rig = await new Rig().leading();
    rig.onOutput = () => {
      throw new Error("a bug of the caller");
    };
    expect(() => rig.driver.dispatch({ type: "resign", reason: "released" })).toThrow("a bug of the caller");
    rig.onOutput = () => {};
    rig.driver.dispatch({ type: "drained" });
    await rig.time.advance(100);
    expect(rig.log).toContain("released");
    await rig.stop();
  });
});

describe("effects", () => {
  test("are carried out in order", async () => {
    const rig = new Rig();
    rig.driver.start(rig.store.info());
    await rig.time.advance(10);
    expect(rig.log).toEqual([
      "<bucket-opened",
      "<connected",
      "<read",
      "<watched",
      "<written",
      "become-leader",
      "leader-change",
    ]);
    await rig.stop();
  });

  test("follow the state: a new leader is held when `become-leader` is emitted", async () => {
    for (const crashDetection of ["lease", "presence"] as const) {
      const rig = new Rig(crashDetection);
      const held: boolean[] = [];
      rig.onOutput = (output) => {
        if (output.type !== "leader-change") held.push(rig.driver.isHeld());
      };
      rig.driver.start(rig.store.info());
      await rig.time.advance(10);
      expect(held).toEqual([true]);
      await rig.stop();
    }
  });

  test("begin no term on a connection that ended while the process stood still", async () => {
    for (const cut of [false, true]) {
      const rig = new Rig("presence");
      rig.onTrace = (event) => {
        if (event.type === "watched") rig.clock.pause(900, "messages");
      };
      rig.driver.start(rig.store.info());
      rig.time.after(500, () => {
        if (cut) rig.session.disconnect();
      });
      const held: boolean[] = [];
      rig.onOutput = (output) => {
        if (output.type === "become-leader") held.push(rig.driver.isHeld());
      };
      await rig.time.advance(910);
      expect(rig.log).toContain("<written");
      expect(held).toEqual(cut ? [] : [true]);
      await rig.stop();
    }
  });

  test("follow the state: a resumed term is held when `resumed` is emitted, a suspended one is not", async () => {
    const rig = await new Rig("presence").leading();
    const held: [string, boolean][] = [];
    rig.onOutput = (output) => held.push([output.type, rig.driver.isHeld()]);
    rig.session.disconnect();
    await rig.time.advance(1_000);
    rig.session.reconnect();
    await rig.time.advance(10);
    expect(held).toEqual([
      ["suspended", false],
      ["resumed", true],
    ]);
    await rig.stop();
  });

  test("reopen a deleted bucket, with retries while that fails", async () => {
    const rig = await new Rig().leading();
    let refused = 3;
    const open = rig.store.open.bind(rig.store);
    rig.store.open = async (signal) => {
      if (refused === 0) return open(signal);
      refused -= 1;
      throw new Error("no storage left");
    };
    rig.bucket.delete();
    await rig.time.advance(60_000);
    expect(rig.log.filter((entry) => entry === "<bucket-failed")).toHaveLength(3);
    expect(rig.driver.isHeld()).toBe(true);
    await rig.stop();
  });

  test("ask the server about a suspicion, and dispatch only a confirmation", async () => {
    const rig = await new Rig("presence").leading();
    const other = new Driver({
      config: { ...config, nodeId: "b", incarnation: "b1", crashDetection: "presence" },
      clock: new VirtualClock(rig.time),
      store: new FakeStore(rig.time, rig.bucket),
      session: new FakeSession(rig.connections, { presence: true }),
      output: () => {},
    });
    other.start(rig.store.info());
    await rig.time.advance(100);
    rig.connections.advise(rig.session.binding?.presence ?? "");
    await rig.time.advance(100);
    expect(other.isHeld()).toBe(false);
    rig.clock.kill();
    rig.session.kill();
    await rig.time.advance(100);
    expect(other.isHeld()).toBe(true);
  });
});

describe("the timer", () => {
  test("is one", async () => {
    const rig = await new Rig().leading();
    for (let i = 0; i < 100; i += 1) rig.driver.dispatch({ type: "tick" });
    // The next renewal, and the timeouts of the requests that were answered.
    await rig.time.advance(1_100);
    expect(rig.time.pending).toBe(1);
    await rig.stop();
  });

  test("ticks only when something is due", async () => {
    const rig = await new Rig().leading();
    await rig.time.advance(60_000);
    expect(rig.log.filter((entry) => entry === "<tick").length).toBe(20);
    await rig.stop();
  });

  test("that fires too early is not set again before it fires", async () => {
    const rig = new Rig();
    rig.bucket.force((revision) => record(revision, "b", 3));
    rig.driver.start(rig.store.info());
    await rig.time.advance(10);
    rig.log.length = 0;
    let set = 0;
    const setTimer = rig.clock.setTimer.bind(rig.clock);
    rig.clock.setTimer = (delayMs, fire) => {
      set += 1;
      return setTimer(delayMs, fire);
    };
    // Each renewal is read, which puts off the read that silence would cause by 1.5 heartbeat intervals.
    for (let i = 0; i < 30; i += 1) {
      rig.bucket.force((revision) => record(revision, "b", 3));
      await rig.time.advance(1_000);
    }
    expect(rig.log).toEqual(Array.from({ length: 30 }, () => ["<watched", "<read"]).flat());
    const timeouts = 30;
    expect(set - timeouts).toBeLessThan(15);
    await rig.time.advance(3_499);
    expect(rig.log).toHaveLength(60);
    await rig.time.advance(10);
    expect(rig.log.slice(60, 62)).toEqual(["<tick", "<read"]);
    await rig.stop();
  });
});

describe("a leader whose process was stopped until after its deadline", () => {
  test("is not held from its first instruction on, before any event is handled", async () => {
    const rig = await new Rig().leading();
    rig.clock.pause(20_000);
    await rig.time.advance(19_000);
    expect(rig.log).toEqual([]);
    expect(rig.driver.state.role.name).toBe("leader");
    expect(rig.driver.isHeld()).toBe(false);
    await rig.time.advance(2_000);
    expect(rig.log[1]).toBe("lose-leadership");
    await rig.stop();
  });
});

describe("remainingMs", () => {
  test("is that of the running term, and 0 for any other", async () => {
    const rig = await new Rig().leading();
    expect(rig.driver.remainingMs(1)).toBe(9_492);
    expect(rig.driver.remainingMs(2)).toBe(0);
    await rig.stop();
    expect(rig.driver.remainingMs(1)).toBe(0);
  });

  test.each(["silence", "presence"] as const)(
    "ends with the stretch, and is 0 while the term is suspended, whatever is sent then (%s)",
    async (crashDetection) => {
      const rig = await new Rig(crashDetection, 2_000).leading();
      for (let passedMs = 0; passedMs < 20_000; passedMs += 37) {
        await rig.time.advance(37);
        // A beat every 250 ms is proven by the next one.
        if (passedMs > 500) expect(rig.driver.remainingMs(1)).toBeGreaterThan(2_000 - 2 * 250 - 10);
        expect(rig.driver.remainingMs(1)).toBeLessThanOrEqual(2_000);
        expect(rig.driver.leaseRemainingMs(1)).toBeGreaterThan(5_000);
      }
      rig.network.dropRequests = true;
      await rig.time.advance(2_000);
      expect(rig.driver.state.role.name).toBe("suspended");
      // Renewals are sent, and each begins a stretch. Others may have confirmed the silence of the last one.
      for (let passedMs = 0; passedMs < 3_000; passedMs += 37) {
        await rig.time.advance(37);
        expect(rig.driver.remainingMs(1)).toBe(0);
        expect(rig.driver.leaseRemainingMs(1)).toBeGreaterThan(0);
      }
      expect(rig.driver.state.writes.lastNonce).toBeGreaterThan(2);
      rig.network.dropRequests = false;
      await rig.time.advance(2_000);
      expect(rig.driver.state.role.name).toBe("leader");
      expect(rig.driver.remainingMs(1)).toBeGreaterThan(1_400);
      await rig.stop();
    },
  );

  test("ends with the last round trip for what has to end by itself, with presence only, also while the term is being given up", async () => {
    const ends: Record<string, number[]> = {};
    for (const crashDetection of ["lease", "silence", "presence"] as const) {
      const rig = await new Rig(crashDetection, 8_000).leading();
      await rig.time.advance(3_000);
      const proven: number[] = [rig.driver.provenRemainingMs(1)];
      expect(rig.driver.provenRemainingMs(2)).toBe(0);
      rig.network.dropRequests = true;
      await rig.time.advance(900);
      rig.driver.dispatch({ type: "resign", reason: "released" });
      await rig.time.advance(200);
      expect(rig.driver.remainingMs(1)).toBeGreaterThan(1_000);
      proven.push(rig.driver.provenRemainingMs(1));
      rig.network.dropRequests = false;
      await rig.time.advance(600);
      proven.push(rig.driver.provenRemainingMs(1));
      ends[crashDetection] = proven.map((ms) => Math.sign(ms) * (ms <= 1_000 ? 1 : 2));
      await rig.stop();
    }
    expect(ends).toEqual({ lease: [2, 2, 2], silence: [2, 2, 2], presence: [1, 0, 1] });
  });

  test("is 0 from the end of the stretch on while the term is being given up, until a renewal is known to be applied", async () => {
    const rig = await new Rig("silence", 2_000).leading();
    await rig.time.advance(1_000);
    rig.driver.dispatch({ type: "resign", reason: "released" });
    await rig.time.advance(3_000);
    expect(rig.driver.remainingMs(1)).toBeGreaterThan(1_400);
    rig.network.dropRequests = true;
    await rig.time.advance(2_000);
    const sent = rig.driver.state.writes.lastNonce;
    for (let passedMs = 0; passedMs < 4_000; passedMs += 37) {
      await rig.time.advance(37);
      expect(rig.driver.remainingMs(1)).toBe(0);
      expect(rig.driver.leaseRemainingMs(1)).toBeGreaterThan(0);
    }
    expect(rig.driver.state.writes.lastNonce).toBeGreaterThan(sent);
    // The next applied renewal shows that no other node leads.
    rig.network.dropRequests = false;
    await rig.time.advance(1_500);
    expect(rig.driver.state.role.name).toBe("draining");
    expect(rig.driver.remainingMs(1)).toBeGreaterThan(1_400);
    await rig.stop();
  });
});

test("expire() suspends a term whose stretch has ended, before its timer has fired", async () => {
  const rig = await new Rig("silence", 2_000).leading();
  rig.clock.pause(20_000);
  await rig.time.advance(3_000);
  expect(rig.driver.state.role.name).toBe("leader");
  expect(rig.driver.isHeld()).toBe(false);
  rig.driver.expire();
  expect(rig.driver.state.role.name).toBe("suspended");
  await rig.time.advance(20_000);
  await rig.stop();
});

describe("stop", () => {
  test.each(["lease", "presence"] as const)(
    "leaves no timer and no listener behind (%s)",
    async (crashDetection) => {
      const rig = await new Rig(crashDetection).leading();
      await rig.stop();
      expect(rig.log.at(-1)).toBe("stopped");
      expect(rig.driver.state.role.name).toBe("stopped");
      expect(rig.session.listeners).toBe(0);
      expect(rig.time.pending).toBe(0);
    },
  );

  test("aborts the opening of the bucket", async () => {
    const rig = await new Rig().leading();
    let aborted = false;
    rig.store.open = (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted = true;
          reject(new Error("aborted"));
        });
      });
    rig.bucket.delete();
    await rig.time.advance(100);
    rig.driver.dispatch({ type: "stop" });
    await rig.time.advance(2_000);
    expect(aborted).toBe(true);
    expect(rig.log.at(-1)).toBe("<bucket-failed");
    expect(rig.driver.state.role.name).toBe("stopped");
    expect(rig.time.pending).toBe(0);
  });

  test("ends the watch of a presence", async () => {
    const rig = await new Rig("presence").leading();
    const watched: (string | null)[] = [];
    const session = new FakeSession(rig.connections, { presence: true });
    session.watchHolder = (holder) => watched.push(holder?.presence ?? null);
    const other = new Driver({
      config: { ...config, nodeId: "b", incarnation: "b1", crashDetection: "presence" },
      clock: new VirtualClock(rig.time),
      store: new FakeStore(rig.time, rig.bucket),
      session,
      output: () => {},
    });
    other.start(rig.store.info());
    await rig.time.advance(10);
    other.dispatch({ type: "stop" });
    expect(watched).toEqual([rig.session.binding?.presence, null]);
    await rig.stop();
  });
});

test("a driver on a session that is not connected yet waits for it", async () => {
  const rig = new Rig();
  rig.session.disconnect();
  rig.driver.start(rig.store.info());
  await rig.time.advance(10_000);
  expect(rig.log).toEqual(["<bucket-opened"]);
  rig.session.reconnect();
  await rig.time.advance(10);
  expect(rig.driver.isHeld()).toBe(true);
  await rig.stop();
});
