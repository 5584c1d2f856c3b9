/**
 * A peer with the wire behaviour of go-cluster (at about 23f86f49), including its faults. Written from its behaviour, for
 * tests of clusters that have nodes of both kinds:
 *
 *  - bucket with max-age = lease TTL; one that exists is used as it is
 *  - key `leader`: `{"node_id","epoch","acquired_at"}`; acquired by create, renewed by update on the last revision seen
 *  - epoch: of the record last seen, plus one; 1 when it has seen none, also when others led before
 *  - a follower campaigns at the first message of its watch, at every delete in it, and at every heartbeat
 *  - a heartbeat that fails is only logged: it stays leader until the watch shows another's record
 *  - a record under its own node id makes it leader, even if another node wrote it
 *  - step-down: a cooldown key, then an unconditional delete of the record; `stop()` releases nothing
 */
import { type KV, Kvm, type KvWatchEntry } from "@nats-io/kv";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import {
  bucketName,
  LEASE_KEY,
  pingSubject,
  statusSubject,
  stepdownSubject,
} from "../../../src/nats/names.ts";
import { atEnd } from "../at-end.ts";
import { Recorder } from "../recorder.ts";

export interface GoClusterOptions {
  readonly url: string;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly leaseTtlMs: number;
  readonly heartbeatMs: number;
}

interface Lease {
  readonly node_id: string;
  readonly epoch: number;
  readonly acquired_at: number;
}

export type GoClusterEvent =
  | { readonly type: "become"; readonly epoch: number; readonly revision: number; readonly atMs: number }
  | { readonly type: "lose"; readonly atMs: number }
  | { readonly type: "sees"; readonly nodeId: string; readonly epoch: number; readonly revision: number };

export class GoClusterPeer {
  readonly events: Recorder<GoClusterEvent> = new Recorder<GoClusterEvent>();
  readonly nodeId: string;
  readonly #options: GoClusterOptions;
  readonly #connection: NatsConnection;
  readonly #kv: KV;
  #role: "PRIMARY" | "PASSIVE" = "PASSIVE";
  #lease: (Lease & { readonly revision: number }) | null = null;
  #timer: NodeJS.Timeout | null = null;
  #acquiring: Promise<void> = Promise.resolve();
  #stopped = false;

  private constructor(options: GoClusterOptions, connection: NatsConnection, kv: KV) {
    this.nodeId = options.nodeId;
    this.#options = options;
    this.#connection = connection;
    this.#kv = kv;
  }

  static async start(options: GoClusterOptions): Promise<GoClusterPeer> {
    const connection = await connect({ servers: options.url });
    const bucket = bucketName(options.clusterId);
    const kvm = new Kvm(connection);
    const kv = await kvm
      .create(bucket, { ttl: options.leaseTtlMs, history: 1, bindOnly: false })
      .catch(() => kvm.open(bucket));
    const peer = new GoClusterPeer(options, connection, kv);
    atEnd(() => peer.stop());
    await kv.delete(peer.#cooldownKey);
    await peer.#watch();
    peer.#timer = setInterval(() => void peer.#heartbeat(), options.heartbeatMs);
    peer.#serve();
    await connection.flush();
    return peer;
  }

  get isLeader(): boolean {
    return this.#role === "PRIMARY";
  }

  get epoch(): number {
    return this.#lease?.epoch ?? 0;
  }

  get leader(): string {
    return this.#lease?.node_id ?? "";
  }

  /** Ends without a release, as `Stop` of go-cluster and a crash do: the record stays. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    await this.#connection.close();
  }

  async stepDown(): Promise<void> {
    if (!this.isLeader) throw new Error("not the leader");
    await this.#kv.put(this.#cooldownKey, String(Date.now() + this.#options.leaseTtlMs));
    await this.#kv.delete(LEASE_KEY);
    this.#lease = null;
    this.#become("PASSIVE");
  }

  get #cooldownKey(): string {
    return `cooldown.${this.nodeId}`;
  }

  async #watch(): Promise<void> {
    const watch = await this.#kv.watch({ key: LEASE_KEY });
    // Go's watch marks the end of the initial values; for an empty key that mark comes at once.
    let initialised = (await this.#get(LEASE_KEY)) === null;
    if (initialised) await this.#tryAcquire();
    void (async () => {
      for await (const entry of watch) {
        await this.#onUpdate(entry);
        if (!initialised) await this.#tryAcquire();
        initialised = true;
      }
    })().catch(() => {});
  }

  async #onUpdate(entry: KvWatchEntry): Promise<void> {
    if (entry.operation !== "PUT") return this.#tryAcquire();
    const lease = parse(entry.string());
    if (lease === null) return;
    this.#lease = { ...lease, revision: entry.revision };
    const mine = lease.node_id === this.nodeId;
    this.events.push({ type: "sees", nodeId: lease.node_id, epoch: lease.epoch, revision: entry.revision });
    if (mine !== this.isLeader) this.#become(mine ? "PRIMARY" : "PASSIVE");
  }

  /** One attempt at a time. In Go the watch and the heartbeat race, and the create decides. */
  #tryAcquire(): Promise<void> {
    this.#acquiring = this.#acquiring.then(() => this.#acquire()).catch(() => {});
    return this.#acquiring;
  }

  async #acquire(): Promise<void> {
    if (this.#stopped || this.isLeader || (await this.#coolsDown())) return;
    const known = this.#lease?.epoch ?? 0;
    const entry = await this.#get(LEASE_KEY);
    const existing = entry === null ? null : parse(entry.text);
    if (entry !== null && existing !== null && existing.node_id !== this.nodeId) {
      this.#lease = { ...existing, revision: entry.revision };
      return;
    }
    const epoch = existing !== null ? existing.epoch + 1 : known + 1;
    const lease: Lease = { node_id: this.nodeId, epoch, acquired_at: Date.now() };
    const revision = await this.#kv.create(LEASE_KEY, JSON.stringify(lease));
    this.#lease = { ...lease, revision };
    this.#become("PRIMARY");
  }

  async #heartbeat(): Promise<void> {
    const lease = this.#lease;
    if (!this.isLeader || lease === null) return this.#tryAcquire();
    const renewed: Lease = { node_id: this.nodeId, epoch: lease.epoch, acquired_at: Date.now() };
    try {
      const revision = await this.#kv.update(LEASE_KEY, JSON.stringify(renewed), lease.revision);
      this.#lease = { ...renewed, revision };
    } catch {
      // Go logs it and stays leader.
    }
  }

  async #coolsDown(): Promise<boolean> {
    const entry = await this.#get(this.#cooldownKey);
    return entry !== null && Date.now() < Number(entry.text);
  }

  async #get(key: string): Promise<{ text: string; revision: number } | null> {
    const entry = await this.#kv.get(key);
    return entry === null || entry.operation !== "PUT"
      ? null
      : { text: entry.string(), revision: entry.revision };
  }

  #become(role: "PRIMARY" | "PASSIVE"): void {
    if (this.#role === role) return;
    this.#role = role;
    const atMs = performance.now();
    if (role === "PASSIVE") this.events.push({ type: "lose", atMs });
    else this.events.push({ type: "become", epoch: this.epoch, revision: this.#lease?.revision ?? 0, atMs });
  }

  #serve(): void {
    const { clusterId } = this.#options;
    const answer = (subject: string, body: () => object | Promise<object>): void => {
      this.#connection.subscribe(subject, {
        queue: "q",
        callback: (_error, message) => {
          void Promise.resolve(body()).then((json) => message.respond(JSON.stringify(json)));
        },
      });
    };
    answer(statusSubject(clusterId, this.nodeId), () => ({
      nodeId: this.nodeId,
      role: this.#role,
      leader: this.leader,
      epoch: this.epoch,
      uptimeMs: 1,
      connected: true,
    }));
    answer(pingSubject(clusterId, this.nodeId), () => ({ ok: true, timestamp: Date.now() }));
    answer(stepdownSubject(clusterId, this.nodeId), () =>
      this.stepDown().then(
        () => ({ ok: true }),
        (error: Error) => ({ ok: false, error: error.message }),
      ),
    );
  }
}

function parse(text: string): Lease | null {
  try {
    return JSON.parse(text) as Lease;
  } catch {
    return null;
  }
}
