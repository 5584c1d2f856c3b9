/**
 * A failover in memory, when the first node of the process starts.
 *
 * Most processes take over once, or never: all code of a failover would then run for the first time, and code that runs for the
 * first time is compiled first. That took a quarter of the time between the suspicion and `onBecomeLeader`. The rehearsal
 * runs the takeover from a leader whose connection has closed while the own connection is being made: 20 ms of CPU. A takeover after
 * silence is not rehearsed, because it waits for seconds. The rehearsal sends nothing, calls no hook of the application, and writes no log
 * line.
 */
import { HOOK_NAMES } from "../application/types.ts";
import type { ResolvedOptions } from "../config/resolve.ts";
import type { Instant } from "../election/time.ts";
import type { HolderAnswer, LeaseEntry, ReadOutcome, WriteOutcome } from "../election/types.ts";
import { parseHeaders } from "../nats/api/stored-message.ts";
import { decodeEntry, type EncodedWrite, encodeRecord, encodeWrite } from "../nats/lease/record-codec.ts";
import type { Attachment } from "../runtime/backend.ts";
import type { LeaseStore, Session, SessionEvent, StoreListener } from "../runtime/ports.ts";
import { systemClock } from "../runtime/system-clock.ts";
import type { Hooks } from "./hooks.ts";
import { Incarnation } from "./incarnation.ts";

/** The first run compiles. The others let the engine record types, and take a sixth of its time. */
const RUNS = 3;
/** More turns of the event loop than a run takes: it consists of promises that are fulfilled at once. */
const MAX_TURNS = 50;

const GENERATION = "2000-01-01T00:00:00Z";
const HOLDER = {
  nodeId: "holder",
  incarnation: "holder",
  epoch: 1,
  acquiredAt: 0,
  nonce: 1,
  ttlMs: 3_600_000,
  session: { serverId: "server", clientId: 1, presence: "stream.presence_1" },
} as const;

let rehearsed: Promise<boolean> | null = null;

/** Once per process. Resolves to whether it went as it should. Never rejects. */
export function rehearse(options: ResolvedOptions): Promise<boolean> {
  rehearsed ??= rehearsal(options).catch(() => false);
  return rehearsed;
}

/** As `rehearse()`, each time it is called. */
export async function rehearsal(options: ResolvedOptions): Promise<boolean> {
  let complete = true;
  for (let run = 0; run < RUNS; run++) complete = (await failover(options)) && complete;
  return complete;
}

/** The holder dies, this node takes over, steps down, and stops. */
async function failover(options: ResolvedOptions): Promise<boolean> {
  const store = new StoreInMemory();
  const session = new SessionInMemory();
  const done: string[] = [];
  const hooks = Object.fromEntries(HOOK_NAMES.map((name) => [name, () => void done.push(name)])) as Hooks;
  const incarnation = new Incarnation({
    id: "rehearsal",
    options: {
      ...options,
      nodeId: "rehearsal",
      crashDetection: "presence",
      election: { ...options.election, nodeId: "rehearsal", crashDetection: "presence" },
    },
    hooks,
    attachment: attachmentOf(store, session),
    clock: systemClock(),
    keepAlive: () => () => {},
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    rememberedEpoch: 0,
    emit: () => {},
    earlier: null,
  });
  await incarnation.start();
  await turnsUntil(() => incarnation.driver.state.lease.view.kind === "occupied");
  session.emit({ type: "presence-lost", presence: HOLDER.session.presence });
  await turnsUntil(() => done.includes("onBecomeLeader"));
  const { leaseDeleted } = await incarnation.stepDown(undefined, {});
  await incarnation.calls.stop({});
  return leaseDeleted === true && done.includes("onLoseLeadership");
}

async function turnsUntil(holds: () => boolean): Promise<void> {
  for (let turn = 0; !holds(); turn++) {
    if (turn >= MAX_TURNS) throw new Error("the rehearsal does not go on");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

class StoreInMemory implements LeaseStore {
  #revision = 1;
  #stored: EncodedWrite = { data: encodeRecord(HOLDER), headers: [] };
  #listener: StoreListener | null = null;

  async open(): Promise<Attachment["bucket"]> {
    return BUCKET;
  }

  async read(): Promise<ReadOutcome> {
    const entry = this.#entry();
    return { kind: "snapshot", snapshot: { generation: GENERATION, lastSequence: this.#revision, entry } };
  }

  async write(write: Parameters<LeaseStore["write"]>[0]): Promise<WriteOutcome> {
    this.#stored = encodeWrite(write);
    this.#revision += 1;
    this.#listener?.entry(this.#entry());
    return { kind: "applied", revision: this.#revision };
  }

  watch(listener: StoreListener): void {
    this.#listener = listener;
  }

  async close(): Promise<void> {
    this.#listener = null;
  }

  #entry(): LeaseEntry {
    const { data, headers } = this.#stored;
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
    const parsed = parseHeaders(Buffer.from(`NATS/1.0\r\n${lines.join("")}\r\n`));
    return decodeEntry({ revision: this.#revision, data, header: (name) => parsed.get(name) ?? "" });
  }
}

const BUCKET = { generation: GENERATION, maxAgeMs: 0, replicas: 1, republish: true } as const;

class SessionInMemory implements Session {
  readonly connected = true;
  readonly binding = { serverId: "server", clientId: 2, presence: "stream.presence_2" };
  readonly #listeners = new Set<(event: SessionEvent) => void>();

  listen(listener: (event: SessionEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  emit(event: SessionEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  async inquire(): Promise<HolderAnswer> {
    return { kind: "closed" };
  }

  async roundTrip(now: Instant): Promise<Instant> {
    return now;
  }

  watchHolder(): void {}

  beat(): void {}
}

function attachmentOf(store: LeaseStore, session: Session): Attachment {
  return {
    session,
    store,
    bucket: BUCKET,
    presence: "on",
    serve: async () => null,
    statusOf: async () => null,
    close: () => store.close(),
  };
}
