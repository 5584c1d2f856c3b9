/** Waits of the application: every one settles, at the latest when the node has stopped. */
import { type Draft, runningTerm, settle, termWith } from "./draft.ts";
import type { Settlement, Wait, WaitFor } from "./types.ts";

/** Adds a wait. `progress` settles it in the same step if there is nothing to wait for. */
export function addWait(
  draft: Draft,
  wait: number,
  what: WaitFor,
  timeoutMs: number,
  inside: readonly number[] = [],
): void {
  const beganMono = draft.now.mono;
  draft.waits = [...draft.waits, { wait, for: what, inside, beganMono, limitMono: beganMono + timeoutMs }];
}

/** Settles the waits whose condition holds, or whose limit has passed. */
export function settleWaits(draft: Draft): void {
  for (const wait of draft.waits) {
    const settlement = settlementOf(draft, wait);
    if (settlement !== null) settle(draft, wait.wait, settlement);
    else if (draft.now.mono >= wait.limitMono) settle(draft, wait.wait, { kind: "timeout" });
  }
}

function settlementOf(draft: Draft, { for: what }: Wait): Settlement | null {
  switch (what.kind) {
    case "leadership": {
      const term = runningTerm(draft);
      if (term !== null && !term.suspended) return { kind: "leading", epoch: term.epoch };
      return draft.stage === "running" ? null : stopped(draft);
    }
    case "held": {
      const term = termWith(draft, what.epoch);
      if (term === null || term.ended !== null) return { kind: "term-over", epoch: what.epoch };
      return term.suspended ? null : { kind: "leading", epoch: what.epoch };
    }
    case "release": {
      const { givenUp } = draft;
      if (givenUp?.epoch === what.epoch) return { kind: "released", ...givenUp };
      const term = termWith(draft, what.epoch);
      // Lost before it could be given up.
      if (term === null || (term.ended !== null && term.drain === null)) {
        return { kind: "term-over", epoch: what.epoch };
      }
      return null;
    }
    case "stop":
      return draft.stage === "stopped" ? stopped(draft) : null;
    default:
      return what satisfies never;
  }
}

/** The node has stopped: what has not settled never would. */
export function settleAllWaits(draft: Draft): void {
  settleWaits(draft);
  for (const { wait } of draft.waits) settle(draft, wait, stopped(draft));
}

function stopped({ stopReason, givenUp, active, workers }: Draft): Settlement {
  const unfinished: string[] = active === null ? [] : [active.hook];
  for (const { run } of workers) if (run !== null) unfinished.push("work");
  return { kind: "stopped", reason: stopReason ?? "requested", givenUp, unfinished };
}
