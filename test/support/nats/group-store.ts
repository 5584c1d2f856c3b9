/** Helpers of the tests of `src/nats/group`: records and stores that are closed at the end of the test. */
import type { WriteOutcome } from "../../../src/election/types.ts";
import type {
  BulkOutcome,
  Claim,
  GroupEntry,
  GroupKey,
  GroupWrite,
  SessionRecord,
} from "../../../src/group/core/types.ts";
import type { NatsLink, NatsOptions } from "../../../src/nats/connection/connection.ts";
import { ConnectionMonitor } from "../../../src/nats/connection/connection-monitor.ts";
import { type GroupStoreOptions, NatsGroupStore } from "../../../src/nats/group/group-store.ts";
import { atEnd } from "../at-end.ts";
import { Recorder } from "../recorder.ts";
import { link } from "./store-and-session.ts";

export interface OpenGroupStore {
  readonly store: NatsGroupStore;
  readonly monitor: ConnectionMonitor;
  readonly warnings: string[];
}

/** A store on a connection of its own or on the given one. Not opened yet. */
export async function groupStoreOn(
  server: { readonly url: string } | readonly string[] | NatsLink,
  groupId: string,
  options: Partial<GroupStoreOptions> = {},
  natsOptions: NatsOptions = {},
): Promise<OpenGroupStore> {
  const { connection } = "connection" in server ? server : await link(server, natsOptions);
  const monitor = ConnectionMonitor.acquire(connection);
  const warnings: string[] = [];
  const onWarning = (message: string): void => void warnings.push(message);
  const store = new NatsGroupStore(monitor, { groupId, replicas: "auto", onWarning, ...options });
  atEnd(async () => {
    await store.close();
    monitor.release();
  });
  return { store, monitor, warnings };
}

const AUTHOR = {
  memberId: "a",
  incarnation: "inc-a",
  nonce: 1,
  generation: "2026-11-30T05:00:00Z",
  above: 0,
};

export function claim(over: Partial<Claim> = {}): Claim {
  return { kind: "claim", ...AUTHOR, session: 1, ...over };
}

export function sessionRecord(over: Partial<SessionRecord> = {}): SessionRecord {
  return {
    kind: "session",
    ...AUTHOR,
    number: null,
    ttlMs: 10_000,
    weight: 1,
    draining: false,
    refused: [],
    listHash: "none",
    ...over,
  };
}

export function owner(resource: string): GroupKey {
  return { kind: "owner", resource };
}

export function claimOf(resource: string, expect: number, over: Partial<Claim> = {}): GroupWrite {
  return { key: owner(resource), record: claim(over), expect };
}

/** The entries of a bulk read; throws if it failed. */
export function entriesOf(outcome: BulkOutcome): Extract<BulkOutcome, { kind: "entries" }> {
  if (outcome.kind !== "entries") throw new Error(`bulk read: ${JSON.stringify(outcome)}`);
  return outcome;
}

export type SeenInGroup = { readonly type: "entry"; readonly entry: GroupEntry } | { readonly type: "gone" };

export function watchingGroup(store: NatsGroupStore): Recorder<SeenInGroup> {
  const seen = new Recorder<SeenInGroup>();
  store.watch({
    entry: (entry) => seen.push({ type: "entry", entry }),
    gone: () => seen.push({ type: "gone" }),
  });
  return seen;
}

/** The revisions that a watch has reported, in order. */
export function revisionsIn(seen: Recorder<SeenInGroup>): number[] {
  return seen.items.flatMap((item) => (item.type === "entry" ? [item.entry.revision] : []));
}

/** Does so much at a time, in order of the list. */
export async function inFlight<T>(
  items: readonly T[],
  window: number,
  run: (item: T) => PromiseLike<WriteOutcome>,
): Promise<WriteOutcome[]> {
  const outcomes: WriteOutcome[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < items.length; at = next++) outcomes[at] = await run(items[at] as T);
  };
  await Promise.all(Array.from({ length: window }, worker));
  return outcomes;
}
