/** Faults of the bucket and forged messages: by operators, other users of the account, and users without permissions. */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import {
  CONNECTIONS_PING,
  consumerDeletedAdvisory,
  leaseSubject,
  republishSubject,
  serviceName,
  statusSubject,
  stepdownSubject,
  streamDeletedAdvisory,
  streamName,
} from "../../../src/nats/names.ts";
import { CLUSTER_ID } from "../node/messages.ts";
import { type Operator, RefusedError } from "../servers/operator.ts";
import type { FaultName } from "./names.ts";
import type { Fault, Scene } from "./scene.ts";

const BUCKET = streamName(CLUSTER_ID);
const HUGE_BYTES = 900_000;

/** Nodes that have seen the record wait for its full TTL. */
async function leaseReplaced(scene: Scene): Promise<void> {
  await scene.takenOver(2 * scene.leaseMs);
}

async function publishForged(operator: Operator, presence: string | undefined): Promise<void> {
  const { connection } = operator;
  const advisory = consumerDeletedAdvisory(presence ?? `${BUCKET}.gone`);
  const [stream = "", consumer = ""] = (presence ?? "").split(".");
  connection.publish(
    advisory,
    JSON.stringify({ type: "io.nats.jetstream.advisory.v1.consumer_action", stream, consumer }),
  );
  await connection.flush();
}

/** Everything a user can try to remove the leader. Each attempt needs a permission that the stranger lacks. */
async function tryEverything(
  stranger: Operator,
  leader: string,
  presence: string | undefined,
): Promise<void> {
  const { connection } = stranger;
  const record = JSON.stringify({ node_id: "stranger", epoch: 1e6, acquired_at: Date.now() });
  const tried = [
    [leaseSubject(CLUSTER_ID), record],
    [republishSubject(CLUSTER_ID), record],
    [streamDeletedAdvisory(BUCKET), "{}"],
    [consumerDeletedAdvisory(presence ?? `${BUCKET}.gone`), "{}"],
    [stepdownSubject(CLUSTER_ID, leader), "{}"],
    [`$JS.API.STREAM.DELETE.${BUCKET}`, ""],
    [`$JS.API.STREAM.PURGE.${BUCKET}`, ""],
    [`$JS.API.CONSUMER.DELETE.${presence ?? `${BUCKET}.gone`}`, ""],
    [CONNECTIONS_PING, "{}"],
  ] as const;
  for (const [subject, data] of tried) connection.publish(subject, data);
  await connection.flush();
}

export const BUCKET_FAULTS: Readonly<Record<FaultName<"bucket">, Fault>> = {
  async "key-deleted"(scene) {
    await scene.operator.put("", { "KV-Operation": "DEL" });
    await leaseReplaced(scene);
  },
  async "key-purged"(scene) {
    await scene.operator.api(`STREAM.PURGE.${BUCKET}`);
    await leaseReplaced(scene);
  },
  async "bucket-deleted"(scene) {
    await scene.operator.api(`STREAM.DELETE.${BUCKET}`);
    await leaseReplaced(scene);
  },
  async "bucket-recreated"(scene) {
    const { operator } = scene;
    const config = await operator.bucketConfig();
    await operator.api(`STREAM.DELETE.${BUCKET}`);
    // A node may have recreated it first.
    await operator.api(`STREAM.CREATE.${BUCKET}`, config).catch((error: unknown) => {
      if (!(error instanceof RefusedError)) throw error;
    });
    await leaseReplaced(scene);
  },
  async garbage(scene) {
    const { operator, random } = scene;
    for (let times = random.between(1, 3); times > 0; times--) {
      await operator.put(randomBytes(random.between(0, 400)));
      await pause(random.between(0, 100));
    }
    await leaseReplaced(scene);
  },
  async "huge-record"(scene) {
    const { operator, random } = scene;
    const noise = "x".repeat(HUGE_BYTES);
    const record = { node_id: noise, epoch: random.between(1, 1e6), acquired_at: Date.now() };
    await operator.put(random.next() < 0.5 ? noise : JSON.stringify(record));
    await leaseReplaced(scene);
  },
  async "foreign-record"(scene) {
    const { operator, leader, random } = scene;
    const epoch = leader.epoch + random.between(-1, 3);
    await operator.put(JSON.stringify({ node_id: "unknown-node", epoch, acquired_at: Date.now() }));
    await leaseReplaced(scene);
  },
  async "old-events"({ operator, random }) {
    const events = [...operator.events, ...operator.events];
    while (events.length > 0) {
      const [event] = events.splice(random.between(0, events.length - 1), 1);
      if (event === undefined) continue;
      const { headers } = event;
      operator.connection.publish(event.subject, event.data, headers === undefined ? {} : { headers });
    }
    await operator.connection.flush();
    await pause(300);
  },
  async "forged-advisory"({ operator, random }) {
    const presence = await operator.presence();
    for (let times = random.between(1, 5); times > 0; times--) await publishForged(operator, presence);
    await pause(300);
  },
  async "forged-status"({ operator, followers, leader }) {
    const answers = [leader, ...followers].map(({ lane }) => statusSubject(CLUSTER_ID, lane));
    const status = { nodeId: "a", role: "leader", isLeader: true, epoch: 1e9, leader: "unknown-node" };
    const subscriptions = [
      ...answers,
      `$SRV.PING.${serviceName(CLUSTER_ID)}`,
      `$SRV.INFO.${serviceName(CLUSTER_ID)}`,
    ].map((subject) =>
      operator.connection.subscribe(subject, {
        callback: (error, message) => void (error ?? message.respond(JSON.stringify(status))),
      }),
    );
    await pause(400);
    for (const subscription of subscriptions) subscription.unsubscribe();
  },
  async stranger({ stranger, operator, leader }) {
    const presence = await operator.presence();
    await tryEverything(stranger, leader.lane, presence);
    await pause(400);
  },
  async "presence-deleted"({ operator, random }) {
    const presence = await operator.presence();
    // The consumer may be about to be recreated, or lost with its server.
    if (presence !== undefined) await operator.api(`CONSUMER.DELETE.${presence}`).catch(() => {});
    await pause(random.between(200, 800));
  },
};
