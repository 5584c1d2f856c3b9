/** A time limit that is longer than any timer of the platform, or infinite, is not one millisecond. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test, vi } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { FencedStream } from "../../src/fencing.ts";
import { ClusterClient } from "../../src/manager/cluster-client.ts";
import { type Change, ClusterWatch } from "../../src/manager/cluster-watch.ts";
import { request } from "../../src/nats/api/request.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import { Node } from "../../src/node/node.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { goRecord, operatorOf } from "../support/node/operator.ts";
import { oldest } from "../support/node/presence.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
/** Much longer than a timer that overflows. */
const A_WHILE_MS = 100;

async function connected(url: string): Promise<NatsConnection> {
  const connection = await connect({ servers: url, maxReconnectAttempts: -1 });
  atEnd(() => connection.close());
  return connection;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe.each([2 ** 31, Number.POSITIVE_INFINITY])("with a limit of %d ms", (timeoutMs) => {
  test("a request waits for its answer", async () => {
    const connection = await connected(server.url);
    const subject = freshId("s");
    connection.subscribe(subject, {
      callback: (_, message) => void setTimeout(() => message.respond("late"), A_WHILE_MS),
    });
    const monitor = ConnectionMonitor.acquire(connection);
    atEnd(() => monitor.release());
    const answer = await request(monitor, subject, new Uint8Array(0), { timeoutMs });
    expect(answer.string()).toBe("late");
  });

  test.skipIf(oldest)(
    "a fenced write waits for a server that is frozen, without polling (needs nats-server 2.11)",
    async () => {
      const frozen = await startNatsServer();
      atEnd(() => frozen.dispose());
      const stream = freshId("L");
      const fenced = await FencedStream.connect(await connected(frozen.url), {
        stream,
        subjects: [`${stream}.>`],
      });
      atEnd(() => fenced.close());
      const writer = await fenced.open({ epoch: 1, nodeId: "a", incarnation: "i" }, { timeoutMs });
      await frozen.pause();
      const timers = vi.spyOn(globalThis, "setTimeout");
      const write = writer.publish(`${stream}.x`, "1", { timeoutMs });
      await pause(A_WHILE_MS);
      expect(timers.mock.calls.length).toBeLessThan(20);
      timers.mockRestore();
      await frozen.resume();
      expect((await write).sequence).toBeGreaterThan(1);
    },
  );

  test("a campaign waits for the leader to leave, and stop() for the hooks", async () => {
    const clusterId = freshId();
    const options = { clusterId, servers: server.url, logger: false } as const;
    let ended = false;
    const a = new Node(
      { ...options, nodeId: "a" },
      {
        async onLoseLeadership() {
          await pause(A_WHILE_MS);
          ended = true;
        },
      },
    );
    atEnd(() => a.stop());
    await a.start();
    await a.campaign();
    let overlap = false;
    const b = new Node(
      { ...options, nodeId: "b" },
      {
        onBecomeLeader() {
          overlap = !ended;
        },
      },
    );
    atEnd(() => b.stop());
    await b.start();
    const campaign = b.campaign({ timeoutMs });
    const { term } = await a.stop({ timeoutMs });
    expect(term?.drain).toBe("complete");
    expect((await campaign).epoch).toBe(2);
    expect(overlap).toBe(false);
  });
});

test.skipIf(oldest).each([Number.NaN, -1, "1" as unknown as number])(
  "a limit of %d of a fenced write is refused before anything is sent (needs nats-server 2.11)",
  async (timeoutMs) => {
    const connection = await connected(server.url);
    const stream = freshId("L");
    const fenced = await FencedStream.connect(connection, { stream, subjects: [`${stream}.>`] });
    atEnd(() => fenced.close());
    const term = { epoch: 1, nodeId: "a", incarnation: "i" };
    await expect(fenced.open(term, { timeoutMs })).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    const writer = await fenced.open(term);
    await expect(writer.publish(`${stream}.x`, "1", { timeoutMs })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
    });
  },
);

test("a record in a bucket with a max-age longer than any timer has not expired", async () => {
  const clusterId = freshId();
  const operator = await operatorOf(server, clusterId);
  await operator.createBucket(2 ** 31);
  const options = { clusterId, servers: server.url, logger: false, interop: "go-cluster" } as const;
  const node = new Node({ ...options, nodeId: "a", observer: true });
  atEnd(() => node.stop());
  await node.start();
  const client = await ClusterClient.connect({ ...options, nodeId: "a" });
  atEnd(() => client.close());
  const changes: Change[] = [];
  const watch = new ClusterWatch(client, (change) => changes.push(change));
  atEnd(() => watch.close());
  await watch.start();
  // Without a TTL of its own, a record has that of the bucket.
  await operator.put(goRecord("x", 7));
  await waitFor(() => changes.some(({ kind }) => kind === "leader"));
  const timers = vi.spyOn(globalThis, "setTimeout");
  await pause(A_WHILE_MS);
  expect(changes.map(({ kind }) => kind)).toEqual(["vacant", "leader"]);
  // Neither does the observer set its timer again and again.
  expect(timers.mock.calls.length).toBeLessThan(20);
  timers.mockRestore();
});
