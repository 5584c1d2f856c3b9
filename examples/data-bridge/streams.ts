/** The streams, and reading them from the beginning to the end. */
import {
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
  type StoredMsg,
} from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { SinkKind } from "./config.ts";
import type { Names } from "./names.ts";

/** Creates what is missing. */
export async function prepareStreams(nats: NatsConnection, names: Names, sink: SinkKind): Promise<void> {
  await create(nats, { name: names.ticks, subjects: [`${names.subject}.*.*`], allow_direct: true });
  if (sink === "postgres") {
    await create(nats, { name: names.dead, subjects: [`${names.deadSubject}.>`], allow_direct: true });
    return;
  }
  // What a fence needs of its stream, and `allow_atomic` for batches. Dead letters are in the ledger, as a part of the batch.
  await create(nats, {
    name: names.ledger,
    subjects: [`${names.ledgerSubject}.>`, `${names.deadSubject}.>`, `${names.fenceSubject}.>`],
    allow_atomic: true,
    allow_direct: true,
    allow_msg_ttl: true,
    allow_rollup_hdrs: true,
    deny_delete: true,
  });
}

/** A stream that exists with the same configuration is left as it is. */
async function create(nats: NatsConnection, config: StreamConfig): Promise<void> {
  const { streams } = await jetstreamManager(nats);
  await streams.add(config).catch((error: Error) => {
    const remedy = "use another --stream, or the --sink of the earlier runs";
    throw new Error(`cannot create stream ${config.name}: ${error.message}; ${remedy}`, { cause: error });
  });
}

type StreamConfig = Parameters<JetStreamManager["streams"]["add"]>[0];

/** The newest message of a subject, which may have wildcards; `null`: there is none. Asks the leader of the stream, not a replica. */
export async function lastOn(
  nats: NatsConnection,
  stream: string,
  subject: string,
): Promise<StoredMsg | null> {
  const { streams } = await jetstreamManager(nats, { checkAPI: false });
  return streams.getMessage(stream, { last_by_subj: subject });
}

/** All messages of a subject that the stream has now. */
export async function* readAll(nats: NatsConnection, stream: string, subject: string): AsyncGenerator<JsMsg> {
  const consumer = await jetstream(nats).consumers.get(stream, {
    filter_subjects: subject,
    deliver_policy: DeliverPolicy.All,
  });
  const { num_pending: pending } = await consumer.info();
  if (pending === 0) return;
  for await (const message of await consumer.consume()) {
    yield message;
    if (message.info.pending === 0) return;
  }
}

/** The server refused a publish because its subject has a message already. */
export function isAlreadyThere(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === 10071;
}
