/** Texts for the events, effects and records of a group, as they appear in traces. */
import type { SessionBinding } from "../../src/election/types.ts";
import type { GroupEffect, GroupEvent } from "../../src/group/core/events.ts";
import type { BulkOutcome, GroupEntry, GroupRecord, KeyReadOutcome } from "../../src/group/core/types.ts";
import { keyName } from "../../src/testing/simulation/fakes/fake-group-bucket.ts";
import { round } from "../../src/testing/simulation/trace-line.ts";

export function eventText(event: GroupEvent): string {
  switch (event.type) {
    case "bucket-opened":
      return `bucket opened: ${event.generation}`;
    case "watched":
      return `watched ${entryText(event.entry)}`;
    case "read":
      return `read #${event.request}: ${readText(event.outcome)}`;
    case "changes":
      return `changes #${event.request}: ${changesText(event.outcome)}`;
    case "written": {
      const { outcome } = event;
      return `written #${event.nonce} ${outcome.kind}${outcome.kind === "applied" ? ` rev ${outcome.revision}` : ""}`;
    }
    case "connected":
    case "rebound":
      return `${event.type} as ${event.binding?.clientId ?? "unknown"}`;
    case "beat-proven":
      return `the beat of ${round(event.sentAt.mono)} is proven`;
    case "presence-lost":
      return `${event.presence} was deleted: suspicion`;
    case "holder-silent":
    case "holder-heard":
      return `${event.type} ${event.connection.clientId}`;
    case "answered":
      return `answered question ${event.question}: ${event.answer.kind}`;
    case "resources":
      return `resources ${event.resources.map(({ name }) => name).join(" ")}`;
    default:
      return JSON.stringify(event);
  }
}

export function effectText(effect: GroupEffect): string {
  switch (effect.type) {
    case "write": {
      const { key, record, expect } = effect.write;
      return `write #${effect.nonce} ${keyName(key)} (expects ${expect}): ${recordText(record)}`;
    }
    case "read":
      return `read #${effect.request} ${keyName(effect.key)}`;
    case "read-after":
      return `read changes #${effect.request} after ${effect.after}`;
    case "ask":
      return `question ${effect.question} about ${bindingText(effect.binding)}`;
    case "members":
      return `members ${effect.members.map(({ memberId, session }) => `${memberId}/${session}`).join(" ")}`;
    case "warning":
      return `warning ${effect.code}: ${effect.message}`;
    default:
      return JSON.stringify(effect);
  }
}

function entryText(entry: GroupEntry): string {
  const at = `${keyName(entry.key)} rev ${entry.revision}`;
  if (entry.kind === "record") return `${at}: ${recordText(entry.record)}`;
  return `${at}: ${entry.kind}`;
}

function recordText(record: GroupRecord): string {
  const by = `${record.incarnation} #${record.nonce}, above ${record.above}`;
  switch (record.kind) {
    case "session": {
      const on = record.session === undefined ? "no connection" : bindingText(record.session);
      return `${record.number === null ? "begin" : `session ${record.number}`} on ${on} (${by})`;
    }
    case "session-end":
      return `end of ${record.of}/${record.number}, ${record.reason} (${by})`;
    case "claim":
      return `claim of ${record.memberId}/${record.session} (${by})`;
    case "release":
      return `release of epoch ${record.epoch}${record.successor === undefined ? "" : ` for ${record.successor}`} (${by})`;
    case "plan":
      return `plan of coordinator ${record.coordinator}: ${new TextDecoder().decode(record.plan)} (${by})`;
    default:
      return record satisfies never;
  }
}

function bindingText({ clientId, presence, silence }: SessionBinding): string {
  const promises = [
    presence === undefined ? "" : "presence",
    silence === undefined ? "" : `silence ${silence.ms}`,
  ];
  return `connection ${[String(clientId), ...promises.filter((one) => one !== "")].join(" ")}`;
}

function readText(outcome: KeyReadOutcome): string {
  if (outcome.kind !== "snapshot") return outcome.kind;
  const { generation, lastSequence, entry } = outcome;
  return `${entry === null ? "nothing" : entryText(entry)}; ${generation} at ${lastSequence}`;
}

function changesText(outcome: BulkOutcome): string {
  if (outcome.kind !== "entries") return outcome.kind;
  const { entries, upTo, generation } = outcome;
  return `${entries.length} entries up to ${upTo} of ${generation}: ${entries.slice(0, 12).map(entryText).join("; ")}`;
}
