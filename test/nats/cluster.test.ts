import { describe, expect, test } from "vitest";
import { confirmsDeath, watchPresence } from "../../scripts/shared/presence-questions.ts";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { CREATION_TIME_SINCE, isAtLeast } from "../../src/nats/api/server-version.ts";
import { streamName } from "../../src/nats/names.ts";
import type { NatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import {
  api,
  applied,
  entryAt,
  isRebound,
  link,
  noAbort,
  presenceOf,
  put,
  sessionOn,
  snapshot,
  storeOn,
  watching,
} from "../support/nats/store-and-session.ts";
import { useNatsCluster } from "../support/use-server.ts";

const cluster = useNatsCluster();

/** Answers of these servers about a stream never contain a provisional creation time. */
const finalAtOnce = isAtLeast(process.env["NATS_TEST_VERSION"] ?? "", CREATION_TIME_SINCE);

const replicated = (): boolean => isAtLeast(server(0).version, "2.9.21");

function server(index: number): NatsServer {
  const found = cluster.servers[index];
  if (found === undefined) throw new Error("no such server");
  return found;
}

/** The server that leads the stream, according to JetStream. */
async function leaderOf(clusterId: string): Promise<NatsServer> {
  const nats = await link(cluster.urls);
  const answer = await api(nats, `STREAM.INFO.${streamName(clusterId)}`);
  const name = (answer["cluster"] as { leader?: string } | undefined)?.leader;
  const found = cluster.servers.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no leader: ${JSON.stringify(answer)}`);
  return found;
}

describe("a bucket in a cluster", () => {
  test("has three replicas, or one if a compare-and-set on three could have several winners", async () => {
    const clusterId = freshId();
    const { store, warnings } = await storeOn(cluster.urls, clusterId);
    const info = await store.open(noAbort());
    expect(info).toMatchObject({ replicas: replicated() ? 3 : 1, republish: true });
    expect(warnings).toHaveLength(replicated() ? 0 : 1);
  });

  test("with a configured number of replicas is rejected where replicas are not safe", async () => {
    const { store } = await storeOn(cluster.urls, freshId(), { replicas: 3 });
    if (replicated()) expect(await store.open(noAbort())).toMatchObject({ replicas: 3 });
    else {
      await expect(store.open(noAbort())).rejects.toMatchObject({
        code: "SERVER_TOO_OLD",
        message: expect.stringContaining("2.9.21"),
      });
    }
  });

  test("that exists with replicas that are not safe is rejected", async () => {
    if (replicated()) return;
    const clusterId = freshId();
    const nats = await link(cluster.urls);
    await api(nats, `STREAM.CREATE.${streamName(clusterId)}`, {
      name: streamName(clusterId),
      subjects: [`$KV.KV_CLUSTER_${clusterId}.>`],
      max_msgs_per_subject: 1,
      num_replicas: 3,
      retention: "limits",
      storage: "file",
    });
    const { store } = await storeOn(nats, clusterId);
    await expect(store.open(noAbort())).rejects.toMatchObject({ code: "SERVER_TOO_OLD" });
  });

  test("cannot have more replicas than there are servers", async () => {
    const { store } = await storeOn(cluster.urls, freshId(), { replicas: 5 });
    const code = replicated() ? "INVALID_CONFIG" : "SERVER_TOO_OLD";
    await expect(store.open(noAbort())).rejects.toMatchObject({ code });
  });

  test.skipIf(finalAtOnce)(
    "has its final creation time, whatever a server answers while it creates it",
    async () => {
      const clusterId = freshId();
      const proxy = await startProxy({ target: { port: server(0).port } });
      atEnd(() => proxy.close());
      const { store } = await storeOn(proxy, clusterId);
      const created = proxy.takeReplyTo((frame) => frame.subject.startsWith("$JS.API.STREAM.CREATE."));
      const opening = store.open(noAbort());
      const answer = await created;
      const { bytes, text } = answer.frame;
      const year = bytes.indexOf('"created":"') + '"created":"'.length;
      expect(text.slice(year, year + 2)).toBe("20");
      bytes.write("19", year); // in place: the frame keeps its length
      answer.release();
      const { generation } = await opening;
      const info = await api(await link([server(0).url]), `STREAM.INFO.${streamName(clusterId)}`);
      expect(generation).toBe(info["created"]);
    },
  );

  test("is created by nodes on three servers at the same time, and one of them wins each write", async () => {
    const clusterId = freshId();
    const stores = await Promise.all([0, 1, 2].map((index) => storeOn([server(index).url], clusterId)));
    const infos = await Promise.all(stores.map(({ store }) => store.open(noAbort())));
    expect(new Set(infos.map((info) => info.generation)).size).toBe(1);
    let expected: Parameters<typeof put>[0] = { emptyAtSequence: 0 };
    for (let round = 1; round <= 20; round++) {
      const write = put(expected, { nonce: round });
      const outcomes = await Promise.all(stores.map(({ store }) => store.write(write, 2000)));
      const winners = outcomes.filter((outcome) => outcome.kind === "applied");
      expect(winners, JSON.stringify(outcomes)).toHaveLength(1);
      expected = { revision: applied(winners[0] ?? { kind: "conflict" }) };
    }
  });
});

describe("in a cluster", () => {
  test("a lease written through one server is received through the others", async () => {
    const clusterId = freshId();
    const one = await storeOn([server(0).url], clusterId);
    await one.store.open(noAbort());
    const two = await storeOn([server(1).url], clusterId);
    await two.store.open(noAbort());
    const seen = watching(two.store);
    await snapshot(two.store); // answered by the stream leader, which knows of the subscription by then
    const revision = applied(await one.store.write(put({ emptyAtSequence: 0 }), 2000));
    expect(await entryAt(seen, revision)).toMatchObject({ kind: "record" });
    expect((await snapshot(two.store)).entry).toMatchObject({ revision });
  });

  // A subscription takes a moment to reach the server that hosts the consumer, and no message confirms it: retried if it had not.
  test("a death is confirmed by the server that held the connection, requested through another server", {
    retry: 2,
  }, async () => {
    const clusterId = freshId();
    const { store } = await storeOn([server(0).url], clusterId);
    await store.open(noAbort());
    const nats = await link([server(0).url]);
    const holder = sessionOn(nats);
    expect(await holder.session.usePresence(streamName(clusterId))).toBe("on");
    const { binding } = holder.session;
    if (binding === null) throw new Error("no binding");
    const asker = sessionOn(await link([server(2).url]));
    watchPresence(asker.session, presenceOf(binding));
    await asker.session.monitor.connection.flush();
    expect(await confirmsDeath(asker.session, binding, 1000)).toBe(false);
    await nats.connection.close();
    await asker.events.next((event) => event.type === "presence-lost");
    expect(await confirmsDeath(asker.session, binding, 1000)).toBe(true);
  });

  test("the presence consumer is created after its subscription has had time to spread", async () => {
    const clusterId = freshId();
    const { store } = await storeOn([server(0).url], clusterId);
    await store.open(noAbort());
    const proxy = await startProxy({ target: server(0) });
    atEnd(() => proxy.close());
    const { session } = sessionOn(await link([proxy.url]));
    const subscribedAt = new Map<string, number>();
    const creating = proxy.takeNextToServer((frame) => {
      const [verb, subject = ""] = frame.text.split(" ");
      if (verb === "SUB") subscribedAt.set(subject, performance.now());
      return frame.subject.startsWith("$JS.API.CONSUMER.CREATE.");
    });
    const wanted = session.usePresence(streamName(clusterId));
    const create = await creating;
    const askedAt = performance.now();
    const inbox = /"deliver_subject":"([^"]+)"/.exec(create.frame.text)?.[1] ?? "";
    expect(askedAt - (subscribedAt.get(inbox) ?? Number.NaN)).toBeGreaterThanOrEqual(45);
    create.release();
    expect(await wanted).toBe("on");
  });

  test("a session leaves a server in lame duck mode for another one", async () => {
    const duck = server(1);
    const made = await link([duck.url]);
    await waitFor(() => made.connection.getServers().length === 3);
    const { session, events } = sessionOn(made);
    const before = session.binding;
    await duck.lameDuck();
    await events.next((event) => event.type === "connected");
    expect(session.binding?.serverId).not.toBe(before?.serverId);
    await duck.stop();
    await duck.start();
    await cluster.ready();
  });

  test("a bucket keeps its generation and its lease when its leader is killed", async () => {
    if (!replicated()) return;
    const clusterId = freshId();
    const { store, monitor } = await storeOn(cluster.urls, clusterId);
    const info = await store.open(noAbort());
    const seen = watching(store);
    const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    const { session, events } = sessionOn({
      connection: monitor.connection,
      owned: true,
      close: async () => {},
    });
    await session.usePresence(streamName(clusterId));
    const leader = await leaderOf(clusterId);
    await leader.kill();
    const again = await waitFor(
      async () => {
        const outcome = await store.read(500);
        return outcome.kind === "snapshot" && outcome.snapshot;
      },
      { timeoutMs: 20_000, intervalMs: 100 },
    );
    expect(again).toMatchObject({ generation: info.generation, entry: { revision: first } });
    const revision = await waitFor(
      async () => {
        const outcome = await store.write(put({ revision: first }, { nonce: 2 }), 1000);
        return outcome.kind === "applied" && outcome.revision;
      },
      { timeoutMs: 20_000, intervalMs: 100 },
    );
    expect(await entryAt(seen, revision)).toMatchObject({ record: { nonce: 2 } });
    // If the consumer was on the dead server, it is recreated on another one.
    await waitFor(() => session.binding?.presence !== undefined, { timeoutMs: 20_000 });
    expect(events.items.filter(isRebound).length).toBeGreaterThan(0);
    await leader.start({ until: "listening" });
    await cluster.ready();
    expect(await store.open(noAbort())).toMatchObject({ generation: info.generation });
  });
});
