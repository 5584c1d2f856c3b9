/** The questions about a holder with a presence, as tests and the calibration ask them. */
import type { SessionBinding } from "../../src/election/types.ts";
import type { Session } from "../../src/runtime/ports.ts";

/** Does the server that held the connection confirm that it is closed? */
export async function confirmsDeath(
  session: Pick<Session, "inquire">,
  binding: SessionBinding,
  timeoutMs: number,
): Promise<boolean> {
  const { kind } = await session.inquire(binding, { timeoutMs, closedIsEnough: true });
  return kind === "closed";
}

/** Watches for the deletion of this presence consumer; `null`: of none. */
export function watchPresence(session: Pick<Session, "watchHolder">, presence: string | null): void {
  session.watchHolder(presence === null ? null : { serverId: "any", clientId: 0, presence });
}
