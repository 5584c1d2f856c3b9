import { headers } from "@nats-io/transport-node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_EPOCH, maxEpochAt } from "../../src/election/epochs.ts";
import { MAX_STEP } from "../../src/fencing/compare.ts";
import {
  CLUSTER_HEADER,
  clusterIdFromHttp,
  clusterIdFromNats,
  httpHeaders,
  MemoryFence,
  natsHeaders,
  parseToken,
  tokenFromHttp,
  tokenFromNats,
  tokenOf,
} from "../../src/fencing.ts";

const epoch = fc.integer({ min: 1, max: MAX_STEP });
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

  test("of a term carries the cluster or resource with it, whatever characters its name has", () => {
    const id = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(id, (name) => {
        const term = { epoch: 3, clusterId: `orders/${name}` };
        expect(clusterIdFromNats(natsHeaders(term))).toBe(term.clusterId);
        expect(clusterIdFromHttp(httpHeaders(term))).toBe(term.clusterId);
        expect(clusterIdFromHttp(new Headers(httpHeaders(term)))).toBe(term.clusterId);
      }),
    );
    const own = natsHeaders({ epoch: 3, clusterId: "billing" });
    expect(own.get(CLUSTER_HEADER)).toBe("billing");
    expect(clusterIdFromNats(natsHeaders(4, own))).toBeNull();
    expect([clusterIdFromHttp(httpHeaders(4)), clusterIdFromNats(undefined)]).toEqual([null, null]);
    for (const text of ["", "%", "%ff", "x".repeat(2_000)])
      expect(clusterIdFromHttp({ "nats-leader-cluster": text })).toBeNull();
    own.append(CLUSTER_HEADER, "a");
    own.append(CLUSTER_HEADER, "b");
    expect(clusterIdFromNats(own)).toBeNull();
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
    for (const value of [0, -1, 1.5, Number.NaN, MAX_EPOCH + 1, 2 ** 53])
      expect(() => tokenOf(value)).toThrow(/an integer from 1 to 2\^52/);
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

  test("refuses a token that no election reaches, and admits the leader's afterwards", () => {
    for (const seen of [0, 7]) {
      const fence = new MemoryFence("the printer");
      if (seen > 0) fence.check(seen);
      for (const absurd of [seen + MAX_STEP + 1, MAX_EPOCH]) {
        expect(() => fence.check(absurd)).toThrow(
          `the printer refuses epoch ${absurd}: it has seen epoch ${seen}, and no election can have come so far since`,
        );
      }
      expect(() => fence.check(Number.MAX_SAFE_INTEGER)).toThrow(/an integer from 1 to 2\^52/);
      expect(parseToken(String(Number.MAX_SAFE_INTEGER))).toBeNull();
      fence.check(8);
      expect(fence.highest).toBe(8);
    }
  });

  test("admits the epochs of an election that goes on above the largest forged record", () => {
    const fence = new MemoryFence();
    fence.check(7);
    fence.check(maxEpochAt(1_000_000_000) + 1);
  });

  test("refuses a message without a token, even before the first token", async () => {
    const fence = new MemoryFence("the printer");
    const refused = {
      code: "INVALID_CONFIG",
      message:
        "the printer refuses a message without a valid epoch: its sender must attach that of its term (natsHeaders(term), httpHeaders(term))",
    };
    await expect(fence.admit(null)).rejects.toMatchObject(refused);
  });
});
