/**
 * Other processes with the node id of this one. A request by node id reaches them all, and the requester sees one answer. So a
 * node requests its own status when its service starts and after every reconnect, and names its incarnation in the request: it
 * learns of the others by their answers, and they learn of it by the request.
 */
import { headers, type NatsConnection } from "@nats-io/transport-node";
import type { PeerStatus } from "../../runtime/backend.ts";
import { requestMany } from "../api/request-many.ts";
import { isId } from "../identity.ts";
import { decodeStatus } from "./status-codec.ts";

/** In a status request: the incarnation of the node that looks for others with its id. */
export const INCARNATION_HEADER = "Nats-Leader-Incarnation";
/** In a control request: the incarnation that is meant. All others ignore the request. */
export const TARGET_HEADER = "Nats-Leader-Target";

/** After this time without another answer, all processes count as having answered. */
const STALL_MS = 150;
/** More processes with one node id are not looked at. */
const MAX_TWINS = 100;

/** `null`: a process without incarnations, such as a go-cluster node. */
export type OnTwin = (incarnation: string | null) => void;

export class TwinWatch {
  readonly #connection: NatsConnection;
  readonly #subject: string;
  readonly #own: string;
  readonly #reply: string;
  readonly #close: () => void;

  /** @param reply - Where the answers are to arrive, a subject for this watch alone. */
  constructor(connection: NatsConnection, subject: string, reply: string, own: string, onTwin: OnTwin) {
    this.#connection = connection;
    this.#subject = subject;
    this.#own = own;
    this.#reply = reply;
    const subscription = connection.subscribe(reply, {
      callback: (error, message) => {
        const status = error === null ? decodeStatus(message.data) : null;
        if (status !== null && status.incarnation !== own) onTwin(status.incarnation ?? null);
      },
    });
    this.#close = () => subscription.unsubscribe();
  }

  ask(): void {
    if (this.#connection.isClosed()) return;
    const hdrs = headers();
    hdrs.set(INCARNATION_HEADER, this.#own);
    this.#connection.publish(this.#subject, undefined, { reply: this.#reply, headers: hdrs });
  }

  close(): void {
    if (!this.#connection.isClosed()) this.#close();
  }
}

/** An id in a header; `null` if there is none. */
export function idIn(hdrs: { get(name: string): string } | undefined, name: string): string | null {
  const id = hdrs?.get(name) ?? "";
  return isId(id) ? id : null;
}

/** The statuses of all processes with one node id. */
export async function statusesOf(
  connection: NatsConnection,
  subject: string,
  reply: string,
  timeoutMs: number,
): Promise<PeerStatus[]> {
  const options = { timeoutMs, stallMs: STALL_MS, most: MAX_TWINS, reply };
  const bodies = await requestMany(connection, subject, options);
  return bodies.map(decodeStatus).filter((status) => status !== null);
}

/** The status that is meant: of this incarnation, else of a leader. `duplicate` is true to the statuses. */
export function choose(statuses: readonly PeerStatus[], incarnation: string | undefined): PeerStatus | null {
  const chosen =
    statuses.find((status) => incarnation !== undefined && status.incarnation === incarnation) ??
    statuses.find((status) => status.role === "PRIMARY") ??
    statuses[0];
  if (chosen === undefined) return null;
  const { duplicate: _, ...rest } = chosen;
  const other = statuses.find((status) => status.incarnation !== chosen.incarnation);
  return other === undefined ? rest : { ...rest, duplicate: other.incarnation ?? "" };
}
