/** What happens once in a blue moon, event by event. */
import { describe, expect, test } from "vitest";
import { type Draft, draftOf, setTerm } from "../../src/election/draft.ts";
import { initialState } from "../../src/election/election.ts";
import { campaign, dropOrphan } from "../../src/election/follower.ts";
import { become, drain } from "../../src/election/leader.ts";
import { after } from "../../src/election/time.ts";
import type { Effect } from "../../src/election/types.ts";
import { config, connection, garbage, record, released, Solo } from "./play/solo.ts";

function writes(play: Solo): Extract<Effect, { type: "write" }>[] {
  return play.effects.filter((effect) => effect.type === "write");
}

const presence = { crashDetection: "presence" as const };

describe("a leader", () => {
  test("whose key was purged without a marker has lost it", () => {
    const play = new Solo("").leading().at(1_000).send({ type: "bucket-gone" }).reads(null, 1);
    expect(play.effects).toContainEqual(
      expect.objectContaining({ type: "lose-leadership", reason: "deleted" }),
    );
  });

  test("whose key holds garbage has lost it, and waits for whoever that is", () => {
    const play = new Solo("").leading().at(1_000).send({ type: "bucket-gone" }).reads(garbage(2));
    expect(play.effects).toContainEqual(
      expect.objectContaining({ type: "lose-leadership", reason: "superseded" }),
    );
    expect(writes(play)).toEqual([]);
  });

  test("does not look up what it knows already", () => {
    const play = new Solo("")
      .leading()
      .until(3_000)
      .applied(2)
      .watched(record(1, "z", 9))
      .watched(released(2, 9));
    expect(play.said).toEqual([]);
  });

  test("that is suspended may be asked to resign; a follower has nothing to resign", () => {
    const play = new Solo("", presence).leading(connection(1, true)).disconnected();
    expect(play.send({ type: "resign", reason: "released" }).said).toEqual(["drain"]);
    expect(new Solo("").send({ type: "resign", reason: "released" }).said).toEqual([]);
  });

  test("that hears of its renewal on the next connection is not resumed by it, but renews again at once", () => {
    const play = new Solo("", presence).leading(connection(1, true)).until(3_000);
    play.disconnected().connected(connection(2, true)).applied(2);
    expect(play.said).toEqual(["write"]);
    expect(play.held).toBe(false);
    play.applied(3);
    expect(play.said).toEqual(["resumed"]);
  });

  test("that adopts a lease naming an earlier connection renews at once", () => {
    const play = new Solo("").opened().connected(connection(1)).reads(null).at(500).disconnected();
    play
      .connected(connection(2))
      .at(1_000)
      .unanswered()
      .reads(record(1, "a", 1));
    expect(play.said).toEqual(["become-leader", "write", "leader-change"]);
  });

  test("that was made by a read ignores the answer to a later campaign", () => {
    const play = new Solo("")
      .opened()
      .connected()
      .reads(null)
      .at(1_000)
      .unanswered()
      .reads(null)
      .until(1_250);
    play.send({ type: "bucket-gone" }).reads(record(1, "a", 1));
    expect(play.said).toContain("become-leader");
    play.conflict();
    expect(play.said).toEqual([]);
    expect(play.held).toBe(true);
  });

  test("whose lost read-back is about to be repeated does not release before it", () => {
    const play = new Solo("").leading().at(100).send({ type: "resign", reason: "released" });
    play.send({ type: "drained" }).at(1_100).unanswered().at(1_200).readFails().until(1_500);
    expect(play.said).toContain("read");
    expect(play.said).not.toContain("write");
  });
});

/** As a stream's leader does that has lost its quorum: it still answers reads, and refuses writes at once. */
function writesWithoutQuorum(play: Solo, untilMs: number): number[] {
  const sent: number[] = [];
  while (play.now.mono < untilMs) {
    if (play.state.writes.inFlight !== null) {
      sent.push(play.now.mono);
      play.pass(1).unanswered();
    }
    play.untilAnswering(play.now.mono + 10, play.own(1, 1, 1));
  }
  return sent.slice(1).map((at, index) => at - (sent[index] ?? 0));
}

describe("without a quorum, where reads are answered and writes are not,", () => {
  test("a leader suspended by a reconnect renews at the pace of retries", () => {
    const play = new Solo("", { crashDetection: "presence" }).leading();
    play.at(1_000).disconnected().at(1_100).connected(connection(2));
    expect(play.said).toEqual(["write"]);
    const gaps = writesWithoutQuorum(play, 9_400);
    expect(gaps.length).toBeGreaterThan(20);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(250);
    expect(play.state.role.name).toBe("suspended");
  });

  test("a leader whose term has run out campaigns over its own record at the pace of retries", () => {
    const play = new Solo("").leading().until(9_500);
    const [, ...gaps] = writesWithoutQuorum(play, 20_000); // the first follows the term's last renewal
    expect(play.state.role.name).not.toBe("leader");
    expect(gaps.length).toBeGreaterThan(20);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(250);
  });
});

describe("a candidate", () => {
  test("that is refused again and again asks ever more slowly", () => {
    const play = new Solo("").opened().connected().reads(null);
    const asked: number[] = [];
    for (let i = 0; i < 6; i += 1) {
      play
        .conflict()
        .reads(null)
        .untilAnswering(play.now.mono + 20_000, null);
      asked.push(play.now.mono);
    }
    expect(asked).toEqual([0, 252, 754, 1_756, 3_758, 6_760]);
  });

  test("says once that its writes get no answer", () => {
    const play = new Solo("").opened().connected().reads(null).at(1_000).unanswered();
    expect(play.said).toContain("warning");
    play.reads(null).until(1_250).at(2_250).unanswered();
    expect(play.said).not.toContain("warning");
  });

  test("hears nothing from the answer to a write that is not in flight", () => {
    const play = new Solo("").opened().connected().reads(null);
    play.send({ type: "written", nonce: 99, outcome: { kind: "applied", revision: 1 } });
    expect(play.said).toEqual([]);
    expect(play.state.role.name).toBe("campaigning");
  });
});

describe("a process that was stopped for long", () => {
  test("looks before it campaigns on what it saw in another age", () => {
    const play = new Solo("")
      .opened()
      .connected()
      .reads(record(7, "b", 2))
      .at(60_000)
      .tick();
    expect(play.said).toEqual(["read", "leader-change"]);
    play.reads(record(7, "b", 2));
    expect(writes(play)).toHaveLength(1);
  });

  test("campaigns all the same when that look is not believed", () => {
    const play = new Solo("")
      .opened()
      .connected()
      .reads(record(7, "b", 2))
      .at(60_000)
      .tick();
    play.reads(record(6, "b", 2)).until(60_250);
    expect(writes(play)).toHaveLength(1);
  });
});

describe("a candidate with a presence", () => {
  const cut = (): Solo => {
    const play = new Solo("", presence).opened().connected(connection(1, true)).reads(null);
    return play.at(500).disconnected().connected(connection(2, true));
  };

  test("does not lead on an ack that comes over the next connection: the record names the old one", () => {
    const play = cut()
      .applied(1)
      .reads(record(1, "a", 1))
      .reads(record(1, "a", 1));
    expect(play.said).toEqual(["write"]);
    expect(writes(play)[0]?.write).toMatchObject({ record: { epoch: 2, session: { clientId: 2 } } });
  });

  test("does not lead on a record of the old connection that a read finds", () => {
    const play = cut()
      .at(1_000)
      .unanswered()
      .reads(record(1, "a", 1))
      .reads(record(1, "a", 1));
    expect(play.said).toEqual(["write"]);
    expect(play.held).toBe(false);
  });
});

describe("a connection that is gone", () => {
  const holder = (revision: number, client: number): ReturnType<typeof record> =>
    record(revision, "b", 2, { nonce: revision, session: connection(client, true) });
  const mourning = (): Solo => {
    const play = new Solo("", { ...presence, cooldownMs: 0 }).opened().connected(connection(1, true));
    play.reads(holder(7, 9)).send({ type: "death-confirmed", binding: connection(9, true) });
    return play.conflict();
  };

  test("entitles its holder to nothing, also by a renewal that was applied late", () => {
    const play = mourning().reads(holder(8, 9));
    expect(writes(play)[0]?.write.expect).toEqual({ revision: 8 });
  });

  test("says nothing about the next one of the same holder", () => {
    const play = mourning().reads(holder(8, 10));
    expect(writes(play)).toEqual([]);
    expect(play.state.holder.takeoverWait).not.toBeNull();
  });
});

describe("a message of another life of the bucket", () => {
  test("is looked up instead of being believed", () => {
    const play = new Solo("", { rememberedEpoch: 41 })
      .opened()
      .connected()
      .reads(record(3, "b", 42))
      .watched(record(9, "c", 7));
    expect(play.said).toEqual(["read"]);
    expect(play.state.announced?.nodeId).toBe("b");
    play.reads(record(3, "b", 42)).watched(released(8, 7));
    expect(play.said).toEqual(["read"]);
  });

  test("is believed when the read says the same, and complained about once", () => {
    const play = new Solo("", { rememberedEpoch: 41 })
      .opened()
      .connected()
      .reads(record(3, "b", 7));
    expect(play.said).toContain("warning");
    play.watched(record(4, "b", 7)).reads(record(4, "b", 7));
    expect(play.said).toEqual([]);
    expect(play.state.lease.newestRevision).toBe(4);
  });
});

describe("a stray lease of its own", () => {
  const stray = (): Solo => {
    const play = new Solo("").opened().connected().reads(null).at(1_000).unanswered();
    return play.send({ type: "compete", competes: false }).reads(record(1, "a", 1));
  };

  test("whose deletion is refused is looked up again", () => {
    const play = stray();
    expect(writes(play)[0]?.write.kind).toBe("release");
    play.conflict().until(play.now.mono + 250);
    expect(play.said).toEqual(["read"]);
  });

  test("is not led on once it was asked to be deleted, not even when it is wanted again", () => {
    const play = new Solo("").opened().connected().reads(null).at(100);
    play
      .send({ type: "compete", competes: false })
      .at(1_000)
      .unanswered()
      .at(1_010)
      .reads(record(1, "a", 1));
    expect(writes(play)).toMatchObject([{ write: { kind: "release" } }]);
    play
      .at(1_100)
      .send({ type: "compete", competes: true })
      .at(1_110)
      .reads(record(1, "a", 1));
    expect(play.said).not.toContain("become-leader");
    expect(play.at(1_200).applied(2).held).toBe(false);
    expect(writes(play)).toMatchObject([{ write: { kind: "put", record: { epoch: 2 } } }]);
  });

  test("whose deletion is answered when something newer was seen does not hide that", () => {
    const play = stray()
      .watched(released(2, 1))
      .watched(record(3, "b", 2))
      .applied(2);
    expect(play.state.lease.newestRevision).toBe(3);
    expect(play.state.announced?.nodeId).toBe("b");
  });
});

describe("a follower", () => {
  test("does not ask about a holder that may be replaced anyway", () => {
    const holder = record(7, "b", 2, { session: connection(9, true) });
    const play = new Solo("", { ...presence, requestTimeoutMs: 60_000 }).opened().connected().reads(holder);
    play.untilAnswering(10_000, holder);
    expect(writes(play)).toHaveLength(1);
    play.send({ type: "presence-lost", presence: "stream.presence-9" });
    expect(play.said).toEqual([]);
  });

  test("has no record to renew when its presence is made anew", () => {
    const play = new Solo("", presence)
      .opened()
      .connected(connection(1, true))
      .reads(record(7, "b", 2));
    expect(play.send({ type: "rebound", binding: connection(1, true) }).said).toEqual([]);
  });

  test("asks for the bucket only once when two reads find it gone", () => {
    const play = new Solo("").opened().connected().readsNoBucket();
    expect(play.said).toEqual(["warning", "open-bucket"]);
    expect(play.readsNoBucket().said).not.toContain("warning");
  });

  test("that is stopping does not begin to compete", () => {
    const play = new Solo("").leading().send({ type: "stop" }).send({ type: "compete", competes: true });
    expect(play.said).toEqual([]);
  });
});

describe("a transition that starts where it may not", () => {
  const now = { mono: 0, boot: 0, wall: 0 };
  const fresh = (): Draft => draftOf(initialState(config, now), now);
  const sent = { nonce: 1, epoch: 1, sentAt: now, binding: null };

  test.each<[string, (draft: Draft) => void]>([
    ["a drain without a term", (draft) => drain(draft, "released", undefined)],
    ["a change of a term that is not there", (draft) => setTerm(draft, { revision: 1 })],
    ["a campaign for a key that was never seen", campaign],
    ["the deletion of a lease that was never seen", dropOrphan],
    [
      "a term after its deadline",
      (draft) => become({ ...draft, now: after(now, config.leaseTtlMs) }, sent, 1),
    ],
  ])("is a bug: %s", (_, transition) => {
    expect(() => transition(fresh())).toThrow(/^bug: /);
  });
});
