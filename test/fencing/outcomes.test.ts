/** What the answer to a write means, and which slot a write gets. No server. */
import { headers } from "@nats-io/transport-node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { AckReader, ForeignAnswer } from "../../src/fencing/stream/js-messages.ts";
import { type Lane, LanePool } from "../../src/fencing/stream/lanes.ts";
import {
  answerFailure,
  type FenceNow,
  judgeConflict,
  notSent,
} from "../../src/fencing/stream/write-failure.ts";
import { JsApiError } from "../../src/nats/api/js-api.ts";
import { RequestFailure } from "../../src/nats/api/request.ts";
import { termOf } from "../support/fencing/terms-and-servers.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const lane = (sequence: number): Lane => ({ subject: `f.id.${sequence}`, sequence, headers: headers() });

describe("an acknowledgement", () => {
  test("is read the same, whether it is compared as bytes or parsed", () => {
    const sequence = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
    const form = fc.constantFrom(
      (seq: number) => `{"stream":"S", "seq":${seq}}`,
      (seq: number) => `{"stream":"S","domain":"D", "seq":${seq}}`,
      (seq: number) => `{"stream":"S","seq":${seq},"duplicate":true}`,
      (seq: number) => `{"seq":${seq},"stream":"S"}`,
      (seq: number) => `{"stream":"S","seq":${seq},"batch":"b","count":3}`,
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(form, sequence)), (answers) => {
        const reader = new AckReader("S");
        for (const [write, seq] of answers) {
          const text = write(seq);
          expect(reader.read(bytes(text), "s")).toEqual({
            sequence: seq,
            duplicate: text.includes("duplicate"),
          });
        }
      }),
    );
  });

  test("is not read from any other answer", () => {
    const reader = new AckReader("S");
    reader.read(bytes('{"stream":"S", "seq":1}'), "s");
    const wrong = [
      "",
      "{}",
      '{"stream":"S", "seq":}',
      '{"stream":"S", "seq":0}',
      '{"stream":"S", "seq":-1}',
      '{"stream":"S", "seq":1x}',
      '{"stream":"S", "seq":1',
      '{"stream":"S", "seq":"1"}',
      '{"stream":"S", "seq":99999999999999999}',
      '{"stream":"SS", "seq":1}',
      '{"stream":"S", "seq":1,"error":{"code":400,"err_code":1,"description":"no"}}',
    ];
    for (const text of wrong) expect(() => reader.read(bytes(text), "s"), text).toThrow();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (data) => {
        expect(() => reader.read(data, "s")).toThrow();
      }),
    );
  });

  test("of another stream says whether that stream has stored the message", () => {
    const reader = new AckReader("S");
    const stored = () => reader.read(bytes('{"stream":"T", "seq":1}'), "s");
    expect(stored).toThrow(new ForeignAnswer("T", true));
    const refused = () =>
      reader.read(bytes('{"stream":"T","seq":0,"error":{"code":400,"err_code":10071}}'), "s");
    expect(refused).toThrow(new ForeignAnswer("T", false));
  });
});

describe("an outcome", () => {
  const on = { stream: "S", what: "stream S" };
  const api = (code: number, status: number, text = "text") => new JsApiError(code, status, text);

  test("is unknown unless the answer excludes that the write is applied", () => {
    const cases: readonly (readonly [unknown, string])[] = [
      [api(10077, 503, "maximum messages exceeded"), "INSUFFICIENT_RESOURCES"],
      [api(10077, 503, "maximum bytes exceeded"), "INSUFFICIENT_RESOURCES"],
      [api(10077, 503, "disk I/O error"), "OUTCOME_UNKNOWN"],
      [api(10023, 503), "INSUFFICIENT_RESOURCES"],
      [api(10008, 503), "OUTCOME_UNKNOWN"],
      [api(10201, 400), "OUTCOME_UNKNOWN"],
      [api(10158, 409), "OUTCOME_UNKNOWN"],
      [api(10054, 400), "INVALID_CONFIG"],
      [api(10111, 500), "STREAM_INCOMPATIBLE"],
      [api(10166, 400), "STREAM_INCOMPATIBLE"],
      [new ForeignAnswer("T", true), "OUTCOME_UNKNOWN"],
      [new ForeignAnswer("T", false), "OUTCOME_UNKNOWN"],
      [new RequestFailure("timeout", "s", "no answer"), "OUTCOME_UNKNOWN"],
      [new RequestFailure("disconnected", "s", "dropped"), "OUTCOME_UNKNOWN"],
      [new RequestFailure("aborted", "s", "aborted"), "OUTCOME_UNKNOWN"],
      [new RequestFailure("no-responders", "s", "none"), "JETSTREAM_UNAVAILABLE"],
      [new RequestFailure("denied", "s", 'Permissions Violation for Publish to "s"'), "AUTHORIZATION"],
      [new RequestFailure("denied", "i", 'Permissions Violation for Subscription to "i"'), "OUTCOME_UNKNOWN"],
      [new Error("anything"), "OUTCOME_UNKNOWN"],
    ];
    for (const [thrown, code] of cases) {
      const error = answerFailure(thrown, { on, doing: "write to s" });
      expect(error.code, String(thrown)).toBe(code);
    }
  });

  test("of a message that nats.js does not send is never unknown", () => {
    for (const name of ["InvalidSubjectError", "InvalidArgumentError", "TypeError", "AnythingError"]) {
      const thrown = Object.assign(new Error("no"), { name });
      expect(notSent(thrown, "s", "write to s")).toMatchObject({ code: "INVALID_CONFIG" });
    }
    for (const name of ["ClosedConnectionError", "DrainingConnectionError"]) {
      const thrown = Object.assign(new Error("no"), { name });
      expect(notSent(thrown, "s", "write to s")).toMatchObject({ code: "NO_CONNECTION" });
    }
  });

  test("is stale exactly if the lane is not where the term moved it", () => {
    const term = termOf(3);
    const mine = { ...term, cluster: null, sequence: 10 };
    const root = { ...mine, sequence: 9, id: "id", lanes: 1 };
    const other = { ...termOf(4), cluster: null, sequence: 20 };
    const write = { on, term, lane: lane(10), doing: "write to s" };
    const judge = (text: string, conditions: boolean, now: FenceNow) =>
      judgeConflict(api(10071, 400, text), { ...write, conditions }, now);
    const held = { root, lane: { sequence: 10, record: mine } };
    const moved = { root: { ...root, ...other }, lane: { sequence: 20, record: other } };
    const unread: FenceNow = { root: "unknown", lane: "unknown" };
    const cases: readonly (readonly [string, boolean, FenceNow, string, number | null])[] = [
      ["wrong last sequence: 20", false, moved, "STALE_EPOCH", 4],
      ["wrong last sequence: 20", true, moved, "STALE_EPOCH", 4],
      ["wrong last sequence: 7", true, held, "CONFLICT", null],
      // The answer is newer than what was read.
      ["wrong last sequence: 20", false, held, "STALE_EPOCH", null],
      ["wrong last sequence: 20", false, unread, "STALE_EPOCH", null],
      ["wrong last sequence: 20", true, unread, "CONFLICT", null],
      ["wrong last sequence", false, held, "CONFLICT", null],
      ["wrong last sequence", false, moved, "STALE_EPOCH", 4],
      // Purged.
      ["wrong last sequence: 0", false, { root: null, lane: null }, "STALE_EPOCH", null],
      ["wrong last sequence: 0", false, { root, lane: null }, "STALE_EPOCH", null],
      // A stream that was created again: its root names the new holder.
      ["wrong last sequence: 0", false, { root: { ...root, ...other }, lane: null }, "STALE_EPOCH", 4],
      // The root was purged; the lanes name the holder.
      ["wrong last sequence: 20", false, { root: null, lane: moved.lane }, "STALE_EPOCH", 4],
    ];
    for (const [text, conditions, now, code, newest] of cases) {
      const error = judge(text, conditions, now);
      const shown = `${text} ${conditions} ${JSON.stringify(now)}`;
      expect(error.code, shown).toBe(code);
      if (code === "STALE_EPOCH") expect(error, shown).toMatchObject({ token: 3, newest });
    }
  });
});

describe("the slots of a writer", () => {
  test("are never more than maxInFlight, and never more than one on a lane if there are several", () => {
    const plan = fc.record({
      lanes: fc.integer({ min: 1, max: 6 }),
      maxInFlight: fc.integer({ min: 1, max: 8 }),
      steps: fc.array(fc.boolean(), { maxLength: 60 }),
    });
    fc.assert(
      fc.property(plan, ({ lanes: count, maxInFlight, steps }) => {
        const lanes = Array.from({ length: count }, (_, i) => lane(i + 1));
        const pool = new LanePool(lanes, maxInFlight);
        const limit = count > 1 ? Math.min(count, maxInFlight) : maxInFlight;
        const taken: Lane[] = [];
        for (const take of steps) {
          if (take) {
            const slot = pool.tryTake();
            expect(slot === null).toBe(taken.length >= limit);
            if (slot !== null) taken.push(slot);
          } else {
            const slot = taken.shift();
            if (slot !== undefined) pool.giveBack(slot);
          }
          if (count > 1) expect(new Set(taken).size).toBe(taken.length);
        }
      }),
    );
  });

  test("are given to waiting calls in order, and refused when the pool is closed", async () => {
    const pool = new LanePool([lane(1)], 1);
    const first = pool.tryTake() as Lane;
    const order: number[] = [];
    const second = pool.take().then((slot) => {
      order.push(2);
      return slot;
    });
    const third = pool.take().then(() => order.push(3));
    expect(pool.tryTake()).toBeNull();
    pool.giveBack(first);
    pool.giveBack(await second);
    await third;
    expect(order).toEqual([2, 3]);
    const waiting = pool.take();
    pool.close(new Error("closed"));
    await expect(waiting).rejects.toThrow("closed");
    await expect(pool.take()).rejects.toThrow("closed");
  });
});
