/** Follows one group by the messages of its bucket. What they miss is read. Writes nothing. */
import { messageOf } from "../../errors.ts";
import type { GroupEntry } from "../../group/core/types.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { type GroupContent, readGroup, type StoredEntry } from "../../manager/group-client.ts";
import { asObject, callApi } from "../../nats/api/js-api.ts";
import { BucketWatch } from "../../nats/bucket/bucket-watch.ts";
import { groupRepublish } from "../../nats/group/group-bucket.ts";
import { decodeEntry } from "../../nats/group/group-codec.ts";
import { decodeKey } from "../../nats/group/group-keys.ts";
import { groupRepublishSubject, groupStreamName, groupSubject } from "../../nats/names.ts";
import type { RecordMessage } from "../../nats/record-fields.ts";
import { type GroupState, initialGroup, withContent } from "../model/group.ts";
import { LIMITS } from "../model/limits.ts";
import { DueTimer } from "./due-timer.ts";

/** After the first of several messages, so that those of one move are shown at once. */
const GATHER_MS = 15;
/** Least time between two views: one takes tens of milliseconds with 10 000 resources. */
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
  readonly onState: (state: GroupState) => void;
}

export class GroupFollower {
  readonly #o: GroupFollowerOptions;
  readonly #watch: BucketWatch;
  readonly #flush: DueTimer;
  readonly #read: DueTimer;
  #state: GroupState;
  #content: GroupContent | null = null;
  /** The server's clock less this one's. */
  #offsetMs = 0;
  /** Messages since the last view, by subject. */
  readonly #pending = new Map<string, StoredEntry>();
  /** Everything up to this sequence is in `#content` or `#pending`. */
  #upTo = 0;
  #flushedAt = 0;
  #reading = false;
  #again = false;
  #closed = false;

  constructor(options: GroupFollowerOptions) {
    const { client, groupId } = options;
    this.#o = options;
    this.#state = initialGroup(groupId);
    this.#flush = new DueTimer(() => this.#takePending());
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
    return this.#content?.entries.size ?? 0;
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
    else this.#read.in(ms);
  }

  async #readAll(): Promise<void> {
    this.#reading = true;
    this.#again = false;
    let next = RECONCILE_MS;
    try {
      if (this.#o.client.monitor.connected) await this.#readOnce();
    } catch (error) {
      this.#publish({ ...this.#state, problem: messageOf(error) });
      next = RETRY_MS;
    }
    this.#reading = false;
    this.#readIn(this.#again ? SPACING_MS : next);
  }

  async #readOnce(): Promise<void> {
    const { client, groupId, mayKeep } = this.#o;
    if (this.#content === null) {
      const keys = await keysOf(client, groupId);
      if (!mayKeep(keys)) {
        const limit = `the page keeps at most ${LIMITS.groupKeys} keys of all groups together`;
        this.#publish({ ...this.#state, problem: `its bucket has ${keys} keys and is not read: ${limit}` });
        return;
      }
    }
    const content = await readGroup(client, groupId, this.#content);
    if (this.#closed) return;
    if (content === null) {
      this.#content = null;
      this.#pending.clear();
      this.#publish({ ...initialGroup(groupId), problem: "its bucket has been deleted" });
      return;
    }
    this.#offsetMs = content.now - Date.now();
    if (content.created !== this.#content?.created) {
      this.#pending.clear();
      this.#upTo = 0;
    }
    // What has arrived in the meantime is newer, or is in what was read.
    for (const [subject, { entry }] of this.#pending) {
      if (entry.revision <= content.upTo) this.#pending.delete(subject);
    }
    this.#upTo = Math.max(this.#upTo, content.upTo);
    this.#take(content);
    if (this.#pending.size > 0) this.#flush.in(SPACING_MS);
  }

  #onMessage(record: RecordMessage, subject: string): void {
    const { groupId } = this.#o;
    const prefix = [groupRepublishSubject(groupId, ""), groupSubject(groupId, "")].find((one) =>
      subject.startsWith(one),
    );
    const name = prefix === undefined ? "" : subject.slice(prefix.length);
    const key = decodeKey(name);
    const content = this.#content;
    if (key === null || content === null) return;
    const { revision } = record;
    if (revision <= this.#upTo) return;
    const entry = decodeEntry(key, record);
    // Of another stream, or after a gap: a read shows which.
    const foreign = entry.kind === "record" && entry.record.generation !== content.created;
    if (foreign || revision !== this.#upTo + 1) return this.#readIn(GATHER_MS);
    this.#upTo = revision;
    const stated = Date.parse(record.header("Nats-Time-Stamp"));
    const at = Number.isNaN(stated) ? this.#now() : stated;
    const held = `${groupSubject(groupId, "")}${name}`;
    const delayMs = isRenewal(entry, content.entries.get(held)?.entry) ? RENEWAL_MS : GATHER_MS;
    this.#pending.set(held, { entry, at });
    this.#flush.in(Math.max(delayMs, this.#flushedAt + SPACING_MS - performance.now()));
  }

  #takePending(): void {
    const content = this.#content;
    if (content === null || this.#pending.size === 0) return;
    const entries = new Map([...content.entries, ...this.#pending]);
    this.#pending.clear();
    this.#take({ created: content.created, entries, upTo: this.#upTo, now: this.#now() });
  }

  #take(content: GroupContent): void {
    const before = this.#content;
    this.#content = content;
    this.#flushedAt = performance.now();
    this.#publish(withContent(this.#state, content, before));
  }

  #now(): number {
    return Date.now() + this.#offsetMs;
  }

  #publish(state: GroupState): void {
    if (this.#closed) return;
    this.#state = state;
    this.#o.onState(state);
  }
}

/** Whether only the time of the session has changed. */
function isRenewal(entry: GroupEntry, before: GroupEntry | undefined): boolean {
  if (entry.kind !== "record" || before?.kind !== "record") return false;
  const [now, then] = [entry.record, before.record];
  if (now.kind !== "session" || then.kind !== "session") return false;
  return (
    now.incarnation === then.incarnation &&
    now.draining === then.draining &&
    now.weight === then.weight &&
    now.refused.length === then.refused.length
  );
}

async function keysOf({ monitor, timeoutMs }: ClusterClient, groupId: string): Promise<number> {
  const info = await callApi(monitor, `STREAM.INFO.${groupStreamName(groupId)}`, {}, { timeoutMs });
  const messages = asObject(info["state"])?.["messages"];
  return typeof messages === "number" ? messages : 0;
}
