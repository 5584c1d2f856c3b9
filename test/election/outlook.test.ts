import { describe, expect, test } from "vitest";
import { wakeDelayMs } from "../../src/election/due.ts";
import { isHeld } from "../../src/election/election.ts";
import {
  dependsOnConnection,
  epochFloor,
  expectationOf,
  nextEpoch,
  watchedHolder,
} from "../../src/election/outlook.ts";
import { contradictsView } from "../../src/election/trust.ts";
import type { View } from "../../src/election/types.ts";
import { Ensemble } from "./play/ensemble.ts";
import { connection, deleted, garbage, goRecord, record, released, Solo } from "./play/solo.ts";

const since = { mono: 0, boot: 0, wall: 0 };
const vacant = (
  revision: number,
  lastSequence: number,
  floor: number,
): Extract<View, { kind: "vacant" }> => ({
  kind: "vacant",
  successor: undefined,
  revision,
  lastSequence,
  epochFloor: floor,
  since,
});

describe("the floor of the next epoch", () => {
  const floors = (play: Solo): number => epochFloor(play.state.lease.view);
  const following = (): Solo => new Solo("", { competes: false }).opened().connected();

  test("without a view is 0", () => {
    expect(floors(new Solo(""))).toBe(0);
  });

  test("is the epoch of a record or a release", () => {
    expect(floors(following().reads(record(7, "b", 3)))).toBe(3);
    expect(floors(following().reads(released(7, 3)))).toBe(3);
  });

  test("is the sequence where no epoch can be read, since no epoch exceeds the sequence it was written at", () => {
    for (const entry of [garbage(7), deleted(7), null]) {
      expect(floors(following().reads(entry, 7))).toBe(7);
      expect(
        floors(
          following()
            .reads(record(5, "b", 3))
            .learns(entry ?? deleted(7)),
        ),
      ).toBe(7);
    }
  });

  test("is as far above the sequence as what was seen, in a bucket whose revisions have begun at 1 again", () => {
    for (const entry of [garbage(7), deleted(7)]) {
      expect(
        floors(
          following()
            .reads(record(5, "b", 40))
            .learns(entry),
        ),
      ).toBe(42);
      expect(floors(following().reads(released(5, 40)).learns(entry))).toBe(42);
      expect(
        floors(
          following()
            .reads(record(5, "b", 40))
            .learns(entry)
            .learns(garbage(9)),
        ),
      ).toBe(44);
    }
    expect(
      floors(
        following()
          .reads(record(5, "b", 40))
          .connected()
          .reads(null, 8),
      ),
    ).toBe(43);
  });

  test("counts from what is remembered of the bucket before, where nothing else of this one was seen", () => {
    const again = following()
      .reads(record(5, "b", 40))
      .connected();
    expect(floors(again.reads(garbage(2), 2, "generation-2"))).toBe(42);
    expect(floors(new Solo("", { rememberedEpoch: 40 }).opened().connected().reads(garbage(3)))).toBe(43);
    const regressed = new Solo("", { rememberedEpoch: 40 })
      .opened()
      .connected()
      .reads(record(3, "b", 2));
    expect(floors(regressed.learns(garbage(5)))).toBe(45);
  });

  test("is above the epoch of a node that has found garbage and nothing else in a bucket whose revisions have begun at 1 again", () => {
    const epochOf = ({ state }: Solo): number => {
      const { view } = state.lease;
      return (view.kind === "unknown" ? null : nextEpoch(state, view)) ?? 0;
    };
    const remembering = (): Solo =>
      new Solo("", { competes: false, rememberedEpoch: 100 }).opened().connected();
    // Epoch 101 has led up to revision 50, and garbage has replaced its record.
    const late = remembering().reads(garbage(51));
    const hidden = epochOf(late);
    expect(hidden).toBeGreaterThan(101);
    // The record with that epoch, at revision 52, is replaced by garbage, too.
    const early = remembering()
      .reads(record(1, "b", 101))
      .learns(record(50, "b", 101, { nonce: 50 }));
    expect(epochOf(early.learns(garbage(53)))).toBeGreaterThan(hidden);
  });

  test("counts what is remembered for each bucket again: none whose revisions lie above it", () => {
    const play = new Solo("", { competes: false, rememberedEpoch: 100 })
      .opened()
      .connected()
      .reads(garbage(7));
    expect(floors(play)).toBe(107);
    expect(floors(play.connected().reads(garbage(202), 202, "generation-2"))).toBe(202);
  });

  test("lies above what was seen in a bucket that has lost messages", () => {
    const play = following()
      .reads(record(30, "b", 20))
      .connected();
    play.state = { ...play.state, lease: { ...play.state.lease, disputed: true } };
    play.at(10_000).reads(record(12, "b", 5));
    expect(floors(play.learns(garbage(14)))).toBe(22);
  });
});

test("a write expects exactly what was seen", () => {
  expect(expectationOf({ kind: "occupied", revision: 7, record: null, epochFloor: 7 })).toEqual({
    revision: 7,
  });
  expect(expectationOf(vacant(9, 9, 4))).toEqual({ revision: 9 });
  expect(expectationOf(vacant(0, 12, 12))).toEqual({ emptyAtSequence: 12 });
});

describe("the leader that a follower announces", () => {
  const following = (...args: ConstructorParameters<typeof Solo>): Solo =>
    new Solo(...args).opened().connected();

  test.each([
    ["is the one in the record", record(7, "b", 3), "b"],
    ["is the one in a go-cluster record", goRecord(7, "g", 3), "g"],
    ["is none when there is garbage", garbage(7), undefined],
    ["is none after a release", released(7, 3), undefined],
    ["is none after a delete", deleted(7), undefined],
  ])("%s", (_, entry, leader) => {
    expect(following("").reads(entry).state.announced?.nodeId).toBe(leader);
  });

  test("is announced again when only the incarnation has changed", () => {
    const play = following("").reads(record(7, "b", 3));
    play.learns(record(8, "b", 3, { incarnation: "b2" }));
    expect(play.effectTypes).toEqual(["leader-change"]);
  });

  test("is not announced again by a renewal", () => {
    expect(
      following("")
        .reads(record(7, "b", 3))
        .learns(record(8, "b", 3, { nonce: 2 })).effectTypes,
    ).toEqual([]);
  });
});

describe("a message of a deleted bucket that arrives after the next one was read", () => {
  const straggler = record(3, "a", 1, { nonce: 9 });
  const following = (): Solo => new Solo("").opened().connected().reads(straggler).until(4_500);

  test("is replaced by a record read at the same revision, which starts the takeover wait", () => {
    const play = following().reads(record(3, "b", 2));
    expect(play.state.lease.view).toMatchObject({ revision: 3, record: { nodeId: "b", epoch: 2 } });
    expect(play.state.holder.takeoverWait).toMatchObject({ waitMs: 10_000 });
  });

  test("causes a read when the watch shows another message at its revision", () => {
    const play = following().reads(straggler);
    expect(contradictsView(play.state, straggler)).toBe(false);
    expect(play.watched(record(3, "b", 2)).state.reads.inFlight).toBe(true);
  });

  test.each([
    ["garbage", garbage(3)],
    ["a release", released(3, 1)],
    ["a delete", deleted(3)],
  ])("is replaced by %s", (_, entry) => {
    expect(following().reads(entry).state.lease.view).not.toMatchObject({ record: { nodeId: "a" } });
  });
});

describe("the takeover wait after garbage was written over a lease", () => {
  const waitMs = (play: Solo): number | undefined => play.state.holder.takeoverWait?.waitMs;

  test("is as long as the holder's TTL", () => {
    const play = new Solo("")
      .opened()
      .connected()
      .reads(record(7, "b", 3, { ttlMs: 20_000 }));
    expect(waitMs(play.learns(garbage(8)))).toBe(20_000);
    expect(waitMs(play.learns(garbage(9)))).toBe(20_000);
  });

  test("is as long as the TTL of a holder whose connection is confirmed closed: it may have renewed on another one", () => {
    const play = new Solo("", { crashDetection: "presence" }).opened().connected(connection(1, true));
    play.reads(record(7, "b", 3, { session: connection(9, true), ttlMs: 20_000 }));
    play.answered({ kind: "closed" });
    expect(play.state.holder.takeoverWait).toBeNull();
    expect(waitMs(play.conflict().reads(garbage(9)))).toBe(20_000);
  });

  test("is the node's own TTL without an earlier record", () => {
    expect(waitMs(new Solo("").opened().connected().reads(garbage(7)))).toBe(10_000);
  });
});

describe("the takeover wait after the key was deleted", () => {
  test("is not prolonged by another read of the empty key", () => {
    const play = new Solo("")
      .opened()
      .connected()
      .reads(record(7, "b", 3))
      .at(1_000)
      .learns(deleted(8));
    play.untilAnswering(20_000, null);
    expect(play.now.mono).toBeLessThan(11_100);
  });

  test("is as long as the vanished record's TTL", () => {
    const play = new Solo("")
      .opened()
      .connected()
      .reads(record(7, "b", 3, { ttlMs: 30_000 }))
      .at(1_000);
    play.learns(deleted(8)).untilAnswering(60_000, deleted(8));
    expect(play.now.mono).toBe(31_000);
  });

  test("is none for a node that has seen no record", () => {
    expect(new Solo("").opened().connected().reads(deleted(8)).effectTypes).toContain("write");
  });

  describe("of a holder whose connection is confirmed closed", () => {
    const gone = (): Solo => {
      const play = new Solo("", { crashDetection: "presence" }).opened().connected(connection(1, true));
      play.reads(record(7, "b", 3, { session: connection(9, true), ttlMs: 12_000 }));
      play.at(1_000).answered({ kind: "closed" });
      expect(play.state.holder.takeoverWait).toBeNull();
      return play.conflict();
    };

    test("is none if what was deleted is what was seen", () => {
      expect(gone().reads(null, 7).state.holder.takeoverWait).toBeNull();
      expect(gone().reads(deleted(8)).state.holder.takeoverWait).toBeNull();
    });

    test("is the full one if the holder may have renewed on another connection", () => {
      for (const entry of [null, deleted(9)]) {
        const play = gone();
        const { mono } = play.now;
        play.reads(entry, 8).untilAnswering(60_000, entry);
        expect(play.now.mono).toBe(mono + 12_000);
      }
    });

    test("is the full one in the next bucket", () => {
      expect(gone().reads(null, 0, "generation-2").state.holder.takeoverWait).toMatchObject({
        waitMs: 12_000,
      });
    });
  });

  test("counts from a released lease that others have taken since, unseen", () => {
    const free = (): Solo => new Solo("", { competes: false }).opened().connected().reads(released(7, 3));
    expect(free().reads(null, 7).state.holder.takeoverWait).toBeNull();
    expect(free().reads(null, 8).state.holder.takeoverWait).toMatchObject({ waitMs: 10_000 });
  });

  describe("starts again", () => {
    const since = (play: Solo): number | undefined => play.state.holder.takeoverWait?.since.mono;
    const deletedAt = (revision: number, ttlMs = 10_000): Solo => {
      const play = new Solo("", { competes: false })
        .opened()
        .connected()
        .reads(record(7, "b", 3, { ttlMs }));
      return play.at(1_000).learns(deleted(revision));
    };

    test.each([
      ["is deleted", deleted(20), 20],
      ["is purged", null, 20],
    ])("when a lease that was stored after the deletion, unseen, %s", (_, entry, lastSequence) => {
      for (const ms of [5_000, 60_000]) {
        const play = deletedAt(8, 30_000).at(ms).connected().reads(entry, lastSequence);
        expect(play.state.holder.takeoverWait).toMatchObject({ since: { mono: ms }, waitMs: 30_000 });
      }
    });

    test("not when only the marker was purged, or deleted again", () => {
      expect(since(deletedAt(8).at(5_000).connected().reads(null, 8))).toBe(1_000);
      expect(since(deletedAt(8).at(5_000).connected().reads(deleted(9)))).toBe(1_000);
    });

    test("once while other keys of the bucket are written and the key stays empty", () => {
      const play = deletedAt(8).at(2_000).connected().reads(null, 8);
      expect(since(play)).toBe(1_000);
      expect(since(play.at(3_000).connected().reads(null, 9))).toBe(3_000);
      expect(since(play.at(4_000).connected().reads(null, 10))).toBe(3_000);
      expect(since(play.at(60_000).connected().reads(null, 90))).toBe(3_000);
      // What is seen on the key counts again.
      expect(since(play.at(61_000).learns(record(91, "b", 91)))).toBe(61_000);
      expect(since(play.at(62_000).connected().reads(null, 91))).toBe(62_000);
      expect(since(play.at(63_000).connected().reads(null, 92))).toBe(63_000);
    });

    test("so that a leader is elected while another key is written all the time", async () => {
      const play = new Ensemble("");
      const leader = play.node("a").start();
      await play.at(100);
      const follower = play.node("b").start();
      await play.at(4_000);
      leader.kill();
      play.bucket.expire();
      for (let ms = 4_000; ms < 50_000 && !follower.driver.isHeld(); ms += 100) {
        play.bucket.writeOtherKey();
        await play.at(ms);
      }
      expect(follower.driver.isHeld()).toBe(true);
      // The wait for the lease that was known, and one more.
      expect(play.time.now).toBeGreaterThan(14_000);
      expect(play.time.now).toBeLessThan(30_000);
    });

    test("never on an empty key whose bucket has a max-age", () => {
      const play = new Solo("")
        .opened("generation-1", 10_000)
        .connected()
        .reads(goRecord(7, "g", 3));
      play.connected().reads(null, 8).at(12_000).connected().reads(null, 20);
      expect(since(play)).toBe(0);
    });
  });

  test("is none after the step-down of a go-cluster node, with its cooldown before it, unless more was stored", () => {
    const stepDown = (revision: number): Solo => {
      const play = new Solo("", { competes: false }).opened("generation-1", 10_000).connected();
      return play
        .reads(goRecord(7, "g", 3))
        .at(1_000)
        .learns(deleted(revision));
    };
    expect(stepDown(8).state.holder.takeoverWait).toBeNull();
    expect(stepDown(9).state.holder.takeoverWait).toBeNull();
    expect(stepDown(10).state.holder.takeoverWait).toMatchObject({ since: { mono: 1_000 } });
  });

  test("counts from the last record when the bucket's max-age expired it", () => {
    const play = new Solo("")
      .opened("generation-1", 10_000)
      .connected()
      .reads(record(7, "b", 3))
      .at(9_000);
    play.connected().reads(null, 7).untilAnswering(60_000, null);
    expect(play.now.mono).toBe(10_000);
  });
});

describe("in the next bucket", () => {
  const next = (play: Solo): Solo => play.connected().reads(null, 0, "generation-2");
  const waitMs = (play: Solo): number | undefined => play.state.holder.takeoverWait?.waitMs;

  test("a leader that is held leads again at once, whether it finds the new bucket or none", () => {
    const play = new Solo("").leading().at(1_000).send({ type: "bucket-gone" });
    expect(play.reads(null, 0, "generation-2").effectTypes).toContain("write");
    const gone = new Solo("").leading().at(1_000).send({ type: "bucket-gone" }).readsNoBucket();
    expect(gone.opened("generation-2").reads(null).effectTypes).toContain("write");
  });

  test.each<[string, Solo]>([
    [
      "that found no bucket and could not open one",
      new Solo("")
        .leading()
        .send({ type: "bucket-gone" })
        .readsNoBucket()
        .send({ type: "bucket-failed", error: new Error("no answer") }),
    ],
    ["whose lease has expired", new Solo("").leading().at(9_600).tick()],
    [
      "that is suspended",
      new Solo("", { crashDetection: "presence" }).leading(connection(1, true)).disconnected(),
    ],
    [
      "that has released its lease",
      new Solo("", { cooldownMs: 0 })
        .leading()
        .send({ type: "resign", reason: "released" })
        .send({ type: "drained" })
        .applied(2),
    ],
  ])("a leader %s waits: others may have led since", (_, play) => {
    expect(waitMs(play)).toBeUndefined();
    const { mono } = play.now;
    if (play.state.bucket.status === "missing") play.opened("generation-2").connected().reads(null);
    else next(play);
    expect(play.state.holder.takeoverWait).toMatchObject({ since: { mono }, waitMs: 10_000 });
  });

  test("a node that knew of no lease waits, unless it has read nothing of the one before", () => {
    const following = (): Solo => new Solo("", { competes: false }).opened().connected();
    for (const entry of [null, released(7, 3)]) expect(waitMs(next(following().reads(entry)))).toBe(10_000);
    expect(waitMs(next(following()))).toBeUndefined();
  });
});

describe("timers, watches and checks", () => {
  test("end once the node has stopped", () => {
    const play = new Solo("", { crashDetection: "presence" }).opened().connected(connection(1, true));
    play.reads(record(7, "b", 3, { session: connection(9, true) }));
    expect(watchedHolder(play.state)?.presence).toBe("stream.presence-9");
    play.send({ type: "stop" });
    expect(watchedHolder(play.state)).toBeNull();
    expect(wakeDelayMs(play.state, play.now)).toBeNull();
    expect(dependsOnConnection(play.state)).toBe(false);
  });

  test("watch no presence of its own, of an unknown holder, or for a node that does not compete", () => {
    const presence = { crashDetection: "presence" as const };
    expect(watchedHolder(new Solo("", presence).leading(connection(1, true)).state)).toBeNull();
    expect(watchedHolder(new Solo("", presence).state)).toBeNull();
    const holder = record(7, "b", 3, { session: connection(9, true) });
    const observer = new Solo("", { ...presence, competes: false }).opened().connected().reads(holder);
    expect(watchedHolder(observer.state)).toBeNull();
    const without = new Solo("", presence)
      .opened()
      .connected()
      .reads(record(7, "b", 3));
    expect(watchedHolder(without.state)).toBeNull();
    const strange = new Solo("", presence).opened().connected().reads(garbage(7));
    expect(watchedHolder(strange.state)).toBeNull();
  });

  test("check the connection from the campaign on, while it is up", () => {
    const play = new Solo("", { crashDetection: "presence" }).opened().connected(connection(1, true));
    expect(dependsOnConnection(play.state)).toBe(false);
    play.reads(null);
    expect(dependsOnConnection(play.state)).toBe(true);
    play.applied(1).disconnected();
    expect(dependsOnConnection(play.state)).toBe(false);
    play.connected(connection(2, true));
    expect(dependsOnConnection(play.state)).toBe(true);
  });

  test("wake a disconnected leader only at its deadline", () => {
    const play = new Solo("").leading().disconnected();
    expect(wakeDelayMs(play.state, play.now)).toBe(9_500);
  });

  test("never wake a disconnected follower without a leader", () => {
    const play = new Solo("");
    expect(wakeDelayMs(play.state, play.now)).toBeNull();
  });
});

test("a state is not held once its deadline has passed, without any event", () => {
  const play = new Solo("").leading();
  expect(isHeld(play.state, { mono: 9_499, boot: 9_499, wall: 0 })).toBe(true);
  expect(isHeld(play.state, { mono: 9_500, boot: 9_500, wall: 0 })).toBe(false);
});

test.each([
  ["record", record(7, "b", 3)],
  ["release", released(7, 3)],
])("a %s with a smaller epoch does not lower the remembered one, and is reported", (_, entry) => {
  const play = new Solo("", { rememberedEpoch: 41, competes: false }).opened().connected().reads(entry);
  expect(play.state.lease.highestEpoch).toBe(41);
  expect(play.effects).toContainEqual(expect.objectContaining({ code: "EPOCH_REGRESSED" }));
});
