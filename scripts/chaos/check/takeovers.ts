/** Leaders that were replaced by silence without being silent. */
import { silenceWaitMs } from "../../../src/inquiry/durations.ts";
import { kindOf } from "../faults/catalogue.ts";
import type { HeldInterval, RecordedEvent, Recording, Stall } from "../node/recording.ts";
import type { CheckOptions, FalseTakeover } from "./findings.ts";
import { detectionOf, isSameProcess } from "./lanes.ts";
import { touchesAny } from "./vacancies.ts";

/** How a term ends that its process has not given up and no operator has deleted. */
const REPLACED = new Set(["lose-leadership-superseded", "lose-leadership-expired"]);

/**
 * A process that reports the loss of its term lives. It is not to blame if no fault lasted, and its connection was open, from well
 * before a follower could have asked its first question until the loss.
 */
export function falseTakeoversOf(
  { held, events }: Recording,
  stalls: readonly Stall[],
  options: CheckOptions,
): FalseTakeover[] {
  const found: FalseTakeover[] = [];
  for (const event of events) {
    if (!REPLACED.has(event.text)) continue;
    const change = changeOf(event, held);
    if (change === null) continue;
    const { old, next } = change;
    const { silenceMs } = detectionOf(old, options);
    if (silenceMs === 0 || detectionOf(next, options).crashDetection === "lease") continue;
    const span = { fromMs: next.fromMs - 2 * silenceWaitMs(silenceMs), untilMs: next.fromMs };
    if (isDisturbed(span, options) || !isConnected(old, span.fromMs, event.atMs, events)) continue;
    found.push({ atMs: next.fromMs, cause: touchesAny(span, stalls) ? "machine" : "none", old, next });
  }
  return found;
}

/** The term that ended with the event, and the next one of another process. */
function changeOf(
  event: RecordedEvent,
  held: readonly HeldInterval[],
): Pick<FalseTakeover, "old" | "next"> | null {
  const old = held.findLast((it) => isSameProcess(it, event) && it.fromMs <= event.atMs);
  if (old === undefined) return null;
  const next = held.find((it) => it.fromMs >= old.fromMs && !isSameProcess(it, old) && it.epoch > old.epoch);
  return next === undefined ? null : { old, next };
}

/** Faults that must not end a term are no excuse. */
function isDisturbed({ fromMs, untilMs }: Stall, { faults }: CheckOptions): boolean {
  return faults.some(
    (fault) => kindOf(fault.name).effect === "any" && fault.settledMs > fromMs && fault.fromMs < untilMs,
  );
}

function isConnected(
  old: HeldInterval,
  fromMs: number,
  untilMs: number,
  events: readonly RecordedEvent[],
): boolean {
  const changes = events.filter(
    (event) => isSameProcess(event, old) && event.text.startsWith("nats-") && event.atMs <= untilMs,
  );
  const before = changes.findLast(({ atMs }) => atMs <= fromMs);
  return before?.text !== "nats-disconnect" && !changes.some(({ atMs }) => atMs > fromMs);
}
