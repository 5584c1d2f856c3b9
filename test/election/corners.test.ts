/** Rare sequences of events. */
import { describe, expect, test } from "vitest";
import { type Draft, draftOf, setTerm } from "../../src/election/draft.ts";
import { initialState } from "../../src/election/election.ts";
import { maxEpochAt } from "../../src/election/epochs.ts";
import { campaign, dropOrphan } from "../../src/election/follower.ts";
import { ask } from "../../src/election/inquiry.ts";
import { become, drain } from "../../src/election/leader.ts";
import { after } from "../../src/election/time.ts";
import type { Effect, ElectionConfig } from "../../src/election/types.ts";
import { config, connection, deleted, garbage, record, released, Solo } from "./play/solo.ts";

function writes(play: Solo): Extract<Effect, { type: "write" }>[] {
  return play.effects.filter((effect) => effect.type === "write");
}

const presence = { crashDetection: "presence" as const };

describe("a leader", () => {
  test("whose key was purged without a marker loses its term", () => {
    const play = new Solo("").leading().at(1_000).send({ type: "bucket-gone" }).reads(null, 1);
    expect(play.effects).toContainEqual(
      expect.objectContaining({ type: "lose-leadership", reason: "deleted" }),
    );
  });

  test("whose key contains garbage replaces it at once, and pauses if new garbage comes", () => {
    const play = new Solo("").leading().at(1_000).send({ type: "bucket-gone" }).reads(garbage(2));
    expect(writes(play)).toEqual([
      expect.objectContaining({ write: expect.objectContaining({ expect: { revision: 2 } }) }),
    ]);
    expect(play.effectTypes).not.toContain("lose-leadership");
    play.conflict().reads(garbage(3));
    expect(writes(play)).toEqual([]);
    play.until(1_250);
    expect(writes(play)).toEqual([
      expect.objectContaining({ write: expect.objectContaining({ expect: { revision: 3 } }) }),
    ]);
    play.applied(4);
    expect(play.state.role).toMatchObject({ name: "leader", term: { epoch: 1, revision: 4 } });
  });

  test("replaces garbage if it has watched garbage or its own renewals before it", () => {
    const play = new Solo("").leading().until(3_000);
    play
      .unanswered()
      .watched(play.own(2, 1, 2))
      .watched(garbage(3))
      .reads(garbage(4));
    expect(play.effectTypes).not.toContain("lose-leadership");
    play.until(3_250);
    expect(writes(play)).toEqual([
      expect.objectContaining({ write: expect.objectContaining({ expect: { revision: 4 } }) }),
    ]);
  });

  test.each([
    ["a record", [record(2, "z", 3), garbage(3)]],
    ["a marker", [deleted(2), garbage(3)]],
    ["something that was not watched", [garbage(3)]],
  ])("loses its term to garbage that may cover the record of another leader: %s", (_, watched) => {
    const play = new Solo("").leading().at(1_000);
    for (const entry of watched) play.watched(entry);
    play.reads(garbage(3));
    expect(play.effects).toContainEqual(
      expect.objectContaining({ type: "lose-leadership", reason: "superseded" }),
    );
    expect(writes(play)).toEqual([]);
  });

  test("that has lost its connection in the meantime loses its term to garbage: another node may have led", () => {
    const play = new Solo("", presence)
      .leading(connection(1, true))
      .disconnected()
      .connected(connection(2, true));
    play.watched(garbage(2)).conflict().reads(garbage(3));
    expect(play.effects).toContainEqual(
      expect.objectContaining({ type: "lose-leadership", reason: "superseded" }),
    );
    expect(writes(play)).toEqual([]);
  });

  test("does not read because of revisions that it has already seen", () => {
    const play = new Solo("")
      .leading()
      .until(3_000)
      .applied(2)
      .watched(record(1, "z", 9))
      .watched(released(2, 9));
    expect(play.effectTypes).toEqual([]);
    expect(play.state.reads.hinted).toBe(0);
  });

  test("resigns while suspended; a follower has nothing to resign", () => {
    const play = new Solo("", presence).leading(connection(1, true)).disconnected();
    expect(play.send({ type: "resign", reason: "released" }).effectTypes).toEqual(["drain"]);
    expect(new Solo("").send({ type: "resign", reason: "released" }).effectTypes).toEqual([]);
  });

  test("is not resumed by a renewal sent on the previous connection, but renews again at once", () => {
    const play = new Solo("", presence).leading(connection(1, true)).until(3_000);
    play.disconnected().connected(connection(2, true)).applied(2);
    expect(play.effectTypes).toEqual(["write"]);
    expect(play.held).toBe(false);
    play.applied(3);
    expect(play.effectTypes).toEqual(["resumed"]);
  });

  test("that adopts a record with an earlier connection renews at once", () => {
    const play = new Solo("").opened().connected(connection(1)).reads(null).at(500).disconnected();
    play
      .connected(connection(2))
      .at(1_000)
      .unanswered()
      .reads(record(1, "a", 1));
    expect(play.effectTypes).toEqual(["become-leader", "write", "leader-change"]);
  });

  test("whose term was begun by a read ignores the answer to a later campaign", () => {
    const play = new Solo("")
      .opened()
      .connected()
      .reads(null)
      .at(1_000)
      .unanswered()
      .reads(null)
      .until(1_250);
    play.send({ type: "bucket-gone" }).reads(record(1, "a", 1));
    expect(play.effectTypes).toContain("become-leader");
    play.conflict();
    expect(play.effectTypes).toEqual([]);
    expect(play.held).toBe(true);
  });

  test("does not release before the read that follows an unanswered renewal", () => {
    const play = new Solo("").leading().at(100).send({ type: "resign", reason: "released" });
    play.send({ type: "drained" }).at(1_100).unanswered().at(1_200).readFails().until(1_500);
    expect(play.effectTypes).toContain("read");
    expect(play.effectTypes).not.toContain("write");
  });
});

/** A stream leader without quorum answers reads and rejects writes at once. Returns the gaps between writes. */
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
  test("a leader suspended by a reconnect renews at the retry interval", () => {
    const play = new Solo("", { crashDetection: "presence" }).leading();
    play.at(1_000).disconnected().at(1_100).connected(connection(2));
    expect(play.effectTypes).toEqual(["write"]);
    const gaps = writesWithoutQuorum(play, 9_400);
    expect(gaps.length).toBeGreaterThan(20);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(250);
    expect(play.state.role.name).toBe("suspended");
  });

  test("a leader whose term has expired campaigns against its own record at the retry interval", () => {
    const play = new Solo("").leading().until(9_500);
    const [, ...gaps] = writesWithoutQuorum(play, 20_000); // the first follows the term's last renewal
    expect(play.state.role.name).not.toBe("leader");
    expect(gaps.length).toBeGreaterThan(20);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(250);
  });
});

describe("a candidate", () => {
  test("that is refused repeatedly backs off", () => {
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

  test("warns once that its writes get no answer", () => {
    const play = new Solo("").opened().connected().reads(null).at(1_000).unanswered();
    expect(play.effectTypes).toContain("warning");
    play.reads(null).until(1_250).at(2_250).unanswered();
    expect(play.effectTypes).not.toContain("warning");
  });

  test("ignores the answer to a write that is not in flight", () => {
    const play = new Solo("").opened().connected().reads(null);
    play.send({ type: "written", nonce: 99, outcome: { kind: "applied", revision: 1 } });
    expect(play.effectTypes).toEqual([]);
    expect(play.state.role.name).toBe("campaigning");
  });
});

describe("a process that was stopped for long", () => {
  test("reads before it campaigns", () => {
    const play = new Solo("")
      .opened()
      .connected()
      .reads(record(7, "b", 2))
      .at(60_000)
      .tick();
    expect(play.effectTypes).toEqual(["read", "leader-change"]);
    play.reads(record(7, "b", 2));
    expect(writes(play)).toHaveLength(1);
  });

  test("campaigns even if that read is not believed", () => {
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

  test("begins no term on an ack that arrives on the next connection: the record names the old one", () => {
    const play = cut()
      .applied(1)
      .reads(record(1, "a", 1))
      .reads(record(1, "a", 1));
    expect(play.effectTypes).toEqual(["write"]);
    expect(writes(play)[0]?.write).toMatchObject({ record: { epoch: 2, session: { clientId: 2 } } });
  });

  test("begins no term on a record of the old connection that a read finds", () => {
    const play = cut()
      .at(1_000)
      .unanswered()
      .reads(record(1, "a", 1))
      .reads(record(1, "a", 1));
    expect(play.effectTypes).toEqual(["write"]);
    expect(play.held).toBe(false);
  });
});

describe("a connection that is confirmed closed", () => {
  const holder = (revision: number, client: number): ReturnType<typeof record> =>
    record(revision, "b", 2, { nonce: revision, session: connection(client, true) });
  const bereft = (): Solo => {
    const play = new Solo("", { ...presence, cooldownMs: 0 }).opened().connected(connection(1, true));
    play.reads(holder(7, 9)).answered({ kind: "closed" });
    return play.conflict();
  };

  test("lets the node campaign also against a renewal that was applied late", () => {
    const play = bereft().reads(holder(8, 9));
    expect(writes(play)[0]?.write.expect).toEqual({ revision: 8 });
  });

  test("says nothing about the next connection of the same holder", () => {
    const play = bereft().reads(holder(8, 10));
    expect(writes(play)).toEqual([]);
    expect(play.state.holder.takeoverWait).not.toBeNull();
  });
});

describe("a watched message", () => {
  const following = (changes: Partial<ElectionConfig> = {}): Solo =>
    new Solo("", changes)
      .opened()
      .connected()
      .reads(record(3, "b", 2));
  const forged = [
    record(900_000_000_000_000, "evil", Number.MAX_SAFE_INTEGER, { ttlMs: Number.MAX_SAFE_INTEGER }),
    record(4, "evil", Number.MAX_SAFE_INTEGER),
    released(4, Number.MAX_SAFE_INTEGER),
    deleted(4),
    garbage(4),
  ];

  test.each(forged)("causes a read, and nothing of it is remembered: %j", (entry) => {
    const play = following().at(100);
    const before = play.state;
    play.watched(entry);
    expect(play.effectTypes).toEqual(["read"]);
    play.reads(record(3, "b", 2));
    expect(play.effectTypes).toEqual([]);
    const { lease, holder, announced } = play.state;
    expect({ ...lease, refreshedAt: before.lease.refreshedAt }).toEqual(before.lease);
    expect(holder).toEqual(before.holder);
    expect(announced).toEqual(before.announced);
  });

  test.each(forged)("never becomes a write: the lease expires as if it had not come: %j", (entry) => {
    const play = following()
      .at(100)
      .watched(entry)
      .untilAnswering(20_000, record(3, "b", 2));
    expect(writes(play)).toMatchObject([{ write: { record: { epoch: 3 }, expect: { revision: 3 } } }]);
    expect(play.now.mono).toBe(10_000);
  });

  test("that an answer contradicts makes the next one wait for a retry delay: a flood of hints is no flood of reads", () => {
    const play = following();
    let reads = 0;
    for (let ms = 1_000; ms < 2_000; ms += 1) {
      play.until(ms).watched(garbage(1_000 + ms));
      if (!play.state.reads.inFlight) continue;
      reads += 1;
      play.reads(record(3, "b", 2));
    }
    expect(reads).toBe(4);
  });

  test("that an answer confirms makes none wait", () => {
    const play = following();
    for (const revision of [4, 5, 6]) {
      play.watched(record(revision, "b", 2, { nonce: revision }));
      expect(play.effectTypes).toEqual(["read"]);
      play.reads(record(revision, "b", 2, { nonce: revision }));
    }
  });

  test("that comes while a read is under way causes another one, unless the answer shows it", () => {
    const play = following().watched(record(4, "b", 2, { nonce: 4 }));
    play.watched(record(5, "b", 2, { nonce: 5 })).reads(record(5, "b", 2, { nonce: 5 }));
    expect(play.effectTypes).toEqual([]);
    play.watched(record(6, "b", 2, { nonce: 6 })).watched(released(7, 2));
    play.reads(record(6, "b", 2, { nonce: 6 }));
    expect(play.effectTypes).toEqual(["read"]);
    expect(writes(play.reads(released(7, 2)))).toMatchObject([{ write: { expect: { revision: 7 } } }]);
  });

  test("is waited for where the holder is confirmed dead: the write would be refused", () => {
    const holder = { session: connection(9, true) };
    const play = new Solo("", presence)
      .opened()
      .connected()
      .reads(record(3, "b", 2, holder));
    play.watched(record(4, "b", 2, { ...holder, nonce: 2 }));
    play.answered({ kind: "closed" });
    expect(writes(play)).toEqual([]);
    play.reads(record(4, "b", 2, { ...holder, nonce: 2 }));
    expect(writes(play)).toMatchObject([{ write: { expect: { revision: 4 } } }]);
  });

  test("of a foreign write interrupts no term, whatever epoch it names", () => {
    const play = new Solo("")
      .leading()
      .at(1_000)
      .watched(record(2, "evil", Number.MAX_SAFE_INTEGER));
    expect(play.effectTypes).toEqual(["read"]);
    play.reads(record(1, "a", 1));
    expect(play.effectTypes).toEqual([]);
    expect(play.held).toBe(true);
  });
});

describe("an epoch too far above the revisions of a new bucket", () => {
  const limit = maxEpochAt(2);

  test("is not exceeded: the node does not campaign, and says so once", () => {
    const play = new Solo("", { rememberedEpoch: limit }).opened().connected().reads(garbage(1));
    expect(play.effects).toContainEqual(
      expect.objectContaining({ type: "warning", code: "EPOCH_EXHAUSTED" }),
    );
    play.untilAnswering(60_000, garbage(1));
    expect(writes(play)).toEqual([]);
    expect(play.effects.map((effect) => effect.type)).not.toContain("warning");
  });

  test("is the last one before it, with which a term begins", () => {
    for (const entry of [released(1, 1), garbage(1), deleted(1), null]) {
      const play = new Solo("", { rememberedEpoch: limit - 1 }).opened().connected().reads(entry, 1);
      if (entry !== null) play.untilAnswering(60_000, entry);
      expect(writes(play)).toMatchObject([{ write: { record: { epoch: limit } } }]);
    }
  });

  test("that was forged leaves the last possible one to a node that remembers it and finds the key empty, or garbage", () => {
    for (const entry of [null, garbage(11)]) {
      const play = new Solo("", { rememberedEpoch: maxEpochAt(6) }).opened().connected().reads(entry, 11);
      if (entry !== null) play.untilAnswering(60_000, entry);
      expect(writes(play)).toMatchObject([{ write: { record: { epoch: maxEpochAt(12) } } }]);
    }
  });
});

test("an orphan that is not wanted is deleted when a back-off ends, without another event", () => {
  const play = new Solo("").opened().connected().reads(null).at(1_000).unanswered().at(1_002).reads(null);
  play.until(1_252).at(2_252).unanswered().send({ type: "compete", competes: false });
  play.at(2_254).reads(record(1, "a", 1));
  expect(writes(play)).toEqual([]);
  play.until(2_600);
  expect(writes(play)).toMatchObject([{ write: { kind: "release", expect: { revision: 1 } } }]);
});

describe("an orphan", () => {
  const orphan = (): Solo => {
    const play = new Solo("").opened().connected().reads(null).at(1_000).unanswered();
    return play.send({ type: "compete", competes: false }).reads(record(1, "a", 1));
  };

  test("whose deletion is refused is read again", () => {
    const play = orphan();
    expect(writes(play)[0]?.write.kind).toBe("release");
    play.conflict().until(play.now.mono + 250);
    expect(play.effectTypes).toEqual(["read"]);
  });

  test("begins no term once its deletion was requested, not even when the node competes again", () => {
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
    expect(play.effectTypes).not.toContain("become-leader");
    expect(play.at(1_200).applied(2).held).toBe(false);
    expect(writes(play)).toMatchObject([{ write: { kind: "put", record: { epoch: 2 } } }]);
  });

  test("whose deletion is confirmed late does not hide a newer record", () => {
    const play = orphan()
      .learns(released(2, 1))
      .learns(record(3, "b", 2))
      .applied(2);
    expect(play.state.lease.newestRevision).toBe(3);
    expect(play.state.announced?.nodeId).toBe("b");
  });
});

describe("a release that is refused", () => {
  const refused = (): Solo =>
    new Solo("").leading().at(100).send({ type: "resign", reason: "released" }).send({ type: "drained" });

  test("is repeated after a retry delay if a read shows no change: an isolated stream leader answers", () => {
    const play = refused()
      .at(102)
      .conflict()
      .at(104)
      .reads(record(1, "a", 1));
    expect(writes(play)).toEqual([]);
    play.until(400);
    expect(writes(play)).toMatchObject([{ write: { kind: "release", expect: { revision: 1 } } }]);
  });

  test("is repeated at once if a read shows another revision of ours", () => {
    const play = refused().at(102).conflict().at(104);
    play.reads(play.own(2, 1, 7));
    expect(writes(play)).toMatchObject([{ write: { kind: "release", expect: { revision: 2 } } }]);
  });
});

describe("a follower", () => {
  test("makes no inquiry about a holder whose takeover wait is over", () => {
    const holder = record(7, "b", 2, { session: connection(9, true) });
    const play = new Solo("", { ...presence, requestTimeoutMs: 60_000 }).opened().connected().reads(holder);
    play.untilAnswering(10_000, holder);
    expect(writes(play)).toHaveLength(1);
    play.send({ type: "presence-lost", presence: "stream.presence-9" });
    expect(play.effectTypes).toEqual([]);
  });

  test("sends nothing when its presence is recreated", () => {
    const play = new Solo("", presence)
      .opened()
      .connected(connection(1, true))
      .reads(record(7, "b", 2));
    expect(play.send({ type: "rebound", binding: connection(1, true) }).effectTypes).toEqual([]);
  });

  test("opens the bucket only once when two reads find it missing", () => {
    const play = new Solo("").opened().connected().readsNoBucket();
    expect(play.effectTypes).toEqual(["warning", "open-bucket"]);
    expect(play.readsNoBucket().effectTypes).not.toContain("warning");
  });

  test("that is stopping does not compete again", () => {
    const play = new Solo("").leading().send({ type: "stop" }).send({ type: "compete", competes: true });
    expect(play.effectTypes).toEqual([]);
  });
});

describe("a transition from a wrong state", () => {
  const now = { mono: 0, boot: 0, wall: 0 };
  const fresh = (): Draft => draftOf(initialState(config, now), now);
  const sent = { nonce: 1, epoch: 1, sentAt: now, binding: null, promises: false, stretch: 0 };

  test.each<[string, (draft: Draft) => void]>([
    ["a drain without a term", (draft) => drain(draft, "released", undefined)],
    ["a change of a term without a term", (draft) => setTerm(draft, { revision: 1 })],
    ["a campaign without a view", campaign],
    ["the deletion of an orphan without a view", dropOrphan],
    ["a question about no holder", ask],
    [
      "a term after its deadline",
      (draft) => become({ ...draft, now: after(now, config.leaseTtlMs) }, sent, 1),
    ],
  ])("is a bug: %s", (_, transition) => {
    expect(() => transition(fresh())).toThrow(/^bug: /);
  });
});
