/** Reply subjects under the prefix that the connection was configured with. */
import { createInbox, type NatsConnection } from "@nats-io/transport-node";

/** A fresh subject nobody else has. */
export function inboxOf(connection: NatsConnection): string {
  const { options } = connection as unknown as { options?: { inboxPrefix?: string } };
  return createInbox(options?.inboxPrefix);
}
