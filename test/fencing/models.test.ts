/** Property tests of token comparison at the borders: arbitrary tokens, rows of a database, answers to refused requests. */
import type { Msg, MsgHdrs } from "@nats-io/transport-node";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_EPOCH } from "../../src/election/epochs.ts";
import { MAX_STEP } from "../../src/fencing/compare.ts";
import { fenceMove, type LaneRecord } from "../../src/fencing/fence-record.ts";
import {
  fencedCallback,
  MemoryFence,
  natsHeaders,
  PostgresFence,
  throwIfRefused,
} from "../../src/fencing.ts";
import { termOf } from "../support/fencing/terms-and-servers.ts";

const epoch = fc.integer({ min: 1, max: MAX_STEP });
const small = fc.integer({ min: 1, max: 5 });
const incarnation = fc.constantFrom("p", "q");

test("a fence in memory accepts valid tokens only and never decreases, for any sequence of values", () => {
  const anything = fc.oneof(
    fc.constant(null),
    epoch,
    small,
    fc.constantFrom(0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, MAX_EPOCH + 1, MAX_EPOCH),
    small.map((value) => termOf(value)),
  );
  fc.assert(
    fc.property(fc.array(anything), (tokens) => {
      const fence = new MemoryFence();
      for (const token of tokens) {
        const before = fence.highest;
        const value = typeof token === "object" ? (token?.epoch ?? null) : token;
        const possible = value !== null && Number.isSafeInteger(value) && value > 0;
        const passes = possible && value >= before && value <= before + MAX_STEP;
        if (passes) fence.check(token);
        else expect(() => fence.check(token)).toThrow();
        expect(fence.highest).toBe(passes ? value : before);
      }
    }),
  );
});

/** A database that returns these rows for every statement. */
const answering = (rows: readonly Readonly<Record<string, unknown>>[]) => async () => rows;

test("a guard in SQL passes exactly the row of its own term, whatever the type of the epoch", async () => {
  const written = fc.constantFrom<(value: number) => unknown>(String, Number, BigInt);
  const row = fc.record({ epoch: fc.oneof(epoch, small), incarnation });
  let passed = 0;
  await fc.assert(
    fc.asyncProperty(fc.option(row), row, fc.boolean(), written, async (stored, other, own, write) => {
      const term = own && stored !== null ? stored : other;
      const mine = { ...term, nodeId: "a" };
      const rows = stored === null ? [] : [{ ...stored, epoch: write(stored.epoch), node: "a", mark: "m" }];
      const guarding = new PostgresFence({ resource: "r" }).guard(answering(rows), mine);
      if (stored?.epoch === term.epoch && stored.incarnation === term.incarnation) {
        passed += 1;
        await guarding;
      } else await expect(guarding).rejects.toMatchObject({ code: "STALE_EPOCH", token: term.epoch });
    }),
  );
  expect(passed).toBeGreaterThan(20);
});

test("a guard in SQL refuses an epoch beyond the safe integers and any value that is not an epoch", async () => {
  const beyond = fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n });
  const foreign = fc.oneof(
    beyond,
    beyond.map(String),
    fc.constantFrom<unknown>(null, "", "0", "-1", "1.5", "NaN", {}),
  );
  await fc.assert(
    fc.asyncProperty(foreign, fc.constantFrom(1, MAX_EPOCH), async (stored, mine) => {
      const rows = [{ epoch: stored, node: "a", incarnation: "p", mark: "m" }];
      const guarding = new PostgresFence({ resource: "r" }).guard(answering(rows), {
        epoch: mine,
        nodeId: "a",
        incarnation: "p",
      });
      await expect(guarding).rejects.toMatchObject({ code: "STALE_EPOCH" });
    }),
  );
});

test("every statement has one placeholder for each value, and passes the epoch as a value", () => {
  fc.assert(
    fc.property(epoch, incarnation, fc.integer({ min: 1, max: 40 }), (value, by, first) => {
      const fence = new PostgresFence({ resource: "r" });
      const term = { epoch: value, nodeId: "a", incarnation: by };
      for (const [statement, from] of [
        [fence.takeSql(term), 1],
        [fence.guardSql(term), 1],
        [fence.guardCte(term, first), first],
      ] as const) {
        const numbers = [...statement.text.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number));
        const expected = statement.values.map((_, index) => from + index);
        expect([...new Set(numbers)].sort((one, other) => one - other)).toEqual(expected);
        // Small numbers also occur as placeholders and timeouts.
        if (value > 99_999) expect(statement.text).not.toContain(String(value));
      }
      expect(fence.takeSql(term).values).toContain(value);
      expect(fence.guardSql(term).values.slice(1, 3)).toEqual([value, by]);
      expect(fence.guardCte(term).values.slice(1)).toEqual([value, by]);
    }),
  );
});

/** Sends a request with this token. Resolves with the refusal, or with `null` if the handler received the request. */
function ask(fence: MemoryFence, token: number | null): Promise<Msg | null> {
  return new Promise((resolve) => {
    const respond = (data: Uint8Array, options: { headers: MsgHdrs }): boolean => {
      resolve({ data, headers: options.headers } as unknown as Msg);
      return true;
    };
    const headers = token === null ? undefined : natsHeaders(token);
    const message = { subject: "s", headers, respond } as unknown as Msg;
    fencedCallback<Msg>(fence, () => resolve(null))(null, message);
  });
}

test("a refusal gives the sender both tokens unchanged, and says if there was none", async () => {
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof(epoch, small), fc.option(fc.oneof(epoch, small)), async (highest, token) => {
      const fence = new MemoryFence();
      fence.check(highest);
      const answer = await ask(fence, token);
      if (token !== null && token >= highest) {
        expect(answer).toBeNull();
        return;
      }
      refused += 1;
      let thrown: unknown = null;
      try {
        throwIfRefused(answer as Msg);
      } catch (error) {
        thrown = error;
      }
      if (token === null) expect(thrown).toMatchObject({ code: "INVALID_CONFIG" });
      else expect(thrown).toMatchObject({ code: "STALE_EPOCH", token, newest: highest });
    }),
  );
  expect(refused).toBeGreaterThan(20);
});

test("of two terms only the larger may move the other's fence, and each term keeps its own", () => {
  const term = fc.record({ epoch: small, incarnation });
  const held = (by: { epoch: number; incarnation: string }): LaneRecord => ({
    ...by,
    nodeId: "a",
    cluster: null,
    sequence: 1,
  });
  const named = (by: { epoch: number; incarnation: string }) => ({ ...by, nodeId: "a" });
  fc.assert(
    fc.property(term, term, (one, other) => {
      const moves = [fenceMove(held(one), named(other)), fenceMove(held(other), named(one))].sort();
      const same = one.epoch === other.epoch && one.incarnation === other.incarnation;
      const expected = same
        ? ["keep", "keep"]
        : one.epoch === other.epoch
          ? ["stale", "stale"]
          : ["move", "stale"];
      expect(moves).toEqual(expected);
    }),
  );
});
