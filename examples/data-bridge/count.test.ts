/** The final count can fail: each test breaks one thing. */
import { expect, test } from "vitest";
import { Count, Series, type Verdict } from "./count.ts";
import type { StoredTick } from "./sink/sink.ts";

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const tick = (n: number, price: number | null = 1): Uint8Array => bytes({ symbol: "A", n, price });
const stored = (n: number, seq: number, epoch = 5): StoredTick => ({
  symbol: "A",
  n,
  price: 1,
  partition: "0",
  seq,
  epoch,
});

interface Scene {
  readonly messages: readonly Uint8Array[];
  readonly stored: readonly StoredTick[];
  readonly dead?: readonly Uint8Array[];
  readonly counted: readonly [seq: number, stored: number, duplicates: number, dead: number];
  readonly acknowledged?: number;
}

function verdictOf(scene: Scene): Verdict {
  const count = new Count();
  for (const [index, data] of scene.messages.entries()) count.addMessage("0", index + 1, data);
  for (const one of scene.stored) count.addStored(one);
  for (const data of scene.dead ?? []) count.addDead(data);
  const [seq, sum, duplicates, dead] = scene.counted;
  count.addPosition({ partition: "0", seq, stored: sum, duplicates, dead });
  return count.verdict(new Map([["A", scene.acknowledged ?? 0]]));
}

const GOOD: Scene = {
  messages: [tick(1), tick(2), tick(1), tick(3, null), bytes("garbage")],
  stored: [stored(1, 1), stored(2, 2, 6)],
  dead: [tick(3, null), bytes("garbage")],
  counted: [5, 2, 1, 2],
  acknowledged: 3,
};

test("everything stored once, removed as a duplicate or dead is well", () => {
  expect(verdictOf(GOOD)).toEqual({
    ok: true,
    messages: 5,
    ticks: 3,
    stored: 2,
    duplicatesRemoved: 1,
    deadLetters: 2,
    lost: 0,
    duplicates: 0,
    staleAccepted: 0,
    problems: [],
  });
});

test.each<[string, Partial<Scene>, Partial<Verdict>]>([
  ["a tick is lost", { stored: [stored(1, 1)] }, { lost: 1 }],
  ["a tick is stored twice", { stored: [stored(1, 1), stored(2, 2), stored(2, 4)] }, { duplicates: 1 }],
  ["a tick is stored and dead", { stored: [...GOOD.stored, stored(3, 4, 6)] }, { duplicates: 1 }],
  [
    "a former owner stores after a newer one",
    { stored: [stored(1, 1, 6), stored(2, 2, 5)] },
    { staleAccepted: 1 },
  ],
  [
    "the stream lacks an acknowledged tick",
    { acknowledged: 4 },
    { lost: 1, problems: ["acknowledged ticks are not in the stream"] },
  ],
  [
    "a stored tick is not in the stream",
    { stored: [...GOOD.stored, stored(9, 9, 6)] },
    { problems: ["stored ticks are not in the stream"] },
  ],
  [
    "ticks are stored out of order",
    { stored: [stored(2, 2), stored(1, 1)] },
    { problems: ["ticks were not stored in the order of the stream"] },
  ],
  [
    "the position stays behind",
    { counted: [4, 2, 1, 2] },
    { problems: ["partition 0 ends at 4 and not at its last message, 5"] },
  ],
  [
    "a batch is counted twice",
    { counted: [5, 2, 3, 2] },
    { problems: ["partition 0 has 5 messages, and the sink counted 7"] },
  ],
])("%s: it is found", (_what, broken, found) => {
  expect(verdictOf({ ...GOOD, ...broken })).toMatchObject({ ok: false, ...found });
});

test("a series keeps only what is out of order", () => {
  const series = new Series();
  expect([2, 1, 2, 5, 1, 3].map((n) => series.add(n))).toEqual([true, true, false, true, false, true]);
  expect([...series]).toEqual([1, 2, 3, 5]);
  expect(series.has(4)).toBe(false);
});
