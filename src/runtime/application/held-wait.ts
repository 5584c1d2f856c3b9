import { ClusterError } from "../../errors.ts";
import type { Clock } from "../ports.ts";
import { limitOf, type WaitOptions } from "../waiting.ts";

/** How a limit of the caller ends a wait. */
interface LimitReached {
  readonly kind: "timeout" | "aborted";
}

/** A settlement that ends every wait of an application. */
type WaitEnd =
  | LimitReached
  | { readonly kind: "stopped"; readonly reason: "requested" | "connection-closed" };

/** Why the wait for `what` rejects. `who`: what has stopped. */
export function waitEnded(
  what: string,
  who: "node" | "member",
  end: WaitEnd,
  { signal }: WaitOptions,
): ClusterError {
  if (end.kind !== "stopped") return limitReached(what, end, signal);
  return end.reason === "connection-closed"
    ? new ClusterError(
        "NO_CONNECTION",
        `waiting for ${what}: the NATS connection was closed and the ${who} has stopped`,
      )
    : new ClusterError("STOPPED", `waiting for ${what}: the ${who} has stopped`);
}

function limitReached(what: string, { kind }: LimitReached, signal: AbortSignal | undefined): ClusterError {
  return kind === "timeout"
    ? new ClusterError("TIMEOUT", `timed out waiting for ${what}`, { recoverable: true })
    : new ClusterError("ABORTED", `aborted while waiting for ${what}`, {
        cause: signal?.reason,
        recoverable: true,
      });
}

export interface HeldWait {
  readonly what: string;
  readonly clock: Clock;
  readonly isHeld: () => boolean;
  /** Resolves when the application side says that the term is held; throws when it ends first. */
  readonly untilReported: (options: WaitOptions) => Promise<void>;
  /** Resolves when the connection is known to be open, or nothing depends on it; at the limit; or when the signal aborts. */
  readonly freshened: (limitMs: number, signal: AbortSignal | undefined) => Promise<void>;
}

/** Resolves when a term may be acted on. */
export async function untilHeld(wait: HeldWait, options: WaitOptions): Promise<void> {
  const limitMs = limitOf(options);
  const { signal } = options;
  const isAborted = (): boolean => signal?.aborted === true;
  const begunMono = wait.clock.now().mono;
  for (;;) {
    const leftMs = Math.max(0, limitMs - (wait.clock.now().mono - begunMono));
    await wait.untilReported({ signal, timeoutMs: leftMs });
    if (wait.isHeld()) return;
    // It may have aborted before anything could listen for that.
    if (isAborted()) throw limitReached(wait.what, { kind: "aborted" }, signal);
    // After a pause the connection first has to prove that it is still open.
    await wait.freshened(leftMs, signal);
    if (wait.isHeld()) return;
    if (isAborted()) throw limitReached(wait.what, { kind: "aborted" }, signal);
    if (wait.clock.now().mono - begunMono >= limitMs)
      throw limitReached(wait.what, { kind: "timeout" }, signal);
  }
}
