/** The table of a group's last changes, and the line of one. */
import type { GroupChange } from "../../manager/group-history.ts";
import { showInstant } from "./duration.ts";
import { table } from "./table.ts";
import { bad, good, type Line, line, type Part, strong } from "./text.ts";

export function groupHistoryTable(changes: readonly GroupChange[], columns: number): Line[] {
  const rows = changes.map((change) => [
    showInstant(change.at),
    whatText(change),
    changeText(change),
    change.member ?? "-",
    change.epoch === null ? "-" : String(change.epoch),
    noteText(change),
  ]);
  return table(["TIME", "WHAT", "CHANGE", "MEMBER", "EPOCH", "NOTE"], rows, columns);
}

/** One change, for a list that grows. */
export function groupChangeLine(change: GroupChange): Line {
  const { at, member, epoch } = change;
  const number = epoch === null ? "" : ` ${epoch}`;
  const note = noteText(change);
  const more = note === "" ? "" : `: ${note}`;
  return line`${showInstant(at)}  ${strong(whatText(change))} ${changeText(change)} ${member ?? "-"}${number}${more}`;
}

/** A resource by its name. The others in brackets. */
function whatText({ what, resource }: GroupChange): string {
  return resource ?? `(${what})`;
}

function changeText({ change }: GroupChange): Part {
  switch (change) {
    case "claimed":
    case "began":
      return good(change);
    case "lost":
    case "deleted":
    case "garbage":
      return bad(change);
    case "released":
    case "ended":
    case "planned":
      return change;
    default:
      return change satisfies never;
  }
}

function noteText({ change, from, member, successor, reason, by }: GroupChange): string {
  const fenced = by === null ? "" : `, by ${by}`;
  switch (change) {
    case "claimed":
      return from === null || from === member ? "" : `from ${from}`;
    case "released":
      return successor === null ? "" : `for ${successor}`;
    case "lost":
      return `the session of its owner is over: ${reason ?? "unknown"}${fenced}`;
    case "ended":
      return `${reason ?? "unknown"}${fenced}`;
    case "deleted":
      return "the key was deleted by another party";
    case "garbage":
      return "its key holds no record of a group";
    case "began":
    case "planned":
      return "";
    default:
      return change satisfies never;
  }
}
