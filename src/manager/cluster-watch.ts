/**
 * Follows the leader from outside: receives committed writes of the lease, and notices when the lease expires. Writes
 * nothing.
 */
import type { LeaseEntry, LeaseRecord } from "../election/types.ts";
import { asError } from "../errors.ts";
import type { BucketWatch } from "../nats/bucket/bucket-watch.ts";
import { StreamIdentity } from "../nats/bucket/stream-identity.ts";
import { leaseWatch } from "../nats/lease/lease-watch.ts";
import { MAX_TIMER_MS } from "../runtime/waiting.ts";
import type { ClusterClient } from "./cluster-client.ts";

/** A change of leadership. `at`: when it was received, in Unix milliseconds of this machine. */
export type Change = { readonly at: number } & (
  | { readonly kind: "leader"; readonly leader: string; readonly epoch: number; readonly acquiredAt: number }
  /** The holder released the lease; `successor` may campaign first. */
  | { readonly kind: "released"; readonly epoch: number; readonly successor: string | null }
  /** The key or the bucket was deleted: go-cluster's step-down, or an operator. */
  | { readonly kind: "deleted" }
  /** The key has a value that is not a lease record. Nodes replace it after a full lease. */
  | { readonly kind: "garbage"; readonly reason: string }
  /** Not renewed for its whole TTL. */
  | { readonly kind: "expired"; readonly leader: string; readonly epoch: number }
  /** The cluster has never had a leader. */
  | { readonly kind: "vacant" }
  | { readonly kind: "disconnected" }
  | { readonly kind: "reconnected" }
  /** Reading the lease failed. It is retried; further failures are not reported until one succeeds. */
  | { readonly kind: "failed"; readonly error: Error }
);

type Body<C = Change> = C extends Change ? Omit<C, "at"> : never;

const READ_RETRY_MS = 500;

export class ClusterWatch {
  readonly #client: ClusterClient;
  readonly #onChange: (change: Change) => void;
  readonly #onRecord: (record: LeaseRecord, ageMs: number, ttlMs: number) => void;
  readonly #identity = new StreamIdentity();
  readonly #watch: BucketWatch;
  #unlisten: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #retry: NodeJS.Timeout | null = null;
  #revision = -1;
  #record: LeaseRecord | null = null;
  #ttlMs = 0;
  #lastReported = "";
  #failing = false;
  #closed = false;

  /** @param onRecord Called for every record, renewals included, before the change that it makes. `ageMs`: as far as it is known. */
  constructor(
    client: ClusterClient,
    onChange: (change: Change) => void,
    onRecord: (record: LeaseRecord, ageMs: number, ttlMs: number) => void = () => {},
  ) {
    this.#client = client;
    this.#onChange = onChange;
    this.#onRecord = onRecord;
    this.#watch = leaseWatch(
      client.monitor,
      client.clusterId,
      this.#identity,
      {
        entry: (entry) => this.#observe(entry, 0),
        gone: () => this.#onGone(),
        unknown: () => void this.#readWithRetry(),
        writing: false,
      },
      () => {},
    );
  }

  /** Reports the present state as the first change. Rejects if it cannot be read. */
  async start(): Promise<void> {
    this.#unlisten = this.#client.monitor.listen((change) => {
      if (change.type === "down") this.#report({ kind: "disconnected" });
      if (change.type !== "up") return;
      this.#report({ kind: "reconnected" });
      void this.#readWithRetry();
    });
    // Watch before the first read, so that no change is missed between them. A bucket that is created later republishes.
    this.#watch.start(true);
    await this.#read();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unlisten?.();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#watch.close();
  }

  async #read(): Promise<void> {
    const identified = this.#identity.reading();
    const view = await this.#client.lease();
    if (this.#closed) return;
    if (view.created !== null) identified(view.created);
    if (!view.republish) this.#watch.start(false);
    this.#ttlMs = view.ttlMs;
    if (view.entry !== null) this.#observe(view.entry, view.ageMs);
    else if (this.#revision <= 0) this.#report({ kind: "vacant" });
  }

  async #readWithRetry(): Promise<void> {
    try {
      await this.#read();
      this.#failing = false;
    } catch (thrown) {
      if (this.#closed) return;
      if (!this.#failing) this.#report({ kind: "failed", error: asError(thrown) });
      this.#failing = true;
      if (this.#retry !== null) clearTimeout(this.#retry);
      this.#retry = setTimeout(() => void this.#readWithRetry(), READ_RETRY_MS);
    }
  }

  #onGone(): void {
    // The revisions of a recreated bucket start again.
    this.#revision = -1;
    this.#settle(null);
    this.#report({ kind: "deleted" });
  }

  #observe(entry: LeaseEntry, ageMs: number): void {
    if (this.#closed || entry.revision <= this.#revision) return;
    this.#revision = entry.revision;
    switch (entry.kind) {
      case "record":
        this.#ttlMs = entry.record.ttlMs ?? this.#ttlMs;
        return this.#observeRecord(entry.record, ageMs);
      case "released":
        this.#settle(null);
        return this.#report({ kind: "released", epoch: entry.epoch, successor: entry.successor ?? null });
      case "deleted":
        this.#settle(null);
        return this.#report({ kind: "deleted" });
      case "garbage":
        this.#settle(null);
        return this.#report({ kind: "garbage", reason: entry.reason });
      default:
        entry satisfies never;
    }
  }

  #observeRecord(record: LeaseRecord, ageMs: number): void {
    this.#settle(record);
    this.#onRecord(record, ageMs, this.#ttlMs);
    const { nodeId, epoch, acquiredAt } = record;
    const leftMs = this.#ttlMs - ageMs;
    if (leftMs <= 0) return this.#report({ kind: "expired", leader: nodeId, epoch });
    this.#expireIn(leftMs, { kind: "expired", leader: nodeId, epoch });
    this.#report({ kind: "leader", leader: nodeId, epoch, acquiredAt });
  }

  /** The TTL is what some client wrote: it may be longer than any timer. */
  #expireIn(leftMs: number, expired: Body): void {
    const delayMs = Math.min(leftMs, MAX_TIMER_MS);
    this.#timer = setTimeout(() => {
      if (leftMs > delayMs) this.#expireIn(leftMs - delayMs, expired);
      else this.#report(expired);
    }, delayMs);
  }

  #settle(record: LeaseRecord | null): void {
    this.#record = record;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Suppresses renewals and repetitions. */
  #report(body: Body): void {
    if (this.#closed) return;
    if (body.kind !== "disconnected" && body.kind !== "reconnected" && body.kind !== "failed") {
      const key = JSON.stringify([body, this.#record?.incarnation]);
      if (key === this.#lastReported) return;
      this.#lastReported = key;
    }
    this.#onChange({ at: Date.now(), ...body } as Change);
  }
}
