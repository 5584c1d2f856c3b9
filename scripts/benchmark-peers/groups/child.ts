/** A child process of the comparison of groups: a producer, or a member of a group of Kafka or of nats-leader. */
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { Kafka, logLevel, PartitionAssigners } from "kafkajs";
import { readTask } from "../../../src/bench/child-task.ts";
import { dial } from "../../../src/bench/dial.ts";
import { hostNowMs } from "../../../src/bench/messages.ts";
import { messageOf } from "../../../src/errors.ts";
import { Group } from "../../../src/group/group.ts";
import { type Consumed, TOPIC } from "./group-peer.ts";
import type { GroupChildReport, GroupChildTask } from "./messages.ts";

type TaskOf<Role extends GroupChildTask["role"]> = Extract<GroupChildTask, { readonly role: Role }>;

const REPORT_EVERY_MS = 50;

let leaving = false;
let consumed: Consumed[] = [];

function report(message: GroupChildReport): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, () => resolve());
  });
}

function note(partition: number): void {
  if (consumed.length === 0) setTimeout(() => void flush(), REPORT_EVERY_MS);
  consumed.push([partition, hostNowMs()]);
}

async function flush(): Promise<void> {
  const messages = consumed;
  consumed = [];
  if (messages.length > 0) await report({ type: "consumed", messages });
}

function fail(error: unknown): void {
  if (!leaving) void report({ type: "failed", message: messageOf(error) }).then(() => process.exit(1));
}

/** SIGTERM: the orderly leave. */
function leaveWith(leave: () => Promise<unknown>): void {
  process.once("SIGTERM", () => {
    leaving = true;
    leave()
      .then(flush)
      .then(
        () => process.exit(0),
        () => process.exit(1),
      );
  });
}

function kafkaAt(url: string, clientId: string): Kafka {
  return new Kafka({ clientId, brokers: [url], logLevel: logLevel.NOTHING });
}

async function produceToKafka({ url, partitions, everyMs }: TaskOf<"kafka-producer">): Promise<void> {
  const producer = kafkaAt(url, "producer").producer();
  await producer.connect();
  setInterval(() => {
    const messages = Array.from({ length: partitions }, (_, partition) => ({ partition, value: "tick" }));
    producer.send({ topic: TOPIC, acks: 1, messages }).catch(fail);
  }, everyMs);
}

async function produceToNats({ url, partitions, everyMs }: TaskOf<"nats-producer">): Promise<void> {
  const connection = await dial([url], new AbortController().signal, { name: "producer" });
  const js = jetstream(connection);
  setInterval(() => {
    for (let partition = 0; partition < partitions; partition += 1)
      js.publish(`${TOPIC}.${partition}`, "tick").catch(fail);
  }, everyMs);
}

async function consumeWithKafkajs(task: TaskOf<"kafkajs-member">): Promise<void> {
  const { url, id, group, sessionTimeoutMs, heartbeatMs } = task;
  const consumer = kafkaAt(url, id).consumer({
    groupId: group,
    sessionTimeout: sessionTimeoutMs,
    heartbeatInterval: heartbeatMs,
    partitionAssigners: [PartitionAssigners.roundRobin],
  });
  leaveWith(() => consumer.disconnect());
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC });
  await consumer.run({ eachMessage: async ({ partition }) => note(partition) });
}

/** A consumer of its own for each partition and term, as docs/groups.md recommends. */
async function consumeWithGroup({
  url,
  id,
  partitions,
  group: groupId,
}: TaskOf<"nats-member">): Promise<void> {
  const connection = await dial([url], new AbortController().signal, { name: id });
  const js = jetstream(connection);
  const group = new Group({ groupId, memberId: id, servers: url, resources: partitions, logger: false });
  leaveWith(() => group.stop());
  await group.start();
  await group.runOwned(async ({ resource }, { signal }) => {
    const consumer = await js.consumers.get(TOPIC, {
      filter_subjects: `${TOPIC}.${resource}`,
      deliver_policy: DeliverPolicy.New,
    });
    const messages = await consumer.consume();
    const stop = (): void => messages.stop();
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    for await (const _ of messages) note(Number(resource));
  });
}

function run(task: GroupChildTask): Promise<void> {
  switch (task.role) {
    case "kafka-producer":
      return produceToKafka(task);
    case "nats-producer":
      return produceToNats(task);
    case "kafkajs-member":
      return consumeWithKafkajs(task);
    case "nats-member":
      return consumeWithGroup(task);
    default:
      return task satisfies never;
  }
}

run(readTask<GroupChildTask>()).catch(fail);
