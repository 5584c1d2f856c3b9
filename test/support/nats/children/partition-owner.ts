/** A process with a member of a group that consumes its partitions into a `CountingSink`. Argument: the options as JSON. */
import { connect } from "@nats-io/transport-node";
import { SinkClient } from "../../../../scripts/shared/counting-sink.ts";
import { Group, partitionConsumer } from "../../../../src/group.ts";
import { listen, say } from "../../processes/child-io.ts";

export interface PartitionOwnerOptions {
  readonly servers: readonly string[];
  readonly groupId: string;
  readonly memberId: string;
  readonly resources: number;
  readonly stream: string;
  /** Subject of the sink. */
  readonly sink: string;
}

const { servers, groupId, memberId, resources, stream, sink } = JSON.parse(
  process.argv[2] ?? "",
) as PartitionOwnerOptions;
const connection = await connect({ servers: [...servers], reconnectTimeWait: 20, maxReconnectAttempts: -1 });
const client = new SinkClient(connection, sink, 20_000);
const group = new Group({ groupId, memberId, servers, resources, settleMs: 100, logger: false });

await group.start();
void group.runOwned(async (term, { signal }) => {
  const { resource, epoch } = term;
  const after = await client.take(resource, epoch);
  const subject = `${stream}.${resource}.>`;
  const messages = await partitionConsumer(term, {
    connection,
    stream,
    subject,
    after,
    signal,
    heartbeatMs: 200,
  });
  say({ type: "consuming", resource, epoch });
  let prev = after;
  for await (const batch of messages.batches({ max: 20 })) {
    const last = batch.at(-1)?.sequence ?? prev;
    const numbers = batch.map((message) => Number(message.string()));
    const outcome = await client.store({ resource, epoch, prev, last, numbers });
    if (outcome === "stale") break;
    if (outcome === "conflict") throw new Error(`batch ${prev} to ${last} of ${resource} in epoch ${epoch}`);
    prev = last;
  }
  say({ type: "over", resource, epoch });
});
listen(() => say({ type: "owned", owned: [...group.owned.keys()] }));
