import type { GroupEffect, GroupEvent } from "../../../../src/group/core/events.ts";

type Line = GroupEvent | GroupEffect;

/** Messages of the watch, the acks of claims, and what has to do with renewals, the coordinator and its plan. */
export function hidesRoutine(what: Line): boolean {
  switch (what.type) {
    case "watched":
    case "read":
    case "read-after":
    case "changes":
    case "members":
    case "plan":
    case "coordinating":
    case "bucket-opened":
    case "written":
    case "tick":
      return true;
    case "write": {
      const { key, record } = what.write;
      if (key.kind === "coordinator" || key.kind === "plan") return true;
      return (
        record.kind === "session" && record.number !== null && !record.draining && record.refused.length === 0
      );
    }
    default:
      return false;
  }
}
