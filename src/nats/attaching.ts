/** How a node, or a member of a group, opens its session and its bucket on a connection. */
import { setTimeout as pause } from "node:timers/promises";
import { ClusterError } from "../errors.ts";
import type { BackendWarningCode } from "../runtime/backend.ts";
import { type NatsLink, reconnectLimit } from "./connection/connection.ts";
import { type NatsSession, openSession } from "./presence/session.ts";

/** Pause between two attempts to open the bucket while JetStream starts. */
const OPEN_RETRY_MS = 250;
/** Longest time for all attempts: a NATS cluster elects its JetStream leader within a few seconds. */
const OPEN_PATIENCE_MS = 5_000;

type Warn = (code: BackendWarningCode, message: string, error?: Error) => void;

/** @param who - What stops when the connection closes for good. */
export function sessionOn(
  link: NatsLink,
  domain: string | undefined,
  who: "node" | "member",
  warn: Warn,
): NatsSession {
  const session = openSession(link.connection, {
    onWarning: (message, error) => warn("SESSION", message, error),
    reconnectOnLameDuck: link.owned,
    domain: domain ?? null,
  });
  const limit = link.owned ? null : reconnectLimit(link.connection);
  if (limit !== null) {
    warn(
      "SESSION",
      `the given connection can close for good, and the ${who} then stops: ${limit}; ` +
        "connect with maxReconnectAttempts: -1, or pass servers instead of a connection",
    );
  }
  return session;
}

/** Repeats `open`: JetStream of a NATS cluster that is starting rejects requests for some seconds. */
export async function openPatiently<T>(open: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const giveUpAt = performance.now() + OPEN_PATIENCE_MS;
  for (;;) {
    try {
      return await open();
    } catch (error) {
      const final = !(error instanceof ClusterError) || !error.recoverable;
      if (final || signal.aborted || performance.now() + OPEN_RETRY_MS > giveUpAt) throw error;
      await pause(OPEN_RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }
}

/** Closes everything, in this order, whatever fails. */
export async function closeAll(
  store: { close(): Promise<void> },
  session: NatsSession,
  link: NatsLink,
): Promise<void> {
  await store.close().catch(() => {});
  await session.release().catch(() => {});
  await link.close().catch(() => {});
}
