/** What a term does with the records of a fence, and the names of its subjects. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_EPOCH } from "../../src/election/epochs.ts";
import {
  decodeLane,
  decodeRoot,
  encodeLane,
  encodeRoot,
  fenceMove,
  foreignCluster,
  MAX_LANES,
  planTake,
  type RootRecord,
  strayLanes,
} from "../../src/fencing/fence-record.ts";
import { isLiteralSubject } from "../../src/fencing/stream/names.ts";
import type { FenceTerm } from "../../src/fencing.ts";
import { covers, overlap } from "../../src/nats/subjects.ts";
import { termOf } from "../support/fencing/terms-and-servers.ts";

const intact = { wanted: 1, intact: true, freshId: "fresh" };
const small = fc.integer({ min: 1, max: 6 });
const sequence = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const term: fc.Arbitrary<FenceTerm> = fc
  .record({
    epoch: small,
    incarnation: fc.constantFrom("p", "q"),
    cluster: fc.constantFrom(undefined, "one", "two"),
  })
  .map(({ epoch, incarnation, cluster }) => ({
    ...termOf(epoch, incarnation),
    ...(cluster === undefined ? {} : { clusterId: cluster }),
  }));
const root: fc.Arbitrary<RootRecord> = fc
  .record({ term, lanes: small, sequence, id: fc.constantFrom("idA", "idB", null) })
  .map(({ term: by, lanes, sequence: at, id }) => ({
    epoch: by.epoch,
    nodeId: by.nodeId,
    incarnation: by.incarnation,
    cluster: by.clusterId ?? null,
    lanes,
    sequence: at,
    id,
  }));
const stored = (data: Uint8Array, at = 1) => ({ sequence: at, data, headers: new Map(), storedAt: null });
const text = (value: string) => new TextEncoder().encode(value);

describe("a fence in a store", () => {
  test("is moved by a larger epoch, kept by its own term, and refused to all other terms", () => {
    fc.assert(
      fc.property(fc.option(root), term, (found, mine) => {
        const move = fenceMove(found, mine);
        if (found === null || found.epoch < mine.epoch) expect(move).toBe("move");
        else if (found.epoch === mine.epoch && found.incarnation === mine.incarnation)
          expect(move).toBe("keep");
        else expect(move).toBe("stale");
        expect(planTake(found, mine, intact) === null).toBe(move === "stale");
      }),
    );
  });

  test("never decreases, for any terms in any order", () => {
    fc.assert(
      fc.property(fc.array(term), (terms) => {
        let held = null as RootRecord | null;
        for (const mine of terms) {
          const before: number = held?.epoch ?? 0;
          const plan = planTake(held, mine, intact);
          if (plan?.root === "move") {
            const { data } = encodeRoot(mine, plan);
            held = decodeRoot(stored(data, (held?.sequence ?? 0) + 1));
          }
          expect(held?.epoch ?? 0).toBeGreaterThanOrEqual(before);
        }
        expect(held?.epoch ?? 0).toBe(Math.max(0, ...terms.map((mine) => mine.epoch)));
      }),
    );
  });

  test("loses no lane to a smaller configuration, and begins again if it needs lanes that do not exist", () => {
    fc.assert(
      fc.property(fc.option(root), term, small, fc.boolean(), (found, mine, wanted, whole) => {
        const plan = planTake(found, mine, { wanted, intact: whole, freshId: "fresh" });
        if (plan === null) return;
        expect(plan.lanes).toBeGreaterThanOrEqual(found?.lanes ?? 1);
        // A term that holds the fence already keeps its lanes: a writer of its first open uses them.
        const keeps = found !== null && found.id !== null && fenceMove(found, mine) === "keep";
        if (keeps) expect(plan.lanes).toBe(found.lanes);
        else expect(plan.lanes).toBeGreaterThanOrEqual(wanted);
        const exist = found !== null && found.id !== null && whole && plan.lanes === found.lanes;
        expect(plan.begins).toBe(!exist);
        expect(plan.id).toBe(exist ? found.id : "fresh");
        expect(plan.root).toBe(exist && keeps ? "keep" : "move");
      }),
    );
  });

  test("has lanes of earlier terms that its root does not name", () => {
    const own = new Set(["f.new.0", "f.new.1"]);
    const subjects = ["f.0", "f.1", "f.2", "f.guard", "f.old.0", "f.old.1", "f.new.0"];
    expect(strayLanes(subjects, { root: "f.0", guard: "f.guard", own })).toEqual([
      "f.1",
      "f.2",
      "f.old.0",
      "f.old.1",
    ]);
  });

  test("belongs to one cluster, if its terms name one", () => {
    fc.assert(
      fc.property(fc.option(root), term, (found, mine) => {
        const other = found?.cluster ?? null;
        const foreign = other !== null && mine.clusterId !== undefined && other !== mine.clusterId;
        expect(foreignCluster(found, mine)).toBe(foreign ? other : null);
      }),
    );
  });

  test("is decoded as it was encoded", () => {
    fc.assert(
      fc.property(term, small, sequence, (mine, lanes, at) => {
        const { clusterId, ...holder } = mine;
        expect(decodeRoot(stored(encodeRoot(mine, { id: "abc", lanes }).data, at))).toEqual({
          ...holder,
          cluster: clusterId ?? null,
          id: "abc",
          lanes,
          sequence: at,
        });
        const lane = { ...holder, cluster: clusterId ?? null, sequence: at };
        expect(decodeLane(stored(encodeLane(mine).data, at))).toEqual(lane);
      }),
    );
  });

  test("of version 0.1 is read, and one of this version is unreadable for version 0.1", () => {
    const before = { epoch: 3, node_id: "a", incarnation: "i", lanes: 8 };
    expect(decodeRoot(stored(text(JSON.stringify(before))))).toMatchObject({ epoch: 3, lanes: 8, id: null });
    const { data } = encodeRoot(termOf(3), { id: "abc", lanes: 8 });
    expect(JSON.parse(new TextDecoder().decode(data))).not.toHaveProperty("lanes");
  });

  test("is not decoded from any other data", () => {
    const whole = { epoch: 3, node_id: "a", incarnation: "i", fence: "abc", lane_count: 8 };
    expect(decodeRoot(stored(text(JSON.stringify(whole))))).toMatchObject({ id: "abc" });
    const wrong = [
      { fence: "a.b" },
      { fence: "*" },
      { fence: "" },
      { fence: 1 },
      { lane_count: 0 },
      { lane_count: MAX_LANES + 1 },
      { lane_count: "8" },
      { epoch: 0 },
      { epoch: MAX_EPOCH + 1 },
      { epoch: Number.MAX_SAFE_INTEGER },
      { node_id: 1 },
      { incarnation: null },
    ];
    for (const over of wrong) {
      expect(
        decodeRoot(stored(text(JSON.stringify({ ...whole, ...over })))),
        JSON.stringify(over),
      ).toBeNull();
    }
    fc.assert(
      fc.property(fc.uint8Array(), (data) => {
        expect([decodeRoot(stored(data)), decodeLane(stored(data))]).toEqual([null, null]);
      }),
    );
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(() => [decodeRoot(stored(text(json))), decodeLane(stored(text(json)))]).not.toThrow();
      }),
    );
  });
});

test("a filter covers the same subjects as on the server", () => {
  const yes = [
    ["a.>", "a.b.c"],
    ["a.*", "a.b"],
    ["a.b", "a.b"],
    [">", "a"],
    ["a.>", "a.*"],
    ["a.>", "a.>"],
  ] as const;
  const no = [
    ["a.>", "a"],
    ["a.*", "a.b.c"],
    ["a.b", "a.c"],
    ["a.b", "a.*"],
    ["a.*", "a.>"],
    ["a.b.c", "a.b"],
  ] as const;
  for (const [filter, subject] of yes) expect(covers(filter, subject), `${filter} ${subject}`).toBe(true);
  for (const [filter, subject] of no) expect(covers(filter, subject), `${filter} ${subject}`).toBe(false);
});

test("two filters overlap if a subject matches both", () => {
  const yes = [
    ["a.>", "a.b"],
    ["a.*", "a.b"],
    [">", "f.>"],
    ["*.b", "a.*"],
    ["a.b", "a.b"],
    ["a.*.c", "a.>"],
  ] as const;
  const no = [
    ["a.>", "a"],
    ["a", "a.b"],
    ["a.*", "a.b.c"],
    ["a.b.>", "a.c.>"],
    ["a.x", "a.y"],
  ] as const;
  for (const [one, other] of yes) {
    expect(overlap(one, other), `${one} ${other}`).toBe(true);
    expect(overlap(other, one), `${other} ${one}`).toBe(true);
  }
  for (const [one, other] of no) {
    expect(overlap(one, other), `${one} ${other}`).toBe(false);
    expect(overlap(other, one), `${other} ${one}`).toBe(false);
  }
});

test("a literal subject has no wildcards, blanks and empty tokens", () => {
  for (const subject of ["a", "a.b", "é€.😀", "$KV.B.k", "a-b_c/d=e"])
    expect(isLiteralSubject(subject), subject).toBe(true);
  const wrong = ["", ".", "a.", ".a", "a..b", "a.*", "a.>", "*", ">", "a b", "a\tb", "a\r\nPUB b", "a\u0000"];
  for (const subject of wrong) expect(isLiteralSubject(subject), JSON.stringify(subject)).toBe(false);
});
