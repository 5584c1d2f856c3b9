/** Follows one group by the messages of its bucket. What they miss is read. Writes nothing. */
import { messageOf } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { readGroupUpdate, type StoredEntry } from "../../manager/group-client.ts";
import { runSliced } from "../../manager/sliced-work.ts";
import { asObject, callApi } from "../../nats/api/js-api.ts";
import { BucketWatch } from "../../nats/bucket/bucket-watch.ts";
import { groupRepublish } from "../../nats/group/group-bucket.ts";
import { decodeEntry } from "../../nats/group/group-codec.ts";
import { decodeKey } from "../../nats/group/group-keys.ts";
import { groupRepublishSubject, groupStreamName, groupSubject } from "../../nats/names.ts";
import type { RecordMessage } from "../../nats/record-fields.ts";
import { type GridChange, GroupModel, isRenewal, NO_GRID_CHANGE } from "../model/group-model.ts";
import { LIMITS } from "../model/limits.ts";
import { DueTimer } from "./due-timer.ts";

/** After the first of several messages, so that those of one move are shown at once. */
const GATHER_MS = 15;
/** Least time between two updates of the page. After one that was much work it is longer: `runSliced()`. */
const SPACING_MS = 100;
/** Renewals change only a time that the page shows. */
const RENEWAL_MS = 1_000;
/** Reads what messages may have missed. */
const RECONCILE_MS = 15_000;
const RETRY_MS = 1_000;

export interface GroupFollowerOptions {
  readonly client: ClusterClient;
  readonly groupId: string;
  /** Whether so many keys may be read and kept. */
  readonly mayKeep: (keys: number) => boolean;
  /** Shows what has changed, in steps. */
  readonly show: (model: GroupModel, grid: GridChange) => Generator<void, void>;
}

export class GroupFollower {
  readonly #o: GroupFollowerOptions;
  readonly #watch: BucketWatch;
  readonly #flush: DueTimer;
  readonly #read: DueTimer;
  readonly #model: GroupModel;
  /** The server's clock less this one's. */
  #offsetMs = 0;
  /** Messages since the last view, by subject. */
  readonly #pending = new Map<string, StoredEntry>();
  /** Everything up to this sequence is in the model or in `#pending`. */
  #upTo = 0;
  /** The sequences without a gap that the last message ends. They begin after `#upTo` if messages before them are missing. */
  #run = { first: 0, last: 0 };
  /** What changes the model, one after the other. */
  #work: Promise<void> = Promise.resolve();
  /** No other work before this time. */
  #restsUntil = 0;
  #reading = false;
  #again = false;
  #closed = false;

  constructor(options: GroupFollowerOptions) {
    const { client, groupId } = options;
    this.#o = options;
    this.#model = new GroupModel(groupId);
    this.#flush = new DueTimer(() => void this.#takePending());
    this.#read = new DueTimer(() => void this.#readAll());
    const source = {
      stream: groupStreamName(groupId),
      republish: groupRepublish(groupId),
      what: "the group",
      consumerPrefix: "group_watch",
      deliver: "new",
    } as const;
    const listener = {
      message: (record: RecordMessage, subject: string) => this.#onMessage(record, subject),
      gone: () => this.#readIn(0),
    };
    // Without messages, the page follows by its reads.
    this.#watch = new BucketWatch(client.monitor, source, listener, () => {});
  }

  /** Number of keys that are kept. */
  get keys(): number {
    return this.#model.keys;
  }

  start(): void {
    this.#watch.start(true);
    this.#readIn(0);
  }

  close(): void {
    this.#closed = true;
    this.#flush.close();
    this.#read.close();
    this.#watch.close();
  }

  /** After a reconnect: messages were missed. */
  refresh(): void {
    this.#readIn(0);
  }

  #readIn(ms: number): void {
    if (this.#reading) this.#again = true;
    else this.#read.in(Math.max(ms, this.#restsUntil - performance.now()));
  }

  async #readAll(): Promise<void> {
    this.#reading = true;
    this.#again = false;
    let next = RECONCILE_MS;
    try {
      if (this.#o.client.monitor.connected) await this.#readOnce();
    } catch (error) {
      await this.#fail(messageOf(error));
      next = RETRY_MS;
    }
    this.#reading = false;
    this.#readIn(this.#again ? SPACING_MS : next);
  }

  async #readOnce(): Promise<void> {
    const { client, groupId, mayKeep } = this.#o;
    if (this.#model.position === null) {
      const keys = await keysOf(client, groupId);
      if (!mayKeep(keys)) {
        const limit = `the page keeps at most ${LIMITS.groupKeys} keys of all groups together`;
        await this.#fail(`its bucket has ${keys} keys and is not read: ${limit}`);
        return;
      }
    }
    const update = await readGroupUpdate(client, groupId, this.#model.position);
    if (this.#closed) return;
    if (update === null) {
      this.#pending.clear();
      this.#run = { first: 0, last: 0 };
      await this.#do((model) => {
        model.reset("its bucket has been deleted");
        return NO_GRID_CHANGE;
      });
      return;
    }
    const { created, upTo, now } = update;
    this.#offsetMs = now - Date.now();
    const known = this.#model.position?.created ?? created;
    if (created !== known) {
      this.#pending.clear();
      this.#run = { first: 0, last: 0 };
      this.#upTo = 0;
    }
    // What has arrived in the meantime is newer, is in what was read, or is of a bucket that was replaced before the first read.
    for (const [subject, { entry }] of this.#pending) {
      const foreign = entry.kind === "record" && entry.record.generation !== created;
      if (foreign) this.#run = { first: 0, last: 0 };
      if (foreign || entry.revision <= upTo) this.#pending.delete(subject);
    }
    this.#upTo = Math.max(this.#upTo, upTo);
    this.#closeGap();
    await this.#do((model) => model.take(update, this.#offsetMs));
    if (this.#pending.size > 0) this.#flushIn(SPACING_MS);
  }

  #onMessage(record: RecordMessage, subject: string): void {
    const { groupId } = this.#o;
    const prefix = [groupRepublishSubject(groupId, ""), groupSubject(groupId, "")].find((one) =>
      subject.startsWith(one),
    );
    const name = prefix === undefined ? "" : subject.slice(prefix.length);
    const key = decodeKey(name);
    const created = this.#model.position?.created ?? null;
    if (key === null || (created === null && !this.#reading)) return;
    const { revision } = record;
    if (revision <= this.#upTo) return;
    const entry = decodeEntry(key, record);
    // Of another stream: a read shows which.
    const foreign = entry.kind === "record" && created !== null && entry.record.generation !== created;
    if (foreign) return this.#readIn(GATHER_MS);
    const stated = Date.parse(record.header("Nats-Time-Stamp"));
    const at = Number.isNaN(stated) ? this.#now() : stated;
    const held = `${groupSubject(groupId, "")}${name}`;
    const delayMs = isRenewal(entry, this.#model.entry(held)) ? RENEWAL_MS : GATHER_MS;
    this.#pending.set(held, { entry, at });
    const { first, last } = this.#run;
    this.#run = { first: revision === last + 1 ? first : revision, last: revision };
    this.#closeGap();
    if (this.#upTo === revision) this.#flushIn(delayMs);
    else if (!this.#reading) this.#readIn(GATHER_MS);
  }

  /** What was read, and the messages without a gap after it, are everything. */
  #closeGap(): void {
    const { first, last } = this.#run;
    if (first <= this.#upTo + 1 && last > this.#upTo) this.#upTo = last;
    // A read that ends before the first of the messages is followed by another one.
    else if (last > this.#upTo) this.#again = true;
  }

  #flushIn(ms: number): void {
    this.#flush.in(Math.max(ms, this.#restsUntil - performance.now()));
  }

  async #takePending(): Promise<void> {
    const restMs = this.#restsUntil - performance.now();
    if (restMs > 0) return this.#flushIn(restMs);
    try {
      await this.#do((model) => this.#pendingInto(model));
    } catch (error) {
      await this.#fail(messageOf(error));
      this.#readIn(RETRY_MS);
    }
  }

  *#pendingInto(model: GroupModel): Generator<void, GridChange> {
    const { position } = model;
    // With a gap, the read after it comes first.
    if (position === null || this.#pending.size === 0 || this.#run.last > this.#upTo) return unchanged(model);
    const entries = new Map(this.#pending);
    this.#pending.clear();
    const { created } = position;
    const update = { created, entries, upTo: this.#upTo, now: this.#now(), whole: false };
    return yield* model.take(update, this.#offsetMs);
  }

  /** Changes the model and shows it, after what is being done. */
  async #do(change: (model: GroupModel) => GridChange | Generator<void, GridChange>): Promise<void> {
    const model = this.#model;
    const { show } = this.#o;
    const steps = function* (): Generator<void, void> {
      const made = change(model);
      const grid = "chunks" in made ? made : yield* made;
      yield* show(model, grid);
    };
    const done = this.#work.then(async () => {
      if (this.#closed) return;
      try {
        const { restMs } = await runSliced(steps(), () => this.#closed);
        this.#restsUntil = performance.now() + Math.max(SPACING_MS, restMs);
      } catch (error) {
        model.reset(messageOf(error));
        throw error;
      }
    });
    this.#work = done.catch(() => {});
    await done;
  }

  async #fail(problem: string): Promise<void> {
    await this.#do((model) => {
      model.fail(problem);
      return unchanged(model);
    });
  }

  #now(): number {
    return Date.now() + this.#offsetMs;
  }
}

function unchanged(model: GroupModel): GridChange {
  return { chunks: [], count: model.chunkCount };
}

async function keysOf({ monitor, timeoutMs }: ClusterClient, groupId: string): Promise<number> {
  const info = await callApi(monitor, `STREAM.INFO.${groupStreamName(groupId)}`, {}, { timeoutMs });
  const messages = asObject(info["state"])?.["messages"];
  return typeof messages === "number" ? messages : 0;
}
