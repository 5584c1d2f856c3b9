/** Times with two leaders, and which documented reason applies. */
import { leaseSpanMs } from "../../../src/election/lease.ts";
import { type Detection, residueMs } from "../detection.ts";
import { kindOf } from "../faults/catalogue.ts";
import { FAR_RATE } from "../faults/clock.ts";
import type { HeldInterval } from "../node/recording.ts";
import type { CheckOptions, FaultMark, Overlap } from "./findings.ts";
import { detectionOf, isSameProcess, lastFault } from "./lanes.ts";

/** `STALE_AFTER_MS` of src/runtime/freshness.ts: how long a leader trusts its connection while its event loop is blocked. */
export const BUSY_LOOP_MS = 250;
/** The other clocks of a world with clock faults may be off by 0.5 %, too. */
const OTHER_RATES = 1.01;

export function overlapsOf(held: readonly HeldInterval[], options: CheckOptions): Overlap[] {
  const found: Overlap[] = [];
  let open: HeldInterval[] = [];
  for (const later of held) {
    open = open.filter((other) => other.untilMs > later.fromMs);
    for (const earlier of open) {
      if (isSameProcess(later, earlier)) continue;
      const ms = Math.min(later.untilMs, earlier.untilMs) - later.fromMs;
      if (ms <= 0) continue;
      // An old leader that calls itself leader again is the later interval.
      const [old, next] = later.epoch < earlier.epoch ? [later, earlier] : [earlier, later];
      const fault = lastFault(options.faults, later.fromMs);
      const span = { fromMs: later.fromMs, ms, old, next };
      found.push({ ...span, fault, ...judged(span, fault, options) });
    }
    open.push(later);
  }
  return found;
}

type Judgement = Pick<Overlap, "kind" | "boundMs">;

const FORBIDDEN: Judgement = { kind: "forbidden", boundMs: 0 };

function judged(
  { ms, old, next }: Pick<Overlap, "ms" | "old" | "next">,
  fault: FaultMark | null,
  options: CheckOptions,
): Judgement {
  const blame = fault === null ? "none" : kindOf(fault.name).blame;
  const detection = detectionOf(old, options);
  switch (blame) {
    case "operator":
    case "clock":
      return { kind: blame, boundMs: null };
    case "clock-rate":
      return { kind: blame, boundMs: clockRateMs(options.leaseMs) };
    case "one-sided-reset":
    case "backlog":
      return residue(blame, detection, Number.POSITIVE_INFINITY);
    case "blocked-loop":
      return residue(blame, detection, BUSY_LOOP_MS);
    case "none":
      return isBlockedLoop(old, next, ms) ? residue("blocked-loop", detection, BUSY_LOOP_MS) : FORBIDDEN;
    default:
      return blame satisfies never;
  }
}

/** Only the record of a leader with `presence` lets others take over while its process has not noticed the end of its connection. */
function residue(kind: Overlap["kind"], detection: Detection, mostMs: number): Judgement {
  if (detection.crashDetection !== "presence") return FORBIDDEN;
  return { kind, boundMs: Math.min(residueMs(detection), mostMs) };
}

function clockRateMs(leaseMs: number): number {
  return Math.max(0, leaseSpanMs(leaseMs) * FAR_RATE * OTHER_RATES - leaseMs);
}

/**
 * With presence, a leader learns that its connection is closed when its event loop turns, and another node may lead by
 * then. The leader suspends itself only if the loop was blocked for `BUSY_LOOP_MS`. So the turn that was blocked for less,
 * and the start of the next turn, may still answer yes. This applies only if the last sample before the blocked turn was
 * taken before the other node led.
 */
function isBlockedLoop(old: HeldInterval, next: HeldInterval, ms: number): boolean {
  return old.untilMs < next.untilMs && old.sampledMs <= next.fromMs && ms <= BUSY_LOOP_MS;
}
