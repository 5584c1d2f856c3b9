/** The log lines of a node's election and connection: the event, then the reason and the bound. */
import type { LossReason, ResignReason } from "../election/types.ts";
import type { EventLogger } from "../log/events.ts";
import type { Output } from "../runtime/driver.ts";
import type { SessionEvent } from "../runtime/ports.ts";

interface Bounds {
  readonly leaseTtlMs: number;
  readonly drainTimeoutMs: number;
}

const RESIGNED: Readonly<Record<ResignReason, string>> = {
  released: "step-down requested",
  stopped: "the node is stopping",
  "hook-failed": "onBecomeLeader or leader work threw",
};

const LOST: Readonly<Record<LossReason, string>> = {
  ...RESIGNED,
  expired: "no renewal was confirmed before the deadline",
  superseded: "the bucket holds another node's record",
  deleted: "the lease or its bucket was deleted by another party",
};

export function logEffect(logger: EventLogger, effect: Output, bounds: Bounds): void {
  const { leaseTtlMs, drainTimeoutMs } = bounds;
  switch (effect.type) {
    case "become-leader":
      return logger.info({ event: "become-leader", epoch: effect.epoch }, "became leader");
    case "suspended":
      return logger.warn(
        { event: "suspended", epoch: effect.epoch },
        "term suspended: connection to NATS lost; not leading until a renewal on a new connection is confirmed",
      );
    case "resumed":
      return logger.warn(
        { event: "resumed", epoch: effect.epoch },
        "term resumed: a renewal on the new connection was confirmed",
      );
    case "lose-leadership": {
      const { epoch, reason, by } = effect;
      const fields = { event: "lose-leadership", epoch, reason, by: by?.nodeId } as const;
      return logger.warn(fields, `lost leadership: ${LOST[reason]}`);
    }
    case "drain": {
      const { epoch, reason } = effect;
      return logger.info(
        { event: "drain", epoch, reason },
        `draining: ${RESIGNED[reason]}; the lease is released when the work has ended, after ${drainTimeoutMs} ms at the latest`,
      );
    }
    case "released": {
      const { epoch, deleted } = effect;
      const what = deleted
        ? "lease released"
        : `lease not deleted: no answer confirmed it; it expires within ${leaseTtlMs} ms`;
      return logger.info({ event: "released", epoch, deleted }, what);
    }
    case "leader-change": {
      const { leader } = effect;
      const what = leader === null ? "leader changed: none" : `leader changed: node "${leader.nodeId}"`;
      return logger.info(
        { event: "leader-change", leader: leader?.nodeId ?? null, epoch: leader?.epoch },
        what,
      );
    }
    case "warning":
      return logger.warn({ event: "warning", code: effect.code, err: effect.error }, effect.message);
    case "stopped":
      // Logged by the incarnation, when everything is closed.
      return;
    default:
      effect satisfies never;
  }
}

export function logConnection(logger: EventLogger, event: SessionEvent): void {
  switch (event.type) {
    case "connected":
      return logger.info({ event: "nats-reconnect" }, "reconnected to NATS");
    case "disconnected":
      return logger.warn(
        { event: "nats-disconnect", err: event.error },
        "disconnected from NATS; reconnecting",
      );
    case "closed":
      return logger.warn(
        { event: "nats-disconnect", final: true, err: event.error },
        "disconnected from NATS: the connection was closed and does not reconnect; restart the node",
      );
    case "rebound":
    case "presence-lost":
      return;
    default:
      event satisfies never;
  }
}
