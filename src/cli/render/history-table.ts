/** The table of past terms. */
import type { PastTerm } from "../../manager/history-record.ts";
import { showInstant, showSeconds } from "./duration.ts";
import { table } from "./table.ts";
import { good, type Line, strong } from "./text.ts";

export function historyTable(terms: readonly PastTerm[], columns: number, now: number): Line[] {
  const rows = terms.map((term) => {
    const running = term.until === null && term.why === null;
    const end = term.until ?? (running ? now : null);
    return [
      String(term.epoch),
      running ? strong(term.nodeId) : term.nodeId,
      term.from === null ? "-" : showInstant(term.from),
      running ? good("leads") : untilText(term),
      end === null || term.from === null ? "-" : showSeconds(Math.max(0, end - term.from)),
      term.leastMarginMs === null ? "-" : `${(term.leastMarginMs / 1_000).toFixed(1)} s`,
      term.suspensions === null ? "-" : String(term.suspensions),
      term.server ?? "-",
      term.why ?? "",
    ];
  });
  return table(
    ["EPOCH", "NODE", "FROM", "UNTIL", "FOR", "MARGIN", "SUSPENDED", "SERVER", "WHY"],
    rows,
    columns,
  );
}

function untilText({ until, untilAtMost }: PastTerm): string {
  if (until === null) return "-";
  return `${untilAtMost ? "<= " : ""}${showInstant(until)}`;
}
