/** Events and effects of the core as lines of a transcript. */
import type { GroupEffect, GroupEvent } from "../../../../src/group/core/events.ts";
import type { GroupEntry, GroupKey, GroupRecord } from "../../../../src/group/core/types.ts";

export function keyText(key: GroupKey): string {
  if (key.kind === "session") return `session.${key.memberId}`;
  return key.kind === "owner" ? `owner.${key.resource}` : key.kind;
}

export function recordText(record: GroupRecord): string {
  switch (record.kind) {
    case "session": {
      const what = record.number === null ? "begin" : `session ${record.number}`;
      const more = [
        record.draining ? "draining" : "",
        record.weight === 1 ? "" : `weight ${record.weight}`,
        record.refused.length === 0 ? "" : `refuses ${record.refused.join(" ")}`,
      ].filter((text) => text !== "");
      return [`${what} of ${record.incarnation}`, ...more].join(", ");
    }
    case "session-end":
      return `end of session ${record.number} (${record.reason}) by ${record.memberId}`;
    case "claim":
      return `claim by ${record.memberId}, session ${record.session}`;
    case "release":
      return `release of epoch ${record.epoch}${record.successor === undefined ? "" : `, successor ${record.successor}`}`;
    case "plan":
      return `plan of coordinator ${record.coordinator}`;
    default:
      return record satisfies never;
  }
}

export function entryText(entry: GroupEntry): string {
  const what = entry.kind === "record" ? recordText(entry.record) : entry.kind;
  return `${keyText(entry.key)} rev ${entry.revision}: ${what}`;
}

export function eventText(event: GroupEvent): string {
  switch (event.type) {
    case "watched":
      return `watched ${entryText(event.entry)}`;
    case "read": {
      const { outcome } = event;
      if (outcome.kind !== "snapshot") return `read #${event.request}: ${outcome.kind}`;
      const what = outcome.entry === null ? "empty" : entryText(outcome.entry);
      return `read #${event.request}: ${what}`;
    }
    case "changes": {
      const { outcome } = event;
      if (outcome.kind !== "entries") return `changes #${event.request}: ${outcome.kind}`;
      return `changes #${event.request}: ${outcome.entries.length} keys, up to ${outcome.upTo}`;
    }
    case "written": {
      const { outcome } = event;
      return `written #${event.nonce}: ${outcome.kind}${outcome.kind === "applied" ? ` at ${outcome.revision}` : ""}`;
    }
    case "connected":
    case "rebound":
      return `${event.type} as ${event.binding === null ? "?" : event.binding.clientId}`;
    case "resources":
      return `resources ${event.resources.map(({ name }) => name).join(" ")}`;
    case "drained":
      return `drained ${event.resource}/${event.epoch}`;
    case "refuse":
      return `refuse ${event.resource} for ${event.forMs} ms`;
    case "move":
      return `move ${event.resource} to ${event.to}`;
    case "draining":
      return `draining: ${event.draining ? "yes" : "no"}`;
    case "answered":
      return `answered #${event.question}: ${event.answer.kind}${event.answer.kind === "open" ? ` ${event.answer.inMsgs}` : ""}`;
    case "stop":
      return event.restarting ? "stop, restarting" : "stop";
    case "bucket-opened":
      return `bucket-opened ${event.generation}`;
    default:
      return event.type;
  }
}

export function effectText(effect: GroupEffect): string {
  switch (effect.type) {
    case "write":
      return `write #${effect.nonce} ${keyText(effect.write.key)}: ${recordText(effect.write.record)}, expects ${effect.write.expect}`;
    case "read":
      return `read #${effect.request} ${keyText(effect.key)}`;
    case "read-after":
      return `read-after #${effect.request} ${effect.after}`;
    case "open-bucket":
      return `open-bucket above ${effect.above}`;
    case "ask":
      return `ask #${effect.question} about connection ${effect.binding.clientId}`;
    case "session-begun":
      return `SESSION ${effect.number}`;
    case "session-ended":
      return `SESSION ${effect.number} ENDED: ${effect.reason}`;
    case "own":
      return `OWN ${effect.resource}/${effect.epoch}`;
    case "drain":
      return `DRAIN ${effect.resource}/${effect.epoch}: ${effect.reason}`;
    case "lose":
      return `LOSE ${effect.resource}/${effect.epoch}: ${effect.reason}`;
    case "released":
      return `RELEASED ${effect.resource}/${effect.epoch}${effect.successor === undefined ? "" : ` to ${effect.successor}`}`;
    case "members":
      return `members ${effect.members.map(({ memberId, draining }) => memberId + (draining ? "(draining)" : "")).join(" ")}`;
    case "plan":
      return `plan rev ${effect.revision} by ${effect.coordinator}`;
    case "coordinating":
      return effect.epoch === null ? "coordinating: no" : `coordinating: epoch ${effect.epoch}`;
    case "move-refused":
      return `move-refused ${effect.resource} to ${effect.to}: ${effect.reason}`;
    case "warning":
      return `WARNING ${effect.code}: ${effect.message}`;
    default:
      return effect.type.toUpperCase();
  }
}
