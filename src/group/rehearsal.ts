/**
 * Two takeovers in memory, when the first member of the process starts: of a member whose connection has closed, and of one that has left.
 *
 * As in an election (`node/rehearsal.ts`), the code of a takeover would otherwise run for the first time, and be compiled, when
 * resources have no owner: placing 3 000 resources for the first time took 11 to 46 ms. The rehearsal runs while the connection is being made.
 * It sends nothing, calls no hook of the application, and writes no log line.
 */
import type { ResolvedGroupOptions } from "../config/group-options.ts";
import type { Instant } from "../election/time.ts";
import type { HolderAnswer, SessionBinding, WriteOutcome } from "../election/types.ts";
import { parseHeaders } from "../nats/api/stored-message.ts";
import { decodeEntry, encodeRecord } from "../nats/group/group-codec.ts";
import { decodeKey, encodeKey } from "../nats/group/group-keys.ts";
import type { EncodedMessage } from "../nats/record-fields.ts";
import type { BucketInfo, SessionEvent } from "../runtime/ports.ts";
import { systemClock } from "../runtime/system-clock.ts";
import { GROUP_HOOK_NAMES } from "./application/types.ts";
import { listHash } from "./core/hash.ts";
import type {
  Authorship,
  BulkOutcome,
  GroupEntry,
  GroupKey,
  GroupRecord,
  GroupWrite,
  KeyReadOutcome,
  SessionRecord,
} from "./core/types.ts";
import type { GroupHooks } from "./hooks.ts";
import { type MakeDriver, Membership } from "./membership.ts";
import { encodePlan } from "./plan/plan-codec.ts";
import type { GroupSession, GroupStore, GroupStoreListener } from "./ports.ts";

/** The first run compiles, the second lets the engine optimize what a takeover repeats for each resource. */
const RUNS = 2;
/** Enough that loops over all resources are optimized, and so few that both runs take some 100 ms. */
const RESOURCES = 120;
/** More turns of the event loop than a run takes: it consists of promises that are fulfilled at once, and of slices. */
const MAX_TURNS = 5_000;

const OWN_ID = "rehearsal";
/** Nothing is waited for, and a process that stands still loses no session. */
const CORE = {
  memberId: OWN_ID,
  crashDetection: "presence",
  leaseTtlMs: 3_600_000,
  heartbeatIntervalMs: 1_000_000,
  settleMs: 0,
  rejoinGraceMs: 0,
} as const;

const GENERATION = "2000-01-01T00:00:00Z";
/** Owns a third, and dies. */
const DEAD_ID = "dead";
/** Owns a third and coordinates, and leaves. */
const LEAVING_ID = "leaving";
const DEAD_PRESENCE = "stream.presence_1";

let rehearsed: Promise<boolean> | null = null;

/** Once per process. Resolves to whether it went as it should. Never rejects. */
export function rehearse(options: ResolvedGroupOptions, makeDriver: MakeDriver): Promise<boolean> {
  rehearsed ??= rehearsal(options, makeDriver).catch(() => false);
  return rehearsed;
}

/** As `rehearse()`, each time it is called. */
export async function rehearsal(options: ResolvedGroupOptions, makeDriver: MakeDriver): Promise<boolean> {
  let complete = true;
  for (let run = 0; run < RUNS; run++) complete = (await takeovers(options, makeDriver)) && complete;
  return complete;
}

/** One member dies and one leaves, this member takes over what they had, gives everything up, and stops. */
async function takeovers(options: ResolvedGroupOptions, makeDriver: MakeDriver): Promise<boolean> {
  const store = new StoreInMemory();
  const session = new SessionInMemory();
  const names = Array.from({ length: RESOURCES }, (_, index) => `${index}`);
  const leaving = fill(store, names);
  const owned = new Set<string>();
  let coordinates = false;
  const counted: Partial<GroupHooks> = {
    onOwn: ({ resource }) => void owned.add(resource),
    onDisown: ({ resource }) => void owned.delete(resource),
  };
  const hooks = { ...Object.fromEntries(GROUP_HOOK_NAMES.map((name) => [name, () => {}])), ...counted };
  const membership = new Membership({
    id: OWN_ID,
    options: {
      ...options,
      memberId: OWN_ID,
      profile: { weight: 1 },
      core: { ...options.core, ...CORE },
    },
    hooks,
    resources: names.map((name) => ({ name })),
    laterResources: null,
    attachment: { session, store, bucket: BUCKET, serve: () => {}, close: () => store.close() },
    clock: systemClock(),
    keepAlive: () => () => {},
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    emit: ({ type }) => {
      if (type === "coordinating") coordinates = true;
    },
    earlier: null,
    makeDriver,
    source: null,
  });
  membership.start();
  // Its own share is free.
  await turnsUntil(() => owned.size === RESOURCES / 3);
  session.close(DEAD_PRESENCE);
  await turnsUntil(() => owned.size === RESOURCES / 2);
  store.put(
    { kind: "session", memberId: LEAVING_ID },
    { ...authorship(LEAVING_ID), kind: "session-end", of: LEAVING_ID, number: leaving, reason: "left" },
  );
  await turnsUntil(() => owned.size === RESOURCES && coordinates);
  const { drain } = await membership.calls.stop(false, {});
  return drain === "complete" && owned.size === 0;
}

/** What is in the bucket: two members, a third of the resources owned by each of them, and a plan that gives this member the rest. Returns the number of the second session. */
function fill(store: StoreInMemory, names: readonly string[]): number {
  const dead = store.put(
    { kind: "session", memberId: DEAD_ID },
    sessionOf(DEAD_ID, names, { serverId: "server", clientId: 1, presence: DEAD_PRESENCE }),
  );
  const leaving = store.put({ kind: "session", memberId: LEAVING_ID }, sessionOf(LEAVING_ID, names));
  const coordinator = store.put(
    { kind: "coordinator" },
    { ...authorship(LEAVING_ID), kind: "claim", session: leaving },
  );
  const members = [DEAD_ID, LEAVING_ID, OWN_ID];
  const owners = new Map(names.map((name, index) => [name, members[index % 3] as string]));
  for (const [resource, memberId] of owners) {
    const session = { [DEAD_ID]: dead, [LEAVING_ID]: leaving }[memberId];
    if (session !== undefined)
      store.put({ kind: "owner", resource }, { ...authorship(memberId), kind: "claim", session });
  }
  const plan = encodePlan({ members, owners, unplaced: [] });
  store.put({ kind: "plan" }, { ...authorship(LEAVING_ID), kind: "plan", coordinator, plan });
  return leaving;
}

function authorship(memberId: string): Authorship {
  return { memberId, incarnation: memberId, nonce: 1, generation: GENERATION, above: 0 };
}

function sessionOf(memberId: string, names: readonly string[], session?: SessionBinding): SessionRecord {
  return {
    ...authorship(memberId),
    kind: "session",
    number: null,
    ttlMs: 3_600_000,
    ...(session === undefined ? {} : { session }),
    weight: 1,
    draining: false,
    refused: [],
    listHash: listHash(names),
  };
}

async function turnsUntil(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn++) {
    if (turn >= MAX_TURNS) throw new Error("the rehearsal does not go on");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const BUCKET: BucketInfo = { generation: GENERATION, maxAgeMs: 0, replicas: 1, republish: true };

/** Records as bytes, so that they are encoded and decoded. */
class StoreInMemory implements GroupStore {
  readonly #stored = new Map<string, { readonly revision: number; readonly encoded: EncodedMessage }>();
  #sequence = 0;
  #listener: GroupStoreListener | null = null;

  /** Stores and reports a record; returns its revision. */
  put(key: GroupKey, record: GroupRecord): number {
    const subject = encodeKey(key);
    this.#sequence += 1;
    this.#stored.set(subject, { revision: this.#sequence, encoded: encodeRecord(record) });
    const entry = this.#entry(subject);
    if (entry !== null) this.#listener?.entry(entry);
    return this.#sequence;
  }

  async open(): Promise<BucketInfo> {
    return BUCKET;
  }

  async write({ key, record, expect }: GroupWrite): Promise<WriteOutcome> {
    if ((this.#stored.get(encodeKey(key))?.revision ?? 0) !== expect) return { kind: "conflict" };
    // The answer of a server arrives after the call.
    await null;
    return { kind: "applied", revision: this.put(key, record) };
  }

  async read(key: GroupKey): Promise<KeyReadOutcome> {
    const entry = this.#entry(encodeKey(key));
    return { kind: "snapshot", generation: GENERATION, lastSequence: this.#sequence, entry };
  }

  async readAfter(sequence: number): Promise<BulkOutcome> {
    const all = [...this.#stored.keys()].flatMap((subject) => this.#entry(subject) ?? []);
    const entries = all
      .filter(({ revision }) => revision > sequence)
      .sort((one, other) => one.revision - other.revision);
    return { kind: "entries", generation: GENERATION, upTo: this.#sequence, entries };
  }

  watch(listener: GroupStoreListener): void {
    this.#listener = listener;
  }

  async close(): Promise<void> {
    this.#listener = null;
  }

  #entry(subject: string): GroupEntry | null {
    const stored = this.#stored.get(subject);
    const key = decodeKey(subject);
    if (stored === undefined || key === null) return null;
    const { revision, encoded } = stored;
    const lines = encoded.headers.map(([name, value]) => `${name}: ${value}\r\n`);
    const parsed = parseHeaders(Buffer.from(`NATS/1.0\r\n${lines.join("")}\r\n`));
    return decodeEntry(key, { revision, data: encoded.data, header: (name) => parsed.get(name) ?? "" });
  }
}

class SessionInMemory implements GroupSession {
  readonly connected = true;
  readonly binding = { serverId: "server", clientId: 2, presence: "stream.presence_2" };
  readonly #listeners = new Set<(event: SessionEvent) => void>();
  #closed: string | null = null;

  listen(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The connection with this presence. */
  close(presence: string): void {
    this.#closed = presence;
    for (const listener of [...this.#listeners]) listener({ type: "presence-lost", presence });
  }

  async inquire({ presence }: SessionBinding): Promise<HolderAnswer> {
    return presence === this.#closed ? { kind: "closed" } : { kind: "open", inMsgs: 1 };
  }

  async roundTrip(now: Instant): Promise<Instant> {
    return now;
  }

  watchHolders(): void {}

  beat(): void {}
}
