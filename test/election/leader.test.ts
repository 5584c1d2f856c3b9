import { describe, expect, test } from "vitest";
import type { Effect } from "../../src/election/types.ts";
import { connection, record, Solo } from "./play/solo.ts";

const alone = (more = {}): Solo => new Solo("", more);

function writes(play: Solo): Extract<Effect, { type: "write" }>[] {
  return play.effects.filter((effect) => effect.type === "write");
}

describe("a leader whose term has expired", () => {
  test("campaigns against its newest revision, not against the one it began with", () => {
    const play = alone().leading().at(3_000).tick().applied(2).at(12_500).tick();
    expect(play.effectTypes).toContain("lose-leadership");
    play.reads(play.own(2, 1, 2));
    expect(writes(play)[0]?.write.expect).toEqual({ revision: 2 });
  });

  test("campaigns against a renewal that only a read has shown", () => {
    const play = alone().leading().at(3_000).tick().at(4_000).unanswered();
    play
      .reads(play.own(2, 1, 2))
      .at(12_500)
      .tick()
      .reads(play.own(2, 1, 2));
    expect(writes(play)[0]?.write.expect).toEqual({ revision: 2 });
  });

  test("is woken in time after each outcome, and does not spin", () => {
    const play = alone().leading().until(3_000).applied(2).until(6_000).unanswered();
    play.until(9_000);
    expect(play.state.role.name).toBe("leader");
  });
});

describe("a release", () => {
  test("is sent as soon as the renewal that was in flight when the work ended is settled", () => {
    const play = alone().leading().at(3_000).tick().send({ type: "resign", reason: "released" });
    play.send({ type: "drained" });
    expect(writes(play)).toEqual([]);
    play.at(3_002).applied(2);
    expect(writes(play)[0]?.write).toMatchObject({ kind: "release", expect: { revision: 2 } });
  });

  test("is given up when the connection breaks while a renewal is in flight", () => {
    const play = alone().leading().at(3_000).tick().send({ type: "stop" }).send({ type: "drained" });
    play.disconnected().at(4_000).unanswered();
    expect(play.effectTypes).toEqual(["warning", "warning", "released", "leader-change", "stopped"]);
  });

  test("does not make the node forget a newer record", () => {
    const play = alone().leading().at(100).send({ type: "resign", reason: "released" });
    play
      .send({ type: "drained" })
      .watched(record(3, "b", 2))
      .watched(record(4, "b", 2))
      .applied(2);
    play.reads(record(3, "b", 2));
    expect(play.effectTypes).toContain("read");
    play.reads(record(4, "b", 2));
    expect(play.state.lease.newestRevision).toBe(4);
  });

  test("whose marker is watched before its ack arrives causes no read", () => {
    const play = alone().leading().at(100).send({ type: "resign", reason: "released" });
    play.send({ type: "drained" });
    play.watched({ kind: "released", revision: 2, epoch: 1, incarnation: "a1" });
    expect(play.effectTypes).toEqual([]);
    play.applied(2);
    expect(play.effectTypes).toEqual(["released", "leader-change"]);
  });
});

describe("the presence rule", () => {
  const detached = { crashDetection: "lease" as const };

  test("a node with crash detection by lease names no presence, even on a connection that has one", () => {
    const play = alone(detached).opened().connected(connection(1, true)).reads(null);
    expect(writes(play)[0]?.write).toMatchObject({ record: { session: { clientId: 1 } } });
    expect(writes(play)[0]?.write).not.toHaveProperty("record.session.presence");
  });

  test("a node with crash detection by lease waits also for a holder with a presence", () => {
    const holder = record(7, "b", 2, { session: connection(9, true) });
    const play = alone(detached).opened().connected().reads(holder);
    expect(play.effectTypes).not.toContain("ask");
    play.send({ type: "presence-lost", presence: "stream.presence-9" });
    expect(play.effectTypes).toEqual([]);
  });
});
