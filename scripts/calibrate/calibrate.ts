/** Many scripts, several at a time, on one server or cluster; of a script that fails, the shortest part that still does. */
import { messageOf } from "../../src/errors.ts";
import { Random } from "../../src/testing/simulation/random.ts";
import { generate, type Script } from "./bucket/operations.ts";
import { type Outcome, runScript } from "./bucket/run-script.ts";
import { Lane, type Place } from "./nats-lane.ts";
import { bucketStory, sessionStory } from "./report-text.ts";
import { runSessions, type SessionOutcome } from "./session/run-session-script.ts";
import { generateSessions, type SessionScript } from "./session/session-script.ts";

/** Shortening a failing script takes at most that many runs. */
const MAX_SHORTENINGS = 120;

export interface CalibrateOptions {
  readonly seed: number;
  readonly scripts: number;
  /** How many run at the same time. */
  readonly lanes: number;
  /** Ends the run after so many mismatches. Default 1. */
  readonly mismatches?: number;
  readonly onScript?: () => void;
}

export interface Calibration {
  readonly scripts: number;
  readonly steps: number;
  /** Not compared to their end, since the machine was too slow: for a bucket with max-age, for a connection's pings. */
  readonly tooSlow: number;
  /** How often each declared deviation was met. */
  readonly deviations: Readonly<Record<string, number>>;
  /** How often each step ended in what. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Stories of what nothing explains. */
  readonly mismatches: readonly string[];
}

/** What one script gave, of either kind. */
interface Run {
  readonly steps: readonly (readonly [step: string, line: string])[];
  readonly tooSlow: boolean;
  readonly deviations: readonly string[];
  /** Shortens and tells; `null` when the two agreed. */
  readonly story: (() => Promise<string>) | null;
}

export function calibrateBuckets(
  place: Place,
  options: CalibrateOptions,
  onOutcome?: (outcome: Outcome) => void,
): Promise<Calibration> {
  const restarts = place.restart !== undefined;
  return calibrate(place, options, async (lane, seed) => {
    const script = generate(seed, new Random(seed), { restarts });
    const outcome = await runScript(lane, script);
    onOutcome?.(outcome);
    return {
      steps: outcome.answers.map(
        ({ step, lines }) => [step.do, lines.map(withoutNumbers).sort().join(" + ")] as const,
      ),
      tooSlow: outcome.tooSlow,
      deviations: outcome.deviations,
      story: outcome.mismatch === null ? null : () => shortBucketStory(lane, script, outcome),
    };
  });
}

export function calibrateSessions(
  place: Place,
  options: CalibrateOptions,
  onOutcome?: (outcome: SessionOutcome) => void,
): Promise<Calibration> {
  return calibrate(place, options, async (lane, seed) => {
    const script = generateSessions(seed, new Random(seed));
    const outcome = await runSessions(lane, script);
    onOutcome?.(outcome);
    return {
      steps: outcome.answers.map(({ step, lines }) => [
        step.do === "ask" ? `ask, binding ${step.twist}` : step.do,
        lines[0] ?? "",
      ]),
      tooSlow: outcome.tooSlow,
      deviations: [],
      story: outcome.mismatch === null ? null : () => shortSessionStory(lane, script, outcome),
    };
  });
}

async function calibrate(
  place: Place,
  options: CalibrateOptions,
  run: (lane: Lane, seed: number) => Promise<Run>,
): Promise<Calibration> {
  const { scripts, lanes, mismatches: most = 1 } = options;
  const found = { scripts: 0, steps: 0, tooSlow: 0 };
  const deviations: Record<string, number> = {};
  const outcomes: Record<string, number> = {};
  const mismatches: string[] = [];
  let next = options.seed;
  const work = async (): Promise<void> => {
    const lane = await Lane.open(place);
    try {
      while (next < options.seed + scripts && mismatches.length < most) {
        const seed = next++;
        const done = await run(lane, seed).catch((thrown: unknown) => notRun(seed, thrown));
        found.scripts += 1;
        found.steps += done.steps.length;
        if (done.tooSlow) found.tooSlow += 1;
        for (const name of done.deviations) count(deviations, name);
        for (const [step, line] of done.steps) count(outcomes, `${step}: ${line}`);
        if (done.story !== null) mismatches.push(await done.story());
        options.onScript?.();
      }
    } finally {
      await lane.close();
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(lanes, scripts) }, work));
  for (const one of ended) if (one.status === "rejected") throw one.reason;
  return { ...found, deviations, outcomes: Object.fromEntries(Object.entries(outcomes).sort()), mismatches };
}

/** Neither agreement nor a difference: it must not pass for the one, and says where the other could be. */
function notRun(seed: number, thrown: unknown): Run {
  const story = async (): Promise<string> =>
    `script ${seed} could not be run to its end: ${messageOf(thrown)}`;
  return { steps: [], tooSlow: false, deviations: [], story };
}

function count(table: Record<string, number>, name: string): void {
  table[name] = (table[name] ?? 0) + 1;
}

/** What an outcome was, apart from revisions and records. */
function withoutNumbers(line: string): string {
  return line.replace(/ \{.*/, "").replaceAll(/ \d+/g, " n");
}

async function shortBucketStory(lane: Lane, script: Script, failed: Outcome): Promise<string> {
  let last = failed;
  await shortened(script.operations, async (operations) => {
    const outcome = await runScript(lane, { ...script, operations });
    if (outcome.mismatch === null) return false;
    last = outcome;
    return true;
  });
  if (last.mismatch === null) throw new Error("a story needs a mismatch");
  return bucketStory(script.seed, lane.place, last, last.mismatch);
}

async function shortSessionStory(lane: Lane, script: SessionScript, failed: SessionOutcome): Promise<string> {
  let last = failed;
  await shortened(script.steps, async (steps) => {
    const outcome = await runSessions(lane, { ...script, steps });
    if (outcome.mismatch === null) return false;
    last = outcome;
    return true;
  });
  if (last.mismatch === null) throw new Error("a story needs a mismatch");
  return sessionStory(script.seed, lane.place, last, last.mismatch);
}

/** Leaves out what may be left out, in ever smaller parts. `fails` is only asked about shorter lists. */
export async function shortened<T>(
  items: readonly T[],
  fails: (items: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let left = items;
  let runs = 0;
  for (let size = Math.ceil(left.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < left.length && runs < MAX_SHORTENINGS; ) {
      const without = [...left.slice(0, from), ...left.slice(from + size)];
      runs += 1;
      if (await fails(without)) left = without;
      else from += size;
    }
  }
  return left;
}
