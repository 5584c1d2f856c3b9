/** A presence consumer of a bare nats.js client. */
import type { NatsConnection } from "@nats-io/transport-node";
import { INACTIVE_THRESHOLD_MS } from "../nats/presence/presence.ts";

/** Resolves when it exists. The server deletes it when the connection ends. */
export async function createPresence(
  connection: NatsConnection,
  stream: string,
  consumer: string,
): Promise<void> {
  const inbox = `_INBOX.bench.${consumer}`;
  connection.subscribe(inbox, { callback: () => {} });
  const config = {
    name: consumer,
    deliver_subject: inbox,
    deliver_policy: "new",
    ack_policy: "none",
    filter_subject: `${stream}.never`,
    mem_storage: true,
    num_replicas: 1,
    inactive_threshold: INACTIVE_THRESHOLD_MS * 1_000_000,
    idle_heartbeat: 1_000_000_000,
  };
  const subject = `$JS.API.CONSUMER.CREATE.${stream}.${consumer}.${config.filter_subject}`;
  const answer = await connection.request(subject, JSON.stringify({ stream_name: stream, config }));
  const { error } = answer.json<{ error?: { description: string } }>();
  if (error !== undefined) throw new Error(`presence consumer: ${error.description}`);
}
