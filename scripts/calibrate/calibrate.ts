/** Runs many scripts, several in parallel, on one server or cluster. Shortens a script that fails. */
import { messageOf } from "../../src/errors.ts";
import { Random } from "../../src/testing/simulation/random.ts";
import { generate, type Script } from "./bucket/operations.ts";
import { runScript, type ScriptOutcome } from "./bucket/run-script.ts";
import { type CalibrationTarget, Lane } from "./nats-lane.ts";
import { bucketMismatchText, sessionMismatchText } from "./report-text.ts";
import { runSessionScript, type SessionOutcome } from "./session/run-session-script.ts";
import { generateSessions, type SessionScript } from "./session/session-script.ts";

/** Limit for the runs that shorten a failing script. */
const MAX_SHORTENINGS = 120;

export interface CalibrateOptions {
  readonly seed: number;
  readonly scripts: number;
  /** Number of scripts that run in parallel. */
  readonly lanes: number;
  /** Ends the run after this many mismatches. Default 1. */
  readonly mismatches?: number;
  readonly onScript?: () => void;
}

export interface Calibration {
  readonly scripts: number;
  readonly steps: number;
  /** Scripts that ended early because the machine was too slow for the bucket's max-age or the connection's pings. */
  readonly tooSlow: number;
  /** How often each declared deviation occurred. */
  readonly deviations: Readonly<Record<string, number>>;
  /** How often each step had each outcome. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Descriptions of unexplained differences. */
  readonly mismatches: readonly string[];
}

/** The result of one script of either kind. */
interface Run {
  readonly steps: readonly (readonly [step: string, line: string])[];
  readonly tooSlow: boolean;
  readonly deviations: readonly string[];
  /** Shortens the script and describes the mismatch; `null` if there is none. */
  readonly describeMismatch: (() => Promise<string>) | null;
}

export function calibrateBuckets(
  target: CalibrationTarget,
  options: CalibrateOptions,
  onOutcome?: (outcome: ScriptOutcome) => void,
): Promise<Calibration> {
  const restarts = target.restart !== undefined;
  return calibrate(target, options, async (lane, seed) => {
    const script = generate(seed, new Random(seed), { restarts });
    const outcome = await runScript(lane, script);
    onOutcome?.(outcome);
    return {
      steps: outcome.answers.map(
        ({ step, lines }) => [step.do, lines.map(withoutNumbers).sort().join(" + ")] as const,
      ),
      tooSlow: outcome.tooSlow,
      deviations: outcome.deviations,
      describeMismatch: outcome.mismatch === null ? null : () => shortenBucketScript(lane, script, outcome),
    };
  });
}

export function calibrateSessions(
  target: CalibrationTarget,
  options: CalibrateOptions,
  onOutcome?: (outcome: SessionOutcome) => void,
): Promise<Calibration> {
  return calibrate(target, options, async (lane, seed) => {
    const script = generateSessions(seed, new Random(seed));
    const outcome = await runSessionScript(lane, script);
    onOutcome?.(outcome);
    return {
      steps: outcome.answers.map(({ step, lines }) => [
        step.do === "ask" ? `ask, binding ${step.twist}` : step.do,
        lines[0] ?? "",
      ]),
      tooSlow: outcome.tooSlow,
      deviations: [],
      describeMismatch: outcome.mismatch === null ? null : () => shortenSessionScript(lane, script, outcome),
    };
  });
}

async function calibrate(
  target: CalibrationTarget,
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
    const lane = await Lane.open(target);
    try {
      while (next < options.seed + scripts && mismatches.length < most) {
        const seed = next++;
        const done = await run(lane, seed).catch((thrown: unknown) => notRun(seed, thrown));
        found.scripts += 1;
        found.steps += done.steps.length;
        if (done.tooSlow) found.tooSlow += 1;
        for (const name of done.deviations) count(deviations, name);
        for (const [step, line] of done.steps) count(outcomes, `${step}: ${line}`);
        if (done.describeMismatch !== null) mismatches.push(await done.describeMismatch());
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

/** A script that threw. Counts as a mismatch, because it shows no agreement. */
function notRun(seed: number, thrown: unknown): Run {
  const describeMismatch = async (): Promise<string> =>
    `script ${seed} did not run to its end: ${messageOf(thrown)}`;
  return { steps: [], tooSlow: false, deviations: [], describeMismatch };
}

function count(table: Record<string, number>, name: string): void {
  table[name] = (table[name] ?? 0) + 1;
}

/** An outcome without its revisions and records. */
function withoutNumbers(line: string): string {
  return line.replace(/ \{.*/, "").replaceAll(/ \d+/g, " n");
}

async function shortenBucketScript(lane: Lane, script: Script, failed: ScriptOutcome): Promise<string> {
  let last = failed;
  await shortened(script.operations, async (operations) => {
    const outcome = await runScript(lane, { ...script, operations });
    if (outcome.mismatch === null) return false;
    last = outcome;
    return true;
  });
  if (last.mismatch === null) throw new Error("bug: a shortened script has no mismatch");
  return bucketMismatchText(script.seed, lane.target, last, last.mismatch);
}

async function shortenSessionScript(
  lane: Lane,
  script: SessionScript,
  failed: SessionOutcome,
): Promise<string> {
  let last = failed;
  await shortened(script.steps, async (steps) => {
    const outcome = await runSessionScript(lane, { ...script, steps });
    if (outcome.mismatch === null) return false;
    last = outcome;
    return true;
  });
  if (last.mismatch === null) throw new Error("bug: a shortened script has no mismatch");
  return sessionMismatchText(script.seed, lane.target, last, last.mismatch);
}

/** Removes parts of decreasing size as long as the rest fails. `fails` is only called with shorter lists. */
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
