/**
 * Compares the simulator's fakes with a real server, with fixed seeds; `npm run calibrate` takes any number. The server's answers
 * are then compared with fakes that are wrong on purpose, each of which must be detected.
 */
import { beforeAll, describe, expect, test } from "vitest";
import { FakeBucketWorld } from "../../scripts/calibrate/bucket/fake-bucket-world.ts";
import { contradicted, type Mismatch, type RecordedStep } from "../../scripts/calibrate/bucket/run-script.ts";
import {
  type Calibration,
  calibrateBuckets,
  calibrateSessions,
  shortened,
} from "../../scripts/calibrate/calibrate.ts";
import { DEVIATIONS, type Subject } from "../../scripts/calibrate/deviations.ts";
import type { CalibrationTarget } from "../../scripts/calibrate/nats-lane.ts";
import { bucketMismatchText } from "../../scripts/calibrate/report-text.ts";
import { FakeSessionWorld } from "../../scripts/calibrate/session/fake-session-world.ts";
import {
  contradicted as contradictedSession,
  type SessionAnswer,
} from "../../scripts/calibrate/session/run-session-script.ts";
import { WRONG_FAKES, WRONG_SESSIONS } from "../../scripts/calibrate/wrong-fakes.ts";
import { startNatsServer } from "../../src/testing.ts";
import { useNatsServer } from "../support/use-server.ts";

const LANES = 6;
/** The tests take seconds, and far longer on a busy machine. */
const TIMEOUT_MS = 180_000;

const server = useNatsServer();
let target: CalibrationTarget;
beforeAll(() => {
  target = { servers: [server], version: server.version, replicas: 1 };
});

/** Outcomes that must occur, or the seeds prove nothing. */
function meets(calibration: Calibration, wanted: readonly string[]): void {
  const met = Object.keys(calibration.outcomes);
  expect(wanted.filter((outcome) => !met.includes(outcome))).toEqual([]);
}

describe("a fake bucket", () => {
  const recorded: (readonly RecordedStep[])[] = [];

  test("answers and reports like the server, whatever the operations", {
    timeout: TIMEOUT_MS,
  }, async () => {
    const calibration = await calibrateBuckets(target, { seed: 1, scripts: 60, lanes: LANES }, (outcome) => {
      recorded.push(outcome.answers);
    });
    expect(calibration.mismatches).toEqual([]);
    expect(calibration).toMatchObject({ scripts: 60, deviations: {} });
    meets(calibration, [
      ...["applied at n", "conflict", "unknown"].map((outcome) => `write: ${outcome}`),
      ...["applied at n + conflict", "conflict + conflict"].map((outcome) => `race: ${outcome}`),
      ...["applied at n", "conflict", "no responders"].map((outcome) => `arrive: ${outcome}`),
      ...["applied at n + unknown", "conflict + unknown"].map((outcome) => `lose-answer: ${outcome}`),
      ...["pipeline: applied at n + applied at n", "read: no-bucket", "offline: failed + unknown"],
      ...["purge-key: purged n", "delete-message: refused", "delete-bucket: deleted", "expire: expired"],
      ...["force: applied at n", "force: no bucket", "other-key: applied at n", "late: unknown"],
    ]);
  });

  test("keeps the same data as a server that is stopped or killed", { timeout: TIMEOUT_MS }, async () => {
    const own = await startNatsServer();
    try {
      const restart = async (how: "stop" | "kill"): Promise<void> => {
        await own[how]();
        await own.start();
      };
      const servers = [own];
      const calibration = await calibrateBuckets(
        { ...target, servers, restart },
        { seed: 1, scripts: 4, lanes: 1 },
      );
      expect(calibration.mismatches).toEqual([]);
      meets(calibration, ["restart: restarted"]);
    } finally {
      await own.dispose();
    }
  });

  test.each(WRONG_FAKES)("that %s is detected", async (_wrong, parts) => {
    expect(recorded.length).toBeGreaterThan(0);
    const found = await Promise.all(
      recorded.map((answers) =>
        contradicted(target, answers, new FakeBucketWorld(target, maxAgeOf(answers), parts)),
      ),
    );
    expect(found.filter((step) => step !== null)).not.toEqual([]);
  });

  test("that is correct agrees with every recorded answer", async () => {
    const found = await Promise.all(
      recorded.map((answers) =>
        contradicted(target, answers, new FakeBucketWorld(target, maxAgeOf(answers))),
      ),
    );
    expect(found.filter((step) => step !== null)).toEqual([]);
  });
});

/** A bucket with max-age reports it when it is opened, which is the first step. */
function maxAgeOf(answers: readonly RecordedStep[]): number {
  return Number(/max-age (\d+) ms/.exec(answers[0]?.lines[0] ?? "")?.[1] ?? 0);
}

describe("a fake session", () => {
  const recorded: (readonly SessionAnswer[])[] = [];

  test("reports and confirms the same closed connections", { timeout: TIMEOUT_MS }, async () => {
    const calibration = await calibrateSessions(target, { seed: 1, scripts: 60, lanes: LANES }, (outcome) => {
      recorded.push(outcome.answers);
    });
    expect(calibration.mismatches).toEqual([]);
    meets(calibration, [
      ...["ask, binding as it was: gone", "ask, binding as it was: not gone"],
      ...["ask, binding of another server: not gone", "ask, binding without presence: not gone"],
      ...["ask, binding of no connection: gone", "kill: done", "leave: done", "close: done", "cut: done"],
      ...["drop: done", "return: done", "release: done", "delete-consumer: done", "asker-returns: done"],
    ]);
  });

  test.each(WRONG_SESSIONS)("that %s is detected", async (_wrong, parts) => {
    expect(recorded.length).toBeGreaterThan(0);
    const found = await Promise.all(
      recorded.map((answers) => contradictedSession(answers, new FakeSessionWorld(parts))),
    );
    expect(found.filter((step) => step !== null)).not.toEqual([]);
  });
});

describe("the calibration itself", () => {
  test("shrinks a failing run to the necessary steps", async () => {
    const needs = async (items: readonly number[]): Promise<boolean> =>
      items.includes(3) && items.includes(17);
    expect(
      await shortened(
        Array.from({ length: 30 }, (_, index) => index),
        needs,
      ),
    ).toEqual([3, 17]);
  });

  test("prints a mismatch step by step, with both sides", () => {
    const subject: Subject = { version: "2.9.10", replicas: 1 };
    const answers: RecordedStep[] = [
      { step: { do: "force", what: "garbage" }, lines: ["applied at 1"], received: [] },
    ];
    const write = { kind: "release", epoch: 1, incarnation: "i", expect: { revision: 1 } } as const;
    const step = { do: "write", by: "a", write } as const;
    const mismatch: Mismatch = { step, fake: ["conflict"], server: ["applied at 2"] };
    const outcome = { answers, mismatch, deviations: [], tooSlow: false };
    expect(bucketMismatchText(7, subject, outcome, mismatch).split("\n")).toEqual([
      "bucket script 7 on nats-server 2.9.10, replicas 1: fake and server differ",
      "  1. another client writes: garbage: applied at 1",
      "  2. a releases epoch 1 expecting revision 1",
      "    fake:",
      "      > conflict",
      "    server:",
      "      > applied at 2",
    ]);
  });

  test("lists every deviation once, with its range and reason", () => {
    expect(new Set(DEVIATIONS.map(({ name }) => name)).size).toBe(DEVIATIONS.length);
    for (const { range, reason } of DEVIATIONS)
      expect(Math.min(range.length, reason.length)).toBeGreaterThan(10);
  });
});
