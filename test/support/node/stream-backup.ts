/** The requests of `nats stream backup` and `nats stream restore`, with the snapshot in memory. */
import { createInbox } from "@nats-io/transport-node";
import { streamName } from "../../../src/nats/names.ts";
import type { Operator } from "./operator.ts";

export interface Backup {
  readonly config: unknown;
  readonly state: unknown;
  readonly chunks: readonly Uint8Array[];
}

export async function backUp(operator: Operator): Promise<Backup> {
  const { connection, clusterId } = operator;
  const inbox = createInbox();
  const subscription = connection.subscribe(inbox, { timeout: 10_000 });
  const request = { deliver_subject: inbox, no_consumers: true, chunk_size: 64 * 1024 };
  const { config, state } = await operator.api(`STREAM.SNAPSHOT.${streamName(clusterId)}`, request);
  const chunks: Uint8Array[] = [];
  for await (const message of subscription) {
    if (message.data.length === 0) break; // the end
    chunks.push(message.data);
    message.respond();
  }
  subscription.unsubscribe();
  return { config, state, chunks };
}

/** The server refuses it while the stream exists. */
export async function restore(operator: Operator, backup: Backup): Promise<void> {
  const { connection, clusterId } = operator;
  const { config, state, chunks } = backup;
  const answer = await operator.api(`STREAM.RESTORE.${streamName(clusterId)}`, { config, state });
  const subject = String(answer["deliver_subject"]);
  for (const chunk of chunks) await connection.request(subject, chunk, { timeout: 10_000 });
  const done = await connection.request(subject, new Uint8Array(), { timeout: 10_000 });
  const { error } = done.json<{ error?: unknown }>();
  if (error !== undefined) throw new Error(`restore: ${JSON.stringify(error)}`);
}
