/** The log lines of a node's election and connection: the event, then the reason and the bound. */
import type { Blocked, Notice } from "../application/types.ts";
import type { LossReason, ResignReason } from "../election/types.ts";
import { asError } from "../errors.ts";
import type { EventLogger } from "../log/events.ts";
import { serverFields, serverText } from "../runtime/application/server-text.ts";

/** What the lines name. */
export interface Bounds {
  readonly leaseTtlMs: number;
  readonly drainTimeoutMs: number;
  readonly silenceMs: number;
  /** Is the connection to NATS up? */
  readonly connected: boolean;
}

const RESIGNED: Readonly<Record<ResignReason, string>> = {
  released: "step-down requested",
  stopped: "the node is stopping",
  "hook-failed": "onBecomeLeader or leader work threw",
};

const LOST: Readonly<Record<LossReason, string>> = {
  ...RESIGNED,
  expired: "no renewal was confirmed before the deadline",
  superseded: "the bucket holds a record of another node, or garbage",
  deleted: "the lease or its bucket was deleted by another party",
};

export function logNotice(logger: EventLogger, notice: Notice, bounds: Bounds): void {
  const { leaseTtlMs, drainTimeoutMs, silenceMs, connected } = bounds;
  switch (notice.type) {
    case "become-leader":
      return logger.info({ event: "become-leader", epoch: notice.epoch }, "became leader");
    case "suspended":
      return logger.warn(
        { event: "suspended", epoch: notice.epoch },
        connected
          ? `term suspended: no beat of the last ${silenceMs} ms has come back through NATS; not leading until a renewal is confirmed`
          : "term suspended: connection to NATS lost; not leading until a renewal on a new connection is confirmed",
      );
    case "resumed":
      return logger.warn({ event: "resumed", epoch: notice.epoch }, "term resumed: a renewal was confirmed");
    case "lose-leadership": {
      const { epoch, reason, by } = notice;
      // A drain has its own line.
      if (Object.hasOwn(RESIGNED, reason)) return;
      const fields = { event: "lose-leadership", epoch, reason, by: by?.nodeId } as const;
      return logger.warn(fields, `lost leadership: ${LOST[reason]}`);
    }
    case "drain": {
      const { epoch, reason } = notice;
      return logger.info(
        { event: "drain", epoch, reason },
        `draining: ${RESIGNED[reason]}; the lease is released when the work has ended, after ${drainTimeoutMs} ms at the latest`,
      );
    }
    case "drain-timeout":
      return logger.error(
        { event: "drain-timeout", epoch: notice.epoch, drainTimeoutMs },
        "drain cut short: hooks or leader work did not end in time; the lease is released while they may still run",
      );
    case "released": {
      const { epoch, deleted, drain } = notice;
      const what = deleted
        ? "lease released"
        : `lease not deleted: no answer confirmed it; it expires within ${leaseTtlMs} ms`;
      return logger.info({ event: "released", epoch, deleted, drain }, what);
    }
    case "leader-change": {
      const { leader } = notice;
      const what = leader === null ? "leader changed: none" : `leader changed: node "${leader.nodeId}"`;
      return logger.info(
        { event: "leader-change", leader: leader?.nodeId ?? null, epoch: leader?.epoch },
        what,
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
      const { hook, epoch, error } = notice;
      const fields = { event: "hook-error", hook, epoch, err: asError(error) } as const;
      return logger.error(fields, hook === "work" ? "leader work failed" : `${hook} threw`);
    }
    case "warning":
      return logger.warn({ event: "warning", code: notice.code, err: notice.error }, notice.message);
    case "blocked":
      return logger.error({ event: "warning", ...notice.blocked }, blockedText(notice.blocked));
    case "connection-closed":
      return logger.error(
        { event: "warning", code: "CONNECTION_CLOSED", err: notice.error },
        "the NATS connection was closed for good; the node stops",
      );
    case "stopped":
      return logger.info({ event: "stopped", reason: notice.reason }, "node stopped");
    default:
      notice satisfies never;
  }
}

/** One sentence, for people. */
export function blockedText({ code, by, epoch, forMs, waiting }: Blocked): string {
  const what = by === "work" ? "leader work" : by;
  const of = epoch === null ? "" : ` of epoch ${epoch}`;
  const seconds = (forMs / 1000).toFixed(1);
  return code === "HOOK_SLOW"
    ? `${what}${of} has not returned for ${seconds} s; ${waiting} hook calls or runs of leader work wait for it`
    : `${what}${of} has not ended although its signal has aborted; leader work of the present term has waited ${seconds} s for it`;
}
