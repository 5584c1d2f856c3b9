import { describe, expect, test } from "vitest";
import type { Effect } from "../../src/election/types.ts";
import { connection, record, Solo } from "./play/solo.ts";

function writes(play: Solo): Extract<Effect, { type: "write" }>[] {
  return play.effects.filter((effect) => effect.type === "write");
}

const leave = { type: "compete", competes: false } as const;
const rejoin = { type: "compete", competes: true } as const;

describe("a node that stops competing", () => {
  test("drains its term, then only follows", () => {
    const play = new Solo("").leading().at(100).send(leave);
    expect(play.effectTypes).toEqual(["drain"]);
    expect(play.effects[0]).toMatchObject({ type: "drain", reason: "released" });
    play.send({ type: "drained" });
    expect(writes(play)[0]?.write).toMatchObject({ kind: "release", expect: { revision: 1 } });
    play.applied(2);
    expect(play.effectTypes).toEqual(["released", "leader-change"]);
    play.until(60_000);
    expect(writes(play)).toEqual([]);
    expect(play.state.role.name).toBe("follower");
  });

  test("neither campaigns against a silent leader nor asks for it", () => {
    const play = new Solo("", { crashDetection: "presence" }).opened().connected().send(leave);
    play.reads(record(1, "b", 1, { session: connection(9, true) })).until(40_000);
    expect(writes(play)).toEqual([]);
    play.send({ type: "presence-lost", presence: "stream.presence-9" });
    expect(play.effects).toEqual([]);
  });

  test("deletes the lease of an acquiring write that was in flight", () => {
    const play = new Solo("").opened().connected().reads(null);
    expect(writes(play)).toHaveLength(1);
    play.send(leave).applied(1);
    expect(play.effectTypes).toEqual(["read"]);
    play.reads(play.own(1, 1, 1));
    expect(writes(play)[0]?.write).toMatchObject({ kind: "release", expect: { revision: 1 } });
    play.applied(2);
    expect(play.state.role.name).toBe("follower");
  });

  test("campaigns as soon as it competes again, without the rest of a cooldown", () => {
    const play = new Solo("").leading().at(100).send(leave).send({ type: "drained" }).applied(2);
    play.at(200).send(rejoin);
    expect(play.effectTypes).toEqual(["read"]);
    play.reads({ kind: "released", revision: 2, epoch: 1, incarnation: "a1" });
    expect(writes(play)[0]?.write).toMatchObject({ kind: "put", record: { epoch: 2 } });
  });

  test("asks for the holder when it competes again", () => {
    const play = new Solo("", { crashDetection: "presence" }).opened().connected().send(leave);
    const held = record(1, "b", 1, { session: connection(9, true) });
    play.reads(held).at(500).send(rejoin).reads(held);
    expect(play.effectTypes).toContain("ask");
  });

  test("stops like any other node", () => {
    const play = new Solo("").leading().at(100).send(leave).send({ type: "stop" }).send({ type: "drained" });
    play.applied(2);
    expect(play.effectTypes).toContain("stopped");
  });
});
