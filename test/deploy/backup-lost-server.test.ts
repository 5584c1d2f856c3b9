/** With a server down, a backup names what cannot be read and the ways out, and works after each of them. */
import { AckPolicy, type JetStreamManager, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { startOf } from "../../scripts/deploy-nats-cluster/process-identity.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { recorded } from "../support/deploy/signalled.ts";
import { PATIENCE_MS } from "../support/patience.ts";

/** Requests about a consumer without a server take their whole timeout. */
const LONG_MS = 300_000;
const STREAM = "ORDERS";

test("a backup names the consumers whose server is down, and works without them or with the server", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster");
  const nats = await connect({ servers: urlsOf(await place.must("up")), maxReconnectAttempts: -1 });
  atEnd(() => nats.close());
  const jsm = await jetstreamManager(nats);
  await jsm.streams.add({ name: STREAM, subjects: ["orders"], num_replicas: 3 });
  await jetstream(nats).publish("orders", "one");
  await jsm.consumers.add(STREAM, { durable_name: "billing", ack_policy: AckPolicy.Explicit });
  const { consumer, server } = await consumerAwayFromLeader(jsm);

  await kill(place, server);
  const failed = await place.run("backup");
  expect(failed.code).toBe(1);
  expect(failed.result["error"]).toMatch(
    new RegExp(
      `^the snapshot of ORDERS failed: .*\\. The server with the only replica of (.*, )?${consumer}(, .*)? does not answer: ` +
        `start it, or delete .*nats consumer rm ORDERS ${consumer} --force.*` +
        `\\. What is stored only on ${server} cannot be read, because it is not running: run "up" first$`,
    ),
  );

  // As the message says. The request times out: the server that would answer is down.
  for (const name of await namesOf(nats))
    if (name !== "billing") await jsm.consumers.delete(STREAM, name).catch(() => {});
  await waitFor(async () => (await namesOf(nats)).length === 1, { timeoutMs: PATIENCE_MS });
  expect(await place.must("backup --drill")).toMatchObject({
    proven: true,
    streams: [{ name: STREAM, messages: 1 }],
  });
  await place.must("up");
  expect(await place.must("backup")).toMatchObject({ streams: [{ name: STREAM, messages: 1 }] });
});

/** Creates consumers with one replica on disk until one is on a server that does not lead the stream: that one keeps its leader. */
async function consumerAwayFromLeader(
  jsm: JetStreamManager,
): Promise<{ readonly consumer: string; readonly server: string }> {
  const { cluster } = await jsm.streams.info(STREAM);
  for (let index = 1; index <= 50; index++) {
    const consumer = `ephemeral${index}`;
    const info = await jsm.consumers.add(STREAM, {
      name: consumer,
      ack_policy: AckPolicy.Explicit,
      num_replicas: 1,
      inactive_threshold: 3600e9,
    });
    const server = info.cluster?.leader ?? "";
    if (server !== "" && server !== cluster?.leader) return { consumer, server };
  }
  throw new Error("50 consumers are all on the leader of their stream");
}

async function namesOf(nats: NatsConnection): Promise<string[]> {
  const { consumers } = (await nats.request(`$JS.API.CONSUMER.NAMES.${STREAM}`)).json<{
    consumers: string[] | null;
  }>();
  return consumers ?? [];
}

async function kill(place: Deployment, server: string): Promise<void> {
  const { pid = 0 } = recorded(place).processes[server] ?? {};
  process.kill(pid, "SIGKILL");
  await waitFor(() => startOf(pid) === undefined, { timeoutMs: PATIENCE_MS });
}
