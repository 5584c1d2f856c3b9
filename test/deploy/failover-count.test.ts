/** What the failover test counts: it must be able to fail. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { CLUSTER_ID, Election } from "../../scripts/deploy-nats-cluster/failover/election.ts";
import { Ledger } from "../../scripts/deploy-nats-cluster/failover/ledger.ts";
import { Traffic } from "../../scripts/deploy-nats-cluster/failover/traffic.ts";
import { ClusterClient } from "../../src/manager/cluster-client.ts";
import { demoteNode } from "../../src/manager/operations.ts";
import { atEnd } from "../support/at-end.ts";
import { useNatsServer } from "../support/use-server.ts";

describe("the ledger", () => {
  test("counts an acknowledged message as lost until it is received", () => {
    const ledger = new Ledger();
    ledger.acknowledged(1);
    ledger.received(1);
    ledger.acknowledged(2);
    expect(ledger.counts).toEqual({ acknowledged: 2, received: 1, repeated: 0, lost: 1 });
    ledger.received(2);
    expect(ledger.counts).toEqual({ acknowledged: 2, received: 2, repeated: 0, lost: 0 });
  });

  test("accepts a message that is received before its acknowledgement, and counts repetitions apart", () => {
    const ledger = new Ledger();
    ledger.received(1);
    ledger.received(1);
    ledger.acknowledged(1);
    ledger.received(1);
    expect(ledger.counts).toEqual({ acknowledged: 1, received: 1, repeated: 2, lost: 0 });
  });

  test("a message that comes after later ones is not lost", () => {
    const ledger = new Ledger();
    for (const message of [1, 2, 3]) ledger.acknowledged(message);
    ledger.received(3);
    ledger.received(1);
    expect(ledger.counts).toMatchObject({ received: 2, repeated: 0, lost: 1 });
  });
});

describe("on a server", () => {
  const server = useNatsServer();
  const connected = async (): Promise<NatsConnection> => {
    const connection = await connect({ servers: server.url });
    atEnd(() => connection.close());
    return connection;
  };

  test("messages that the stream loses before the subscriber reads them are lost", async () => {
    const [publisher, subscriber] = [await connected(), await connected()];
    const traffic = await Traffic.start(publisher, subscriber, 1);
    await traffic.progress();
    const jsm = await jetstreamManager(publisher);
    // The next messages are acknowledged, and nothing reads them.
    await jsm.consumers.delete("FAILOVER_TEST", "reader");
    const { state } = await jsm.streams.info("FAILOVER_TEST");
    await expect
      .poll(async () => (await jsm.streams.info("FAILOVER_TEST")).state.last_seq)
      .toBeGreaterThan(state.last_seq + 5);
    const counts = await traffic.stop(100);
    expect(counts.lost).toBeGreaterThanOrEqual(5);
    expect(counts.received).toBe(counts.acknowledged - counts.lost);
    await Traffic.remove(publisher);
  });

  test("a handover is a leader change", async () => {
    const election = await Election.start({ urls: [server.url] });
    expect(election.counts).toEqual({ leaderChanges: 0, termsLost: 0, suspensions: 0 });
    const client = await ClusterClient.connect(
      { clusterId: CLUSTER_ID, nodeId: "test", servers: server.url },
      {},
    );
    atEnd(() => client.close());
    expect(await demoteNode(client, "a", 10_000)).toMatchObject({ demoted: true });
    await expect.poll(() => election.counts).toMatchObject({ leaderChanges: 1, termsLost: 1 });
    await election.stop();
    await Election.remove(await connected());
  });
});
