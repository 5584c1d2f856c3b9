/** The log lines of a group's member: the event, then the reason and the bound. */

import { asError } from "../errors.ts";
import { serverFields, serverText } from "../runtime/application/server-text.ts";
import type { Blocked, GroupNotice } from "./application/types.ts";
import type { SessionLossReason } from "./core/events.ts";
import type { GroupLogger } from "./log-events.ts";

export interface GroupBounds {
  readonly silenceMs: number;
  readonly drainTimeoutMs: number;
  /** Is the connection to NATS up? */
  readonly connected: boolean;
}

const ENDED: Readonly<Record<SessionLossReason, string>> = {
  expired: "no renewal was confirmed before the deadline",
  fenced: "another member, or another process with this member id, has ended it",
  deleted: "its key or the bucket was deleted by another party, or the servers have lost history",
  stopped: "the member has stopped",
};

/** Notices about single resources are logged with level debug: a member may own thousands. `Ownership` counts them. */
export function logGroupNotice(logger: GroupLogger, notice: GroupNotice, bounds: GroupBounds): void {
  switch (notice.type) {
    case "session-begun":
      return logger.info({ event: "session-begun", number: notice.number }, "session begun");
    case "session-ended": {
      const { number, reason } = notice;
      const fields = { event: "session-ended", number, reason } as const;
      return logger[reason === "stopped" ? "info" : "warn"](fields, `session ended: ${ENDED[reason]}`);
    }
    case "suspended":
      return logger.warn(
        { event: "suspended" },
        bounds.connected
          ? `session suspended: no beat of the last ${bounds.silenceMs} ms has come back through NATS; no term is held until a renewal is confirmed`
          : "session suspended: connection to NATS lost; no term is held until a renewal on a new connection is confirmed",
      );
    case "resumed":
      return logger.warn({ event: "resumed" }, "session resumed: a renewal was confirmed");
    case "own": {
      const { resource, epoch } = notice;
      return logger.debug({ event: "own", resource, epoch }, `owns "${resource}"`);
    }
    case "disown": {
      const { resource, epoch, reason } = notice;
      return logger.debug({ event: "disown", resource, epoch, reason }, `gives up or has lost "${resource}"`);
    }
    case "released": {
      const { resource, epoch, drain, successor } = notice;
      const fields = { event: "released", resource, epoch, drain, successor } as const;
      const cutShort = `released "${resource}" while its hooks or work may still run: the drain was cut short after ${bounds.drainTimeoutMs} ms`;
      return drain === "complete"
        ? logger.debug(fields, `released "${resource}"`)
        : logger.error(fields, cutShort);
    }
    case "members": {
      const ids = notice.members.map(({ memberId }) => memberId);
      return logger.info({ event: "members", members: ids.length }, `members: ${listed(ids)}`);
    }
    case "plan": {
      const { revision, coordinator } = notice;
      return logger.info({ event: "plan", revision, coordinator }, `new plan of member "${coordinator}"`);
    }
    case "coordinating": {
      const { epoch } = notice;
      const text = epoch === null ? "no longer the coordinator" : "became the coordinator";
      return logger.info({ event: "coordinating", epoch }, text);
    }
    case "move-refused": {
      const { resource, to, reason } = notice;
      return logger.warn(
        { event: "move-refused", resource, to, reason },
        `"${resource}" does not move to "${to}"`,
      );
    }
    case "nats-disconnect":
      return logger.warn(
        { event: "nats-disconnect", err: notice.error, ...serverFields(notice.server) },
        `disconnected from ${serverText(notice.server)}; reconnecting`,
      );
    case "nats-reconnect":
      return logger.info(
        { event: "nats-reconnect", ...serverFields(notice.server) },
        `reconnected to ${serverText(notice.server)}`,
      );
    case "hook-error": {
      const { hook, resource, epoch, error } = notice;
      const fields = { event: "hook-error", hook, resource, epoch, err: asError(error) } as const;
      const of = resource === null ? "" : ` for "${resource}"`;
      return logger.error(fields, hook === "work" ? `work failed${of}` : `${hook} threw${of}`);
    }
    case "warning":
      return logger.warn({ event: "warning", code: notice.code, err: notice.error }, notice.message);
    case "blocked":
      return logger.error({ event: "warning", ...notice.blocked }, groupBlockedText(notice.blocked));
    case "connection-closed":
      return logger.error(
        { event: "warning", code: "CONNECTION_CLOSED", err: notice.error },
        "the NATS connection was closed for good; the member stops",
      );
    case "stopped":
      return logger.info({ event: "stopped", reason: notice.reason }, "member stopped");
    default:
      notice satisfies never;
  }
}

const MAX_LISTED = 10;

function listed(ids: readonly string[]): string {
  if (ids.length === 0) return "none";
  const shown = ids.slice(0, MAX_LISTED).join(", ");
  return ids.length > MAX_LISTED ? `${shown} and ${ids.length - MAX_LISTED} more` : shown;
}

/** One sentence, for people. */
export function groupBlockedText({ code, by, resource, epoch, forMs }: Blocked): string {
  const of = resource === null ? "" : ` of "${resource}"`;
  const at = epoch === null ? "" : ` with epoch ${epoch}`;
  const seconds = (forMs / 1000).toFixed(1);
  switch (code) {
    case "HOOK_SLOW":
      return `${by}${of}${at} has not returned for ${seconds} s; other hooks or work wait for it`;
    case "WORK_BLOCKED":
      return `work${of}${at} has not ended although its signal has aborted; work of the present term has waited ${seconds} s for it`;
    case "DRAIN_SLOW":
      return `${by}${of}${at} has not ended ${seconds} s after its signal aborted; the resource is given up, and kept until then`;
    default:
      return code satisfies never;
  }
}

/** Counts what was gained and lost, and logs that once per burst. */
export class Ownership {
  readonly #log: (owned: number, gained: number, lost: number) => void;
  readonly #later: (run: () => void) => void;
  #owned = 0;
  #gained = 0;
  #lost = 0;
  #isDue = false;

  /** @param later - Calls `run` after a while. */
  constructor(later: (run: () => void) => void, log: (owned: number, gained: number, lost: number) => void) {
    this.#later = later;
    this.#log = log;
  }

  note(type: "own" | "disown"): void {
    this.#owned += type === "own" ? 1 : -1;
    if (type === "own") this.#gained += 1;
    else this.#lost += 1;
    if (this.#isDue) return;
    this.#isDue = true;
    this.#later(() => this.flush());
  }

  flush(): void {
    if (!this.#isDue) return;
    this.#isDue = false;
    this.#log(this.#owned, this.#gained, this.#lost);
    this.#gained = 0;
    this.#lost = 0;
  }
}
