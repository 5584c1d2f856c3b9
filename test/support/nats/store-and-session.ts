/** Helpers of the tests of `src/nats`: connections, stores and sessions that are closed at the end of the test. */

import type {
  Expectation,
  LeaseEntry,
  LeaseRecord,
  LeaseWrite,
  SessionBinding,
  Snapshot,
  WriteOutcome,
} from "../../../src/election/types.ts";
import { connectNats, type NatsLink, type NatsOptions } from "../../../src/nats/connection/connection.ts";
import { ConnectionMonitor } from "../../../src/nats/connection/connection-monitor.ts";
import { type LeaseStoreOptions, NatsLeaseStore } from "../../../src/nats/lease/lease-store.ts";
import { streamName } from "../../../src/nats/names.ts";
import { type NatsSession, openSession, type SessionOptions } from "../../../src/nats/presence/session.ts";
import type { SessionEvent, StoreListener } from "../../../src/runtime/ports.ts";
import { atEnd } from "../at-end.ts";
import { freshId } from "../fresh-id.ts";
import { Recorder } from "../recorder.ts";

/** A connection as a node makes it, closed at the end of the test. */
export async function link(
  server: { readonly url: string } | readonly string[],
  options: NatsOptions = {},
): Promise<NatsLink> {
  const servers = "url" in server ? [server.url] : server;
  const made = await connectNats(
    { servers, reconnectWaitMs: 20, ...options },
    { clusterId: "test", nodeId: "a" },
  );
  atEnd(() => made.connection.close());
  return made;
}

/** A store with its warnings. */
export interface OpenStore {
  readonly store: NatsLeaseStore;
  readonly monitor: ConnectionMonitor;
  readonly warnings: string[];
}

/** A store on a connection of its own or on the given one. Not opened yet. */
export async function storeOn(
  server: { readonly url: string } | readonly string[] | NatsLink,
  clusterId: string,
  options: Partial<LeaseStoreOptions> = {},
  natsOptions: NatsOptions = {},
): Promise<OpenStore> {
  const { connection } = "connection" in server ? server : await link(server, natsOptions);
  const monitor = ConnectionMonitor.acquire(connection);
  const warnings: string[] = [];
  const store = new NatsLeaseStore(monitor, {
    clusterId,
    leaseTtlMs: 10_000,
    replicas: "auto",
    interop: "native",
    onWarning: (message) => void warnings.push(message),
    ...options,
  });
  atEnd(async () => {
    await store.close();
    monitor.release();
  });
  return { store, monitor, warnings };
}

/** Never aborts. */
export function noAbort(): AbortSignal {
  return new AbortController().signal;
}

/** The snapshot of a read; throws if the read failed. */
export async function snapshot(store: NatsLeaseStore): Promise<Snapshot> {
  const outcome = await store.read(2000);
  if (outcome.kind !== "snapshot") throw new Error(`read: ${JSON.stringify(outcome)}`);
  return outcome.snapshot;
}

export function record(over: Partial<LeaseRecord> = {}): LeaseRecord {
  return {
    nodeId: "a",
    epoch: 1,
    acquiredAt: 1_700_000_000_000,
    incarnation: "inc-a",
    nonce: 1,
    ttlMs: 10_000,
    session: { serverId: "S1", clientId: 7, presence: "KV_X.presence_1" },
    ...over,
  };
}

export function put(expect: Expectation, over: Partial<LeaseRecord> = {}): LeaseWrite {
  return { kind: "put", record: record(over), expect };
}

/** The revision of a write; throws if it was not applied. */
export function applied(outcome: WriteOutcome): number {
  if (outcome.kind !== "applied") throw new Error(`write: ${outcome.kind} ${JSON.stringify(outcome)}`);
  return outcome.revision;
}

export type Seen = { readonly type: "entry"; readonly entry: LeaseEntry } | { readonly type: "gone" };

/** Watches a store. */
export function watching(store: NatsLeaseStore): Recorder<Seen> {
  const seen = new Recorder<Seen>();
  const listener: StoreListener = {
    entry: (entry) => seen.push({ type: "entry", entry }),
    gone: () => seen.push({ type: "gone" }),
  };
  store.watch(listener);
  return seen;
}

/** The entry of this revision, as soon as the watch has reported it. */
export async function entryAt(seen: Recorder<Seen>, revision: number): Promise<LeaseEntry> {
  const found = await seen.next((item) => item.type === "entry" && item.entry.revision === revision);
  if (found.type !== "entry") throw new Error("not an entry");
  return found.entry;
}

/** A session with its events and warnings, released at the end of the test. */
export interface OpenedSession {
  readonly session: NatsSession;
  readonly events: Recorder<SessionEvent>;
  readonly warnings: string[];
}

export function sessionOn(
  made: NatsLink,
  options: Pick<SessionOptions, "deniedRetryMs"> = {},
): OpenedSession {
  const events = new Recorder<SessionEvent>();
  const warnings: string[] = [];
  const session = openSession(made.connection, {
    ...options,
    onWarning: (message) => void warnings.push(message),
  });
  session.listen((event) => events.push(event));
  atEnd(() => session.release());
  return { session, events, warnings };
}

/** A raw call of the JetStream API, as an operator's tool makes it. Rejects when the answer is an error. */
export async function api(
  made: NatsLink,
  name: string,
  body: unknown = {},
): Promise<Record<string, unknown>> {
  const answer = await made.connection.request(`$JS.API.${name}`, JSON.stringify(body), { timeout: 5000 });
  const json = answer.json<Record<string, unknown>>();
  if (json["error"] !== undefined) throw new Error(`${name}: ${JSON.stringify(json["error"])}`);
  return json;
}

export function isRebound(event: SessionEvent): event is Extract<SessionEvent, { type: "rebound" }> {
  return event.type === "rebound";
}

/** The presence of a binding; throws if it has none. */
export function presenceOf(binding: SessionBinding | null): string {
  if (binding?.presence === undefined) throw new Error(`no presence in ${JSON.stringify(binding)}`);
  return binding.presence;
}

/** The stream of a new bucket, for presence consumers. */
export async function freshStream(on: { readonly url: string }): Promise<string> {
  const clusterId = freshId();
  const { store } = await storeOn(on, clusterId);
  await store.open(noAbort());
  return streamName(clusterId);
}
