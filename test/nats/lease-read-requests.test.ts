import { headers } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import type { LeaseEntry, ReadOutcome } from "../../src/election/types.ts";
import { STREAM_HEADER } from "../../src/nats/bucket/stream-identity.ts";
import type { NatsLink } from "../../src/nats/connection/connection.ts";
import type { NatsLeaseStore } from "../../src/nats/lease/lease-store.ts";
import { leaseSubject, republishSubject, streamName } from "../../src/nats/names.ts";
import { freshId } from "../support/fresh-id.ts";
import { requestsOn } from "../support/nats/requests-on.ts";
import { api, applied, link, noAbort, put, snapshot, storeOn } from "../support/nats/store-and-session.ts";
import { oldest } from "../support/node/presence.ts";
import { Recorder } from "../support/recorder.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** A writer, and a reader that reads as soon as its watch reports a message, as the election does. */
async function writerAndReader(watches = true) {
  const clusterId = freshId();
  const nats = await link(server);
  const writer = await storeOn(nats, clusterId);
  const reader = await storeOn(server, clusterId);
  await writer.store.open(noAbort());
  await reader.store.open(noAbort());
  const reads = new Recorder<Read>();
  if (watches) readAtOnce(reader.store, reads);
  const watching = (): Promise<void> => reader.monitor.connection.flush();
  await watching();
  const requests = await requestsOn(nats.connection, `$JS.API.STREAM.*.${streamName(clusterId)}`);
  const messages = await requestsOn(nats.connection, `$JS.API.STREAM.MSG.GET.${streamName(clusterId)}`);
  const sent = async (): Promise<string[]> => [...(await requests.taken()), ...(await messages.taken())];
  const state = `$JS.API.STREAM.INFO.${streamName(clusterId)}`;
  const message = `$JS.API.STREAM.MSG.GET.${streamName(clusterId)}`;
  return {
    clusterId,
    nats,
    writer: writer.store,
    reader: reader.store,
    reads,
    watching,
    sent,
    state,
    message,
  };
}

type Read = { readonly because: LeaseEntry | null; readonly outcome: ReadOutcome };

function readAtOnce(store: NatsLeaseStore, reads: Recorder<Read>): void {
  const read = (because: LeaseEntry | null): void =>
    void store.read(2000).then((outcome) => reads.push({ because, outcome }));
  store.watch({ entry: (entry) => read(entry), gone: () => read(null) });
}

async function rawPut(nats: NatsLink, clusterId: string, data: string, stream?: string): Promise<number> {
  const hdrs = headers();
  if (stream !== undefined) hdrs.set(STREAM_HEADER, stream);
  const answer = await nats.connection.request(leaseSubject(clusterId), data, {
    headers: hdrs,
    timeout: 2000,
  });
  return answer.json<{ seq: number }>().seq;
}

test("a message that names the known stream is read with one request, and shows what two would", async () => {
  const { writer, reader, reads, sent, state, message } = await writerAndReader();
  const first = applied(await writer.write(put({ emptyAtSequence: 0 }), 2000));
  const ofRecord = await reads.next(({ because }) => because?.revision === first);
  expect(await sent()).toEqual([message]);
  expect(ofRecord.outcome).toEqual({ kind: "snapshot", snapshot: await snapshot(reader) });
  expect(await sent()).toEqual([state, message]);
  const release = { kind: "release", epoch: 1, incarnation: "inc-a", expect: { revision: first } } as const;
  const second = applied(await writer.write(release, 2000));
  const ofMarker = await reads.next(({ because }) => because?.revision === second);
  expect(await sent()).toEqual([message]);
  expect(ofMarker.outcome).toEqual({ kind: "snapshot", snapshot: await snapshot(reader) });
});

test("a message that names no stream, as one of a Go node, is read together with the state of the stream", async () => {
  const { nats, clusterId, reader, reads, sent, state, message } = await writerAndReader();
  const go = await rawPut(nats, clusterId, '{"node_id":"go1","epoch":1,"acquired_at":1700000000000}');
  const read = await reads.next(({ because }) => because?.revision === go);
  expect(await sent()).toEqual([state, message]);
  expect(read.outcome).toEqual({ kind: "snapshot", snapshot: await snapshot(reader) });
});

test("a forged message that names the known stream does not hide that what is stored names another", async () => {
  const { nats, clusterId, reads, sent, state, message, reader } = await writerAndReader();
  const { generation } = await snapshot(reader);
  const stored = await rawPut(nats, clusterId, "{}", "2001-01-01T00:00:00Z");
  await reads.next(({ because }) => because === null);
  expect(await sent()).toEqual([state, state, message, message]);
  const hdrs = headers();
  hdrs.set(STREAM_HEADER, generation);
  hdrs.set("Nats-Sequence", String(stored + 1));
  nats.connection.publish(republishSubject(clusterId), "{}", { headers: hdrs });
  const read = await reads.next(({ because }) => because?.revision === stored + 1);
  expect(await sent()).toEqual([state, message]);
  expect(read.outcome).toMatchObject({ snapshot: { generation, entry: { revision: stored } } });
});

test("after a message of another stream the next read looks at the state, although a message of this one causes it", async () => {
  const { nats, clusterId, writer, reader, watching, sent, state, message } = await writerAndReader(false);
  const gone = new Recorder<"gone">();
  const reads = new Recorder<ReadOutcome>();
  // As the election does while another read is under way: it begins none.
  reader.watch({
    entry: () => void reader.read(2000).then((outcome) => reads.push(outcome)),
    gone: () => gone.push("gone"),
  });
  await watching();
  const hdrs = headers();
  hdrs.set(STREAM_HEADER, "2001-01-01T00:00:00Z");
  hdrs.set("Nats-Sequence", "1");
  nats.connection.publish(republishSubject(clusterId), "{}", { headers: hdrs });
  await gone.next(() => true);
  const first = applied(await writer.write(put({ emptyAtSequence: 0 }), 2000));
  await reads.next(() => true);
  expect(await sent()).toEqual([state, message]);
  applied(await writer.write(put({ revision: first }, { nonce: 2 }), 2000));
  await reads.next(() => true);
  expect(await sent()).toEqual([message]);
});

test("a deleted stream is no bucket, whatever a message said", async () => {
  const { nats, clusterId, writer, reads, reader } = await writerAndReader();
  const { generation } = await snapshot(reader);
  const first = applied(await writer.write(put({ emptyAtSequence: 0 }), 2000));
  await reads.next(({ because }) => because?.revision === first);
  await api(nats, `STREAM.DELETE.${streamName(clusterId)}`);
  const hdrs = headers();
  hdrs.set(STREAM_HEADER, generation);
  hdrs.set("Nats-Sequence", String(first + 1));
  nats.connection.publish(republishSubject(clusterId), "{}", { headers: hdrs });
  const read = await reads.next(({ because }) => because?.revision === first + 1);
  expect(read.outcome).toEqual({ kind: "no-bucket" });
});

test.skipIf(oldest)(
  "without republish every read looks at the state of the stream (needs nats-server 2.10 to remove it)",
  async () => {
    const { nats, clusterId, writer, reader, reads, sent, state, message } = await writerAndReader();
    const { config } = await api(nats, `STREAM.INFO.${streamName(clusterId)}`);
    const { republish: _, ...rest } = config as Record<string, unknown>;
    await api(nats, `STREAM.UPDATE.${streamName(clusterId)}`, rest);
    await reader.read(2000);
    const first = applied(await writer.write(put({ emptyAtSequence: 0 }), 2000));
    await reads.next(({ because }) => because?.revision === first);
    await sent();
    applied(await writer.write(put({ revision: first }, { nonce: 2 }), 2000));
    await reads.next(({ because }) => because?.revision === first + 1);
    expect(await sent()).toEqual([state, message]);
  },
);
