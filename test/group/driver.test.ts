import { describe, expect, test } from "vitest";
import type { CrashDetection } from "../../src/election/types.ts";
import { balance } from "../../src/group/balance.ts";
import { GroupDriver, type GroupOutput } from "../../src/group/driver.ts";
import { FakeConnections } from "../../src/testing/simulation/fakes/fake-connections.ts";
import { FakeGroupBucket } from "../../src/testing/simulation/fakes/fake-group-bucket.ts";
import { FakeGroupStore } from "../../src/testing/simulation/fakes/fake-group-store.ts";
import { FakeSession } from "../../src/testing/simulation/fakes/fake-session.ts";
import { perfectGroupNetwork } from "../../src/testing/simulation/fakes/group-network.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";
import { VirtualClock } from "../../src/testing/simulation/time/virtual-clock.ts";
import { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";
import { ownedBy } from "../support/group/owned-by.ts";

const LEASE_MS = 10_000;

class Rig {
  readonly time = new VirtualTime();
  readonly bucket = new FakeGroupBucket();
  readonly connections = new FakeConnections(this.time);
  readonly clock = new VirtualClock(this.time);
  readonly network = perfectGroupNetwork();
  readonly session: FakeSession;
  readonly driver: GroupDriver;
  /** `<event` for every step, and every output but those about the plan. */
  readonly log: string[] = [];
  readonly #resources: readonly string[];
  onOutput: (output: GroupOutput) => void = () => {};

  constructor(crashDetection: CrashDetection = "lease", resources: readonly string[] = ["r", "s"]) {
    const { time, bucket, clock, network } = this;
    this.#resources = resources;
    this.session = new FakeSession(this.connections, {
      presence: crashDetection === "presence",
      clock,
      network,
    });
    const { session } = this;
    const store = new FakeGroupStore({ time, bucket, network, clock, session, random: new SeededRandom(7) });
    this.driver = new GroupDriver({
      config: {
        memberId: "a",
        incarnation: "a1",
        crashDetection,
        silenceMs: 0,
        leaseTtlMs: LEASE_MS,
        heartbeatIntervalMs: 3_000,
        renewIntervalMs: 3_000,
        requestTimeoutMs: 1_000,
        bulkTimeoutMs: 5_000,
        retryDelayMs: 250,
        window: 16,
        maxMoves: 2,
        settleMs: 2_000,
        rejoinGraceMs: 0,
        unownedGraceMs: 1_000,
        balance,
      },
      profile: { weight: 1 },
      clock,
      store,
      session,
      bucket: { generation: bucket.generation, maxAgeMs: 0, replicas: 1, republish: true },
      output: (output) => {
        if (output.type !== "coordinating") this.log.push(output.type);
        this.onOutput(output);
      },
      trace: (event) => this.log.push(`<${event.type}`),
    });
  }

  held(): number {
    return this.#resources.filter((resource) => this.driver.isHeld(resource)).length;
  }

  async owning(): Promise<this> {
    this.driver.dispatch({ type: "resources", resources: this.#resources.map((name) => ({ name })) });
    this.driver.start();
    await this.time.advance(2_000);
    expect(this.held()).toBe(this.#resources.length);
    this.log.length = 0;
    return this;
  }

  async stop(): Promise<void> {
    this.onOutput = (output) => {
      if (output.type === "drain") this.driver.dispatch({ ...output, type: "drained" });
    };
    this.driver.dispatch({ type: "stop", restarting: false });
    await this.time.advance(2_000);
    expect(this.log.at(-1)).toBe("stopped");
    expect(this.session.listeners).toBe(0);
  }
}

describe("the queue of a member", () => {
  test("handles an event that an output causes after the step, and never one inside another", async () => {
    const rig = await new Rig().owning();
    let depth = 0;
    let deepest = 0;
    rig.onOutput = (output) => {
      depth += 1;
      deepest = Math.max(deepest, depth);
      if (output.type === "drain") rig.driver.dispatch({ ...output, type: "drained" });
      depth -= 1;
    };
    rig.driver.dispatch({ type: "stop", restarting: false });
    expect(rig.log.slice(0, 5)).toEqual(["<stop", "drain", "drain", "members", "<drained"]);
    expect(deepest).toBe(1);
    await rig.time.advance(100);
    expect(rig.log.at(-1)).toBe("stopped");
  });

  test("goes on with what waits in it after an output handler that threw", async () => {
    const rig = await new Rig().owning();
    rig.onOutput = ({ type }) => {
      if (type !== "drain") return;
      rig.driver.dispatch({ type: "tick" });
      throw new Error("a bug of the caller");
    };
    expect(() => rig.driver.dispatch({ type: "draining", draining: true })).toThrow("a bug of the caller");
    rig.onOutput = () => {};
    rig.driver.dispatch({ type: "tick" });
    expect(rig.log.filter((entry) => entry === "<tick")).toHaveLength(3);
    for (const { resource, epoch } of ownedBy(rig.driver.state))
      rig.driver.dispatch({ type: "drained", resource, epoch });
    await rig.stop();
  });
});

describe("a resource", () => {
  test("is not held at the first instruction after a pause that outlasted the lease, without any event", async () => {
    const rig = await new Rig().owning();
    rig.clock.pause(LEASE_MS);
    const before = rig.log.length;
    await rig.time.advance(LEASE_MS - 1);
    expect([rig.held(), rig.log.length, rig.driver.remainingMs(), rig.driver.leaseRemainingMs()]).toEqual([
      0,
      before,
      0,
      0,
    ]);
    // Asked for by a term: the session ends for good without waiting for the timer.
    rig.driver.expire();
    expect(rig.log.slice(before)).toEqual(["<tick", "session-ended", "lose", "lose", "members"]);
    await rig.time.advance(5_000);
    expect(rig.held()).toBe(2);
    await rig.stop();
  });

  test("is not held after a pause, with a presence, before the loop has found the connection open", async () => {
    const rig = await new Rig("presence").owning();
    rig.clock.pause(1_000);
    await rig.time.advance(999);
    expect([rig.held(), rig.driver.leaseRemainingMs() > 0]).toEqual([0, true]);
    let isFresh = false;
    void rig.driver.freshened(Number.POSITIVE_INFINITY, undefined).then(() => {
      isFresh = true;
    });
    await rig.time.advance(500);
    expect([rig.held(), isFresh]).toEqual([2, true]);
    await rig.stop();
  });

  test("of a doubted term ends with the doubt, for its guard, too, and not with the session", async () => {
    const rig = await new Rig().owning();
    // No answer can end the doubt.
    rig.network.lostRequests.add("read").add("bulk");
    rig.bucket.force((revision) => ({
      kind: "garbage",
      key: { kind: "owner", resource: "r" },
      revision,
      reason: "an operator",
    }));
    await rig.time.advance(10);
    const doubtedMs = rig.driver.leaseRemainingMs();
    expect(rig.driver.leaseRemainingMs("r")).toBe(doubtedMs);
    await rig.time.advance(6_000);
    expect(rig.driver.leaseRemainingMs()).toBeGreaterThan(doubtedMs - 6_000);
    for (const left of ["leaseRemainingMs", "remainingMs", "provenRemainingMs"] as const) {
      expect(rig.driver[left]("r")).toBe(doubtedMs - 6_000);
      expect(rig.driver[left]("s")).toBe(rig.driver[left]());
    }
    rig.clock.pause(LEASE_MS);
    await rig.time.advance(doubtedMs - 6_000);
    expect([rig.driver.isHeld("r"), rig.driver.isHeld("s")]).toEqual([false, true]);
    // Asked for by the term, before its timer.
    rig.driver.expire();
    expect(rig.log.filter((entry) => entry === "lose")).toHaveLength(1);
  });

  test("is suspended with the connection and held again by a renewal on the next one, in the same term", async () => {
    const rig = await new Rig("presence").owning();
    rig.session.disconnect();
    await rig.time.advance(10);
    expect(rig.held()).toBe(0);
    rig.session.reconnect();
    await rig.time.advance(100);
    expect(rig.held()).toBe(2);
    expect(rig.log.filter((entry) => /^(suspended|resumed|lose|own)$/.test(entry))).toEqual([
      "suspended",
      "resumed",
    ]);
    await rig.stop();
  });

  test("of thousands is not held any more when the end of their session is reported", async () => {
    const resources = Array.from({ length: 3_000 }, (_, index) => `r${index}`);
    const rig = await new Rig("lease", resources).owning();
    const held: number[] = [];
    rig.onOutput = ({ type }) => {
      if (type === "session-ended") held.push(rig.held());
    };
    rig.clock.pause(LEASE_MS);
    await rig.time.advance(LEASE_MS + 10);
    expect(held).toEqual([0]);
    const ended = rig.log.indexOf("session-ended");
    expect(rig.log.slice(ended + 1, ended + 3_001)).toEqual(resources.map(() => "lose"));
    await rig.stop();
  });
});
