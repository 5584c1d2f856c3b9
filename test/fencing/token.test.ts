import { headers } from "@nats-io/transport-node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeFence,
  encodeFence,
  type FenceRecord,
  fenceMove,
  lanesToMove,
} from "../../src/fencing/fence-record.ts";
import { covers } from "../../src/fencing/stream/names.ts";
import {
  httpHeaders,
  MemoryFence,
  natsHeaders,
  parseToken,
  tokenFromHttp,
  tokenFromNats,
  tokenOf,
} from "../../src/fencing.ts";
import { termOf } from "../support/fencing/terms-and-servers.ts";

const epoch = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const small = fc.integer({ min: 1, max: 6 });

describe("a token", () => {
  test("survives NATS and HTTP headers", () => {
    fc.assert(
      fc.property(epoch, (value) => {
        expect(tokenFromNats(natsHeaders(value))).toBe(value);
        expect(tokenFromHttp(httpHeaders({ epoch: value }))).toBe(value);
        expect(tokenFromHttp(new Headers(httpHeaders(value)))).toBe(value);
      }),
    );
  });

  test("is added to existing headers, and replaces an earlier token", () => {
    const own = headers();
    own.set("x", "1");
    natsHeaders(3, own);
    natsHeaders(4, own);
    expect([own.get("x"), tokenFromNats(own)]).toEqual(["1", 4]);
  });

  test("is read from digits only, and reading never throws", () => {
    for (const text of ["", "0", "-1", "01", "1.0", "1e3", " 1", "9007199254740992", "NaN", "٣"]) {
      expect(parseToken(text), text).toBeNull();
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        const value = parseToken(text);
        expect(value === null || String(value) === text).toBe(true);
      }),
    );
    expect([
      tokenFromNats(undefined),
      tokenFromHttp({}),
      tokenFromHttp({ "nats-leader-epoch": ["1", "2"] }),
    ]).toEqual([null, null, null]);
    const twice = natsHeaders(1);
    twice.append("Nats-Leader-Epoch", "2");
    expect(tokenFromNats(twice)).toBeNull();
  });

  test("that is invalid is an error of the sender", () => {
    for (const value of [0, -1, 1.5, Number.NaN, 2 ** 53])
      expect(() => tokenOf(value)).toThrow(/positive integer/);
  });
});

describe("a fence in memory", () => {
  test("admits exactly the tokens that are at least as large as all before", () => {
    fc.assert(
      fc.property(fc.array(small), (tokens) => {
        const fence = new MemoryFence();
        let largest = 0;
        for (const token of tokens) {
          if (token >= largest) fence.check(token);
          else
            expect(() => fence.check(token)).toThrow(`refuses epoch ${token}: it has seen epoch ${largest}`);
          largest = Math.max(largest, token);
          expect(fence.highest).toBe(largest);
        }
      }),
    );
  });

  test("refuses a message without a token, even before the first token", async () => {
    const fence = new MemoryFence("the printer");
    const refused = {
      code: "STALE_EPOCH",
      token: null,
      message: "the printer refuses a message without an epoch: it has seen epoch 0",
    };
    await expect(fence.admit(null)).rejects.toMatchObject(refused);
  });
});

const term = fc.record({ epoch: small, incarnation: fc.constantFrom("p", "q") });
const asTerm = ({ epoch, incarnation }: { epoch: number; incarnation: string }) => termOf(epoch, incarnation);
const record = fc.record({ term, lanes: small, sequence: epoch });
const asRecord = (it: {
  term: { epoch: number; incarnation: string };
  lanes: number;
  sequence: number;
}): FenceRecord => ({
  ...asTerm(it.term),
  lanes: it.lanes,
  sequence: it.sequence,
});

describe("a fence in a store", () => {
  test("is moved by a larger epoch, kept by its own term, and refused to all other terms", () => {
    fc.assert(
      fc.property(fc.option(record.map(asRecord)), term.map(asTerm), (found, mine) => {
        const move = fenceMove(found, mine);
        if (found === null || found.epoch < mine.epoch) expect(move).toBe("move");
        else if (found.epoch === mine.epoch && found.incarnation === mine.incarnation)
          expect(move).toBe("keep");
        else expect(move).toBe("stale");
      }),
    );
  });

  test("never decreases, for any terms in any order", () => {
    fc.assert(
      fc.property(fc.array(term.map(asTerm)), (terms) => {
        let held = null as FenceRecord | null;
        for (const mine of terms) {
          const before: number = held?.epoch ?? 0;
          if (fenceMove(held, mine) === "move") {
            const lanes = lanesToMove(held, 1);
            held = { ...mine, lanes, sequence: (held?.sequence ?? 0) + 1 };
          }
          expect(held?.epoch ?? 0).toBeGreaterThanOrEqual(before);
        }
        expect(held?.epoch ?? 0).toBe(Math.max(0, ...terms.map((mine) => mine.epoch)));
      }),
    );
  });

  test("never loses a lane to a smaller configuration", () => {
    fc.assert(
      fc.property(fc.option(record.map(asRecord)), small, (found, wanted) => {
        const lanes = lanesToMove(found, wanted);
        expect(lanes).toBeGreaterThanOrEqual(wanted);
        expect(lanes).toBeGreaterThanOrEqual(found?.lanes ?? 1);
      }),
    );
  });

  test("is decoded as it was encoded, and no other data decodes to a fence", () => {
    fc.assert(
      fc.property(term.map(asTerm), small, epoch, (mine, lanes, sequence) => {
        const { data } = encodeFence(mine, lanes);
        expect(decodeFence({ sequence, data, headers: new Map(), storedAt: null })).toEqual({
          ...mine,
          lanes,
          sequence,
        });
      }),
    );
    fc.assert(
      fc.property(fc.uint8Array(), (data) => {
        expect(decodeFence({ sequence: 1, data, headers: new Map(), storedAt: null })).toBeNull();
      }),
    );
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(() =>
          decodeFence({
            sequence: 1,
            data: new TextEncoder().encode(text),
            headers: new Map(),
            storedAt: null,
          }),
        ).not.toThrow();
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
