/** Reply subjects under the prefix that the connection was configured with. */
import { createInbox, type NatsConnection } from "@nats-io/transport-node";
import { connectedWith } from "./internals.ts";

/** A new subject that no other client uses. */
export function inboxOf(connection: NatsConnection): string {
  return createInbox(connectedWith(connection).inboxPrefix);
}
