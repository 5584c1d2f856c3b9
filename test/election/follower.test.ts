import { describe, expect, test } from "vitest";
import type { Effect } from "../../src/election/types.ts";
import { connection, deleted, garbage, record, released, Solo } from "./play/solo.ts";

function writes(play: Solo): Extract<Effect, { type: "write" }>[] {
  return play.effects.filter((effect) => effect.type === "write");
}

describe("a campaign", () => {
  test.each([
    ["a later term", record(2, "b", 2)],
    ["the deletion of its own record", deleted(2)],
    ["garbage over its own record", garbage(2)],
  ])("begins no term if %s was seen before its ack", (_, newer) => {
    const play = new Solo("").opened().connected().reads(null).learns(newer).applied(1);
    expect(play.effectTypes).not.toContain("become-leader");
    expect(play.effectTypes).toContain("read");
    expect(play.state.lease.newestRevision).toBe(2);
  });

  test("with a presence begins no term on an ack that is older than a round trip counts, but on the read that follows", () => {
    const options = { crashDetection: "presence", requestTimeoutMs: 5_000 } as const;
    const campaigning = (): Solo => new Solo("", options).opened().connected(connection(1, true)).reads(null);
    expect(campaigning().at(999).applied(1).effectTypes).toContain("become-leader");
    const play = campaigning().at(1_000).applied(1);
    expect(play.effectTypes).not.toContain("become-leader");
    expect(play.effectTypes).toContain("read");
    expect(play.reads(play.own(1, 1, 1)).effectTypes).toContain("become-leader");
  });

  test("with a presence begins no term on an answer that is older than a round trip counts, but on that of another read", () => {
    const options = { crashDetection: "presence", requestTimeoutMs: 5_000 } as const;
    const lost = (): Solo =>
      new Solo("", options).opened().connected(connection(1, true)).reads(null).at(1_500).unanswered();
    expect(
      lost()
        .at(2_499)
        .reads(record(1, "a", 1)).effectTypes,
    ).toContain("become-leader");
    const play = lost()
      .at(2_500)
      .reads(record(1, "a", 1));
    expect(play.effectTypes).toEqual(["read"]);
    expect(play.at(2_600).reads(record(1, "a", 1)).effectTypes).toContain("become-leader");
    // One more late answer after the lease has ended: the orphan is replaced, no read follows another without end.
    const late = lost()
      .at(10_000)
      .reads(record(1, "a", 1));
    expect(late.effectTypes).toContain("write");
  });

  test("ends when the bucket was replaced, even if its write is applied", () => {
    const play = new Solo("").opened().connected().reads(null);
    play.opened("generation-2").applied(1);
    expect(play.effectTypes).not.toContain("become-leader");
    expect(play.state.role.name).toBe("follower");
  });

  test("of unknown outcome ends with a stale read", () => {
    const play = new Solo("")
      .opened()
      .connected()
      .reads(null)
      .learns(record(2, "b", 2))
      .at(1_000);
    play.unanswered().reads(record(1, "c", 1));
    expect(play.state.role.name).toBe("follower");
  });

  test("whose write strays into a new bucket does not shorten the takeover wait", () => {
    const play = new Solo("").opened().connected().reads(null).at(1_000).unanswered().reads(null).at(1_100);
    play
      .learns(record(1, "b", 1))
      .at(1_200)
      .opened("generation-2")
      .reads(play.own(1, 1, 1));
    expect(play.effectTypes).toEqual([]);
    play
      .until(5_700)
      .reads(play.own(1, 1, 1))
      .until(11_199);
    expect(writes(play)).toEqual([]);
  });

  test("in a bucket that lost messages begins only when the newest lease seen there has expired", () => {
    const play = new Solo("").opened().connected().reads(null).at(10);
    play
      .learns(record(8, "b", 3, { ttlMs: 30_000 }))
      .conflict()
      .reads(record(7, "c", 2));
    for (let now = 1_000; now < 30_000; now += 1_000) {
      play.at(now).tick();
      if (play.effectTypes.includes("read")) play.reads(record(7, "c", 2));
      expect(writes(play)).toEqual([]);
    }
  });

  test.each([
    [9_999, 8],
    [10_000, 7],
  ])(
    "that was refused lets an older answer be believed W after the newest, at 10 s: at %i ms the newest is %i",
    (ms, newest) => {
      const play = new Solo("").opened().connected().reads(null).at(0);
      play.learns(garbage(8)).at(10).conflict().at(ms).tick();
      if (!play.state.reads.inFlight) throw new Error("no read is under way");
      expect(play.reads(released(7, 2)).state.lease.newestRevision).toBe(newest);
    },
  );
});

describe("a vacancy", () => {
  test("whose marker has expired is campaigned for as an empty key", () => {
    const play = new Solo("", { cooldownMs: 60_000 })
      .leading()
      .at(100)
      .send({ type: "resign", reason: "released" });
    play.send({ type: "drained" }).applied(2).until(50_000).reads(null, 2).until(60_100);
    if (play.effectTypes.includes("read")) play.reads(null, 2);
    expect(writes(play)[0]?.write.expect).toEqual({ emptyAtSequence: 2 });
  });
});
