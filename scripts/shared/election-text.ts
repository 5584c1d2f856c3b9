/** Texts for the events, effects and records of the election core, as they appear in traces and transcripts. */
import type {
  Effect,
  ElectionEvent,
  ElectionState,
  Expectation,
  HolderAnswer,
  LeaseEntry,
  LeaseRecord,
  OwnConnection,
  SessionBinding,
  Snapshot,
} from "../../src/election/types.ts";
import { messageOf } from "../../src/errors.ts";
import { round } from "../../src/testing/simulation/trace-line.ts";

export function eventText(event: ElectionEvent): string {
  switch (event.type) {
    case "bucket-opened":
      return `bucket opened: ${event.generation}${event.maxAgeMs === 0 ? "" : `, max age ${event.maxAgeMs} ms`}`;
    case "bucket-failed":
      return `bucket cannot be opened: ${messageOf(event.error)}`;
    case "connected":
      return `connected as ${bindingText(event.binding)}`;
    case "rebound":
      return `still connected, now as ${bindingText(event.binding)}`;
    case "disconnected":
      return "disconnected";
    case "watched":
      return `watched ${entryText(event.entry)}`;
    case "read":
      switch (event.outcome.kind) {
        case "snapshot":
          return `read ${snapshotText(event.outcome.snapshot)}`;
        case "no-bucket":
          return "read: there is no bucket";
        case "failed":
          return `read failed: ${messageOf(event.outcome.error)}`;
        default:
          return event.outcome satisfies never;
      }
    case "written":
      switch (event.outcome.kind) {
        case "applied":
          return `written #${event.nonce} applied rev ${event.outcome.revision}`;
        case "conflict":
          return `written #${event.nonce} conflict`;
        case "unknown":
          return `written #${event.nonce} unknown: ${messageOf(event.outcome.error)}`;
        default:
          return event.outcome satisfies never;
      }
    case "bucket-gone":
      return "the bucket is reported as deleted";
    case "presence-lost":
      return `${event.presence} was deleted: suspicion`;
    case "beat-proven":
      return `the beat of ${round(event.sentAt.mono)} is proven`;
    case "holder-silent":
      return `no beat of ${bindingText(event.connection)} is heard: suspicion`;
    case "holder-heard":
      return `a beat of ${bindingText(event.connection)} is heard`;
    case "answered":
      return `answer to question ${event.question}: ${answerText(event.answer)}`;
    case "resign":
      return `resign (${event.reason}${event.successor === undefined ? "" : `, in favour of ${event.successor}`})`;
    case "compete":
      return event.competes ? "compete" : "only follow from now on";
    case "drained":
      return "the work has stopped";
    case "stop":
      return "stop";
    case "tick":
      return "tick";
    default:
      return event satisfies never;
  }
}

/** `state`: after the step that had this effect. */
export function effectText(effect: Effect, state: ElectionState): string {
  switch (effect.type) {
    case "write": {
      const { write, nonce } = effect;
      if (write.kind === "release") {
        const to = write.successor === undefined ? "" : ` for ${write.successor}`;
        return `write #${nonce}: release epoch ${write.epoch}${to} ${expectationText(write.expect)}`;
      }
      const kind = state.writes.inFlight?.kind ?? "put";
      return `write #${nonce}: ${kind} epoch ${write.record.epoch} ${expectationText(write.expect)}`;
    }
    case "read":
      return "read";
    case "open-bucket":
      return effect.above === 0 ? "open the bucket" : `open the bucket, a new one above ${effect.above}`;
    case "ask":
      return `question ${effect.question}: ask its server about ${bindingText(effect.binding)}`;
    case "become-leader":
      return `become-leader epoch ${effect.epoch} (deadline at ${deadlineText(state)})`;
    case "suspended":
      return `suspended epoch ${effect.epoch}`;
    case "resumed":
      return `resumed epoch ${effect.epoch} (deadline at ${deadlineText(state)})`;
    case "drain":
      return `drain epoch ${effect.epoch}: ${effect.reason}`;
    case "lose-leadership": {
      const by = effect.by === undefined ? "" : ` by ${effect.by.nodeId} epoch ${effect.by.epoch}`;
      return `lose-leadership epoch ${effect.epoch}: ${effect.reason}${by}`;
    }
    case "released":
      return `released epoch ${effect.epoch}${effect.deleted ? "" : ", left to expire"}`;
    case "leader-change":
      return effect.leader === null
        ? "no node leads"
        : `${effect.leader.nodeId} leads, epoch ${effect.leader.epoch}`;
    case "warning":
      return `WARNING ${effect.code}: ${effect.message}`;
    case "stopped":
      return "stopped";
    default:
      return effect satisfies never;
  }
}

function deadlineText(state: ElectionState): string {
  return "term" in state.role ? String(round(state.role.term.deadline.mono)) : "-";
}

function expectationText(expect: Expectation): string {
  return "revision" in expect
    ? `if rev ${expect.revision} stands`
    : `if empty at sequence ${expect.emptyAtSequence}`;
}

export function bindingText(binding: SessionBinding | OwnConnection | null): string {
  if (binding === null) return "an unknown connection";
  const presence = binding.presence === undefined ? [] : [binding.presence];
  const promise =
    "silence" in binding && binding.silence !== undefined ? [`silence of ${binding.silence.ms} ms`] : [];
  const account = "account" in binding && binding.account !== undefined ? ["beats"] : [];
  const named = [...presence, ...promise, ...account].join(" and ");
  return `${binding.serverId}/${binding.clientId}${named === "" ? "" : ` with ${named}`}`;
}

function answerText(answer: HolderAnswer): string {
  switch (answer.kind) {
    case "open":
      return `open, ${answer.inMsgs} messages counted`;
    case "closed":
      return "closed";
    case "none":
      return "none";
    default:
      return answer satisfies never;
  }
}

export function recordText(record: LeaseRecord): string {
  const who = record.incarnation === undefined ? "a go-cluster node" : record.incarnation;
  const nonce = record.nonce === undefined ? "" : ` #${record.nonce}`;
  return `${record.nodeId} holds epoch ${record.epoch} (${who}${nonce})`;
}

export function entryText(entry: LeaseEntry): string {
  switch (entry.kind) {
    case "record":
      return `rev ${entry.revision}: ${recordText(entry.record)}`;
    case "released": {
      const to = entry.successor === undefined ? "" : `, ${entry.successor} goes first`;
      return `rev ${entry.revision}: released after epoch ${entry.epoch}${to}`;
    }
    case "deleted":
      return `rev ${entry.revision}: deleted without a release`;
    case "garbage":
      return `rev ${entry.revision}: garbage`;
    default:
      return entry satisfies never;
  }
}

export function snapshotText(snapshot: Snapshot): string {
  return snapshot.entry === null
    ? `empty, the stream ends at ${snapshot.lastSequence}`
    : entryText(snapshot.entry);
}
