/**
 * Follows who leads, from outside: hears of committed writes as they happen, and notices when a lease runs out unrenewed.
 * Publishes nothing.
 */
import type { LeaseEntry, LeaseRecord } from "../election/types.ts";
import { LeaseWatch } from "../nats/lease/lease-watch.ts";
import type { ClusterClient } from "./cluster-client.ts";

/** What changed. `at`: Unix milliseconds here, when it was heard. */
export type Change = { readonly at: number } & (
  | { readonly kind: "leader"; readonly leader: string; readonly epoch: number; readonly acquiredAt: number }
  /** The holder let go; `successor` goes first. */
  | { readonly kind: "released"; readonly epoch: number; readonly successor: string | null }
  /** Somebody deleted the lease: go-cluster's step-down, or an operator. */
  | { readonly kind: "deleted" }
  /** Not renewed for its whole time. */
  | { readonly kind: "expired"; readonly leader: string; readonly epoch: number }
  /** Nobody has ever led here. */
  | { readonly kind: "vacant" }
  | { readonly kind: "disconnected" }
  | { readonly kind: "reconnected" }
  /** Looking did not work; it is tried again. */
  | { readonly kind: "failed"; readonly error: Error }
);

type Body<C = Change> = C extends Change ? Omit<C, "at"> : never;

const SILENT_RETRY_MS = 500;

export class ClusterWatch {
  readonly #client: ClusterClient;
  readonly #onChange: (change: Change) => void;
  readonly #watch: LeaseWatch;
  #unlisten: (() => void) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #retry: NodeJS.Timeout | null = null;
  #revision = -1;
  #record: LeaseRecord | null = null;
  #ttlMs = 0;
  #told = "";
  #closed = false;

  constructor(client: ClusterClient, onChange: (change: Change) => void) {
    this.#client = client;
    this.#onChange = onChange;
    this.#watch = new LeaseWatch(
      client.monitor,
      client.clusterId,
      {
        entry: (entry) => this.#see(entry, 0),
        gone: () => this.#onGone(),
      },
      () => {},
    );
  }

  /** The present state is the first change. Rejects when it can't be read. */
  async start(): Promise<void> {
    this.#unlisten = this.#client.monitor.listen((change) => {
      if (change.type === "down") this.#tell({ kind: "disconnected" });
      if (change.type !== "up") return;
      this.#tell({ kind: "reconnected" });
      void this.#look();
    });
    // Before the first look, so that nothing falls between the two. Where there is no bucket yet, ours will republish.
    this.#watch.start(true);
    await this.#read();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#unlisten?.();
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#watch.close();
  }

  async #read(): Promise<void> {
    const view = await this.#client.lease();
    if (this.#closed) return;
    if (!view.republish) this.#watch.start(false);
    this.#ttlMs = view.ttlMs;
    if (view.entry !== null) this.#see(view.entry, view.ageMs);
    else if (this.#revision <= 0) this.#tell({ kind: "vacant" });
  }

  /** Looks until it works. */
  async #look(): Promise<void> {
    try {
      await this.#read();
    } catch (thrown) {
      if (this.#closed) return;
      this.#tell({ kind: "failed", error: thrown instanceof Error ? thrown : new Error(String(thrown)) });
      if (this.#retry !== null) clearTimeout(this.#retry);
      this.#retry = setTimeout(() => void this.#look(), SILENT_RETRY_MS);
    }
  }

  #onGone(): void {
    // Revisions start anew in a bucket that is made again.
    this.#revision = -1;
    this.#settle(null);
    this.#tell({ kind: "deleted" });
  }

  #see(entry: LeaseEntry, ageMs: number): void {
    if (this.#closed || entry.revision <= this.#revision) return;
    this.#revision = entry.revision;
    switch (entry.kind) {
      case "record":
        this.#ttlMs = entry.record.ttlMs ?? this.#ttlMs;
        return this.#seeRecord(entry.record, ageMs);
      case "released":
        this.#settle(null);
        return this.#tell({ kind: "released", epoch: entry.epoch, successor: entry.successor ?? null });
      case "deleted":
      case "garbage":
        this.#settle(null);
        return this.#tell({ kind: "deleted" });
      default:
        entry satisfies never;
    }
  }

  #seeRecord(record: LeaseRecord, ageMs: number): void {
    this.#settle(record);
    const { nodeId, epoch, acquiredAt } = record;
    const leftMs = this.#ttlMs - ageMs;
    if (leftMs <= 0) return this.#tell({ kind: "expired", leader: nodeId, epoch });
    this.#timer = setTimeout(() => this.#tell({ kind: "expired", leader: nodeId, epoch }), leftMs);
    this.#tell({ kind: "leader", leader: nodeId, epoch, acquiredAt });
  }

  #settle(record: LeaseRecord | null): void {
    this.#record = record;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Renewals and repetitions are no change. */
  #tell(body: Body): void {
    if (this.#closed) return;
    if (body.kind !== "disconnected" && body.kind !== "reconnected" && body.kind !== "failed") {
      const key = JSON.stringify([body, this.#record?.incarnation]);
      if (key === this.#told) return;
      this.#told = key;
    }
    this.#onChange({ at: Date.now(), ...body } as Change);
  }
}
