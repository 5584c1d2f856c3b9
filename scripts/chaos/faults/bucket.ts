/** What somebody does to the bucket, or says in its name: operators, other users of the account, strangers. */
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
import type { FaultName } from "./catalogue.ts";
import type { Fault, Scene } from "./scene.ts";

const BUCKET = streamName(CLUSTER_ID);
const HUGE_BYTES = 900_000;

/** Nodes that knew of the record wait its full lease. */
async function outwaited(scene: Scene): Promise<void> {
  await scene.takenOver(2 * scene.leaseMs);
}

async function forged(operator: Operator, presence: string | undefined): Promise<void> {
  const { connection } = operator;
  const advisory = consumerDeletedAdvisory(presence ?? `${BUCKET}.gone`);
  const [stream = "", consumer = ""] = (presence ?? "").split(".");
  connection.publish(
    advisory,
    JSON.stringify({ type: "io.nats.jetstream.advisory.v1.consumer_action", stream, consumer }),
  );
  await connection.flush();
}

/** All that a user can try who wants the leader gone. Every bit of it needs a right that the stranger does not have. */
async function attempts(stranger: Operator, leader: string, presence: string | undefined): Promise<void> {
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
    await outwaited(scene);
  },
  async "key-purged"(scene) {
    await scene.operator.api(`STREAM.PURGE.${BUCKET}`);
    await outwaited(scene);
  },
  async "bucket-deleted"(scene) {
    await scene.operator.api(`STREAM.DELETE.${BUCKET}`);
    await outwaited(scene);
  },
  async "bucket-recreated"(scene) {
    const { operator } = scene;
    const config = await operator.bucketConfig();
    await operator.api(`STREAM.DELETE.${BUCKET}`);
    // A node may have been quicker.
    await operator.api(`STREAM.CREATE.${BUCKET}`, config).catch((error: unknown) => {
      if (!(error instanceof RefusedError)) throw error;
    });
    await outwaited(scene);
  },
  async garbage(scene) {
    const { operator, random } = scene;
    for (let times = random.between(1, 3); times > 0; times--) {
      await operator.put(randomBytes(random.between(0, 400)));
      await pause(random.between(0, 100));
    }
    await outwaited(scene);
  },
  async "huge-record"(scene) {
    const { operator, random } = scene;
    const noise = "x".repeat(HUGE_BYTES);
    const record = { node_id: noise, epoch: random.between(1, 1e6), acquired_at: Date.now() };
    await operator.put(random.next() < 0.5 ? noise : JSON.stringify(record));
    await outwaited(scene);
  },
  async "foreign-record"(scene) {
    const { operator, leader, random } = scene;
    const epoch = leader.epoch + random.between(-1, 3);
    await operator.put(JSON.stringify({ node_id: "nobody", epoch, acquired_at: Date.now() }));
    await outwaited(scene);
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
    for (let times = random.between(1, 5); times > 0; times--) await forged(operator, presence);
    await pause(300);
  },
  async "forged-status"({ operator, followers, leader }) {
    const answers = [leader, ...followers].map(({ lane }) => statusSubject(CLUSTER_ID, lane));
    const status = { nodeId: "a", role: "leader", isLeader: true, epoch: 1e9, leader: "nobody" };
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
    await attempts(stranger, leader.lane, presence);
    await pause(400);
  },
  async "presence-deleted"({ operator, random }) {
    const presence = await operator.presence();
    // It may be just about to be made anew, or gone with its server.
    if (presence !== undefined) await operator.api(`CONSUMER.DELETE.${presence}`).catch(() => {});
    await pause(random.between(200, 800));
  },
};
