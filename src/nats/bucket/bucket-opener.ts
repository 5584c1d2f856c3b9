/** Opening a bucket: create it, or check the one that exists. An incompatible bucket is never adopted. */
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterError, messageOf } from "../../errors.ts";
import type { BucketInfo } from "../../runtime/ports.ts";
import { callApi, isJsError, JsCode, type JsonObject, jsToClusterError } from "../api/js-api.ts";
import {
  CLEAN_DELETION_SINCE,
  CREATION_TIME_SINCE,
  isAtLeast,
  OLDEST_SERVER,
  REPLICATED_CAS_SINCE,
  REPUBLISH_UPDATE_SINCE,
  serverVersion,
} from "../api/server-version.ts";
import {
  CLUSTER_REPLICAS,
  createStream,
  findOrCreate,
  findStream,
  isClustered,
  isTooFewServers,
} from "../api/streams.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { parseStream, type Republish, republishesElsewhere, type StreamState } from "./stream-state.ts";

/** A server drops a request about a stream whose raft group has no leader yet, so the request is repeated. */
const INFO_ATTEMPTS = 4;

/** Answers in a row that must have the same creation time, and all answers that are waited for. */
const SETTLED_ANSWERS = 3;
const SETTLING_ANSWERS = 8;

/**
 * An old server answers that a stream is gone before it has removed its files, and removes those of a new stream with them. So much later
 * they are gone.
 */
const DELETION_MS = 500;

/** What distinguishes the bucket of a cluster from that of a group. */
export interface BucketKind {
  readonly bucket: string;
  readonly stream: string;
  readonly republish: Republish;
  /** What `republish` shows, such as "the lease". */
  readonly republished: string;
  /** What is in it and would be lost with its servers' memory, such as "the lease and every epoch". */
  readonly kept: string;
  /** What uses it: "node" or "member". */
  readonly members: string;
  /** The command with which an administrator creates it. */
  readonly command: string;
  /** @param above - the first revision is larger than this one */
  newConfig(replicas: number, above: number): JsonObject;
  /** Why an existing bucket cannot be used, one sentence each. */
  problems(config: JsonObject): string[];
}

/** How a bucket is opened. */
export interface OpenOptions {
  /** `"auto"`: 3 in a NATS cluster, 1 on a single server. */
  readonly replicas: number | "auto";
  /**
   * Whether to create the bucket if it does not exist.
   * @default true
   */
  readonly create?: boolean;
  /** Something that an operator should know and that stops nothing. */
  readonly onWarning?: (message: string, error?: Error) => void;
  /**
   * Longest wait for one API call; finding or creating a bucket may take twice as long.
   * @default 2000
   */
  readonly apiTimeoutMs?: number;
  /**
   * How long a NATS cluster that lacks servers is asked for 3 replicas before `"auto"` settles for 1.
   * @default 3000
   */
  readonly peerGraceMs?: number;
}

/** Opens one bucket, as often as necessary. Emits each warning once. */
export class BucketOpener {
  readonly #monitor: ConnectionMonitor;
  readonly #kind: BucketKind;
  readonly #options: OpenOptions;
  readonly #warned = new Set<string>();
  #tooFewServersSince: number | null = null;
  #wasOpen = false;

  constructor(monitor: ConnectionMonitor, kind: BucketKind, options: OpenOptions) {
    this.#monitor = monitor;
    this.#kind = kind;
    this.#options = options;
  }

  /**
   * @param above - the first revision of a bucket that is created is larger than this one
   * @throws ClusterError: what is wrong and what to do; `recoverable` if a retry may succeed
   */
  async open(signal: AbortSignal, above: number): Promise<BucketInfo> {
    const doing = `open bucket ${this.#kind.bucket}`;
    try {
      const found = await findOrCreate(
        () => this.#find(signal),
        () => this.#create(signal, above),
      );
      const stream = await this.#settled(found, signal);
      this.#check(stream);
      const republish = await this.#ensureRepublish(stream, signal);
      this.#wasOpen = true;
      return { generation: stream.created, maxAgeMs: stream.maxAgeMs, replicas: stream.replicas, republish };
    } catch (thrown) {
      throw jsToClusterError(thrown, doing);
    }
  }

  async #find(signal: AbortSignal): Promise<StreamState | null> {
    const answer = await findStream(this.#monitor, this.#kind.stream, {
      timeoutMs: this.#apiTimeoutMs / 2,
      signal,
      attempts: INFO_ATTEMPTS,
    });
    this.#requireVersion();
    return answer === null ? null : this.#parse(answer);
  }

  /**
   * The stream with its final creation time. While an older server of a cluster creates a stream, it may answer other clients with a
   * provisional one. Taken for the generation, the final one would look like another bucket. The server replaces it within a
   * millisecond, or within a few if it is short of CPU time.
   */
  async #settled(stream: StreamState, signal: AbortSignal): Promise<StreamState> {
    const { connection, domain } = this.#monitor;
    if (isAtLeast(serverVersion(connection), CREATION_TIME_SINCE)) return stream;
    if (domain === null && !isClustered(connection)) return stream;
    let last = stream;
    for (let answers = 1, equal = 1; answers < SETTLING_ANSWERS && equal < SETTLED_ANSWERS; answers++) {
      const next = await this.#find(signal);
      if (next === null) throw new Error("the stream was deleted while it was being opened");
      equal = next.created === last.created ? equal + 1 : 1;
      last = next;
    }
    return last;
  }

  async #create(signal: AbortSignal, above: number): Promise<StreamState | null> {
    if (this.#options.create === false) throw this.#missing();
    const replicas = this.#wantedReplicas();
    if (this.#wasOpen && !isAtLeast(serverVersion(this.#monitor.connection), CLEAN_DELETION_SINCE))
      await sleep(DELETION_MS, undefined, { signal });
    try {
      return await this.#createWith(replicas, above, signal);
    } catch (thrown) {
      if (replicas === 1 || !isTooFewServers(thrown)) throw thrown;
      if (this.#options.replicas !== "auto") {
        throw new ClusterError(
          "INVALID_CONFIG",
          `replicas is ${replicas}, and the server refuses: ${thrown.message}; lower it or add servers`,
          { cause: thrown, recoverable: isJsError(thrown, JsCode.clusterNoPeers) },
        );
      }
      const isSingle = isJsError(thrown, JsCode.replicasNotSupported);
      this.#waitForServers(thrown, isSingle);
      // Whether another domain is a single server is known only now.
      if (!isSingle || this.#monitor.domain === null) {
        this.#warn(
          `bucket ${this.#kind.bucket} gets 1 replica instead of ${replicas}: ${thrown.message}`,
          thrown,
        );
      }
      return await this.#createWith(1, above, signal);
    }
  }

  async #createWith(replicas: number, above: number, signal: AbortSignal): Promise<StreamState | null> {
    const config = this.#kind.newConfig(replicas, above);
    const limits = { timeoutMs: this.#apiTimeoutMs * 2, signal };
    const answer = await createStream(this.#monitor, this.#kind.stream, config, limits);
    return answer === null ? null : this.#parse(answer);
  }

  /** A NATS cluster that is still starting lacks servers, too, and a bucket keeps the replicas that it was created with. */
  #waitForServers(cause: Error, final: boolean): void {
    const now = performance.now();
    this.#tooFewServersSince ??= now;
    if (final || now - this.#tooFewServersSince >= (this.#options.peerGraceMs ?? 3000)) return;
    throw new ClusterError(
      "JETSTREAM_UNAVAILABLE",
      `the NATS cluster cannot place ${CLUSTER_REPLICAS} replicas: ${cause.message}; check that its servers are up`,
      { cause, recoverable: true },
    );
  }

  #wantedReplicas(): number {
    const { replicas } = this.#options;
    if (replicas !== "auto") {
      if (replicas > 1) this.#requireReplicatedCas(replicas);
      return replicas;
    }
    const { connection, domain } = this.#monitor;
    // The server of this connection says nothing about the servers of another domain.
    if (domain === null && !isClustered(connection)) return 1;
    const version = serverVersion(connection);
    if (isAtLeast(version, REPLICATED_CAS_SINCE)) return CLUSTER_REPLICAS;
    this.#warn(
      `bucket ${this.#kind.bucket} gets 1 replica: on nats-server ${version} a compare-and-set on ` +
        `several replicas can have several winners; upgrade to ${REPLICATED_CAS_SINCE} or later`,
    );
    return 1;
  }

  #requireVersion(): void {
    const version = serverVersion(this.#monitor.connection);
    if (isAtLeast(version, OLDEST_SERVER)) return;
    throw new ClusterError("SERVER_TOO_OLD", `nats-server ${version} is too old, ${OLDEST_SERVER} is needed`);
  }

  #requireReplicatedCas(replicas: number): void {
    const version = serverVersion(this.#monitor.connection);
    if (isAtLeast(version, REPLICATED_CAS_SINCE)) return;
    throw new ClusterError(
      "SERVER_TOO_OLD",
      `bucket ${this.#kind.bucket} with ${replicas} replicas on nats-server ${version}: a ` +
        `compare-and-set can have several winners there; upgrade to ` +
        `${REPLICATED_CAS_SINCE} or later, or use replicas: 1`,
    );
  }

  #check(stream: StreamState): void {
    const { replicas } = this.#options;
    const { bucket: name, kept } = this.#kind;
    const problems = this.#kind.problems(stream.config);
    if (problems.length > 0) throw new ClusterError("BUCKET_INCOMPATIBLE", this.#incompatible(problems));
    if (stream.replicas > 1) this.#requireReplicatedCas(stream.replicas);
    if (typeof replicas === "number" && replicas !== stream.replicas) {
      this.#warn(
        `bucket ${name} has ${stream.replicas} replicas and option replicas is ${replicas}; the bucket is not changed`,
      );
    }
    if (stream.config["storage"] === "memory") {
      this.#warn(`bucket ${name} is kept in memory: a restart of its servers loses ${kept}`);
    }
  }

  /** Without `republish` the watch needs a consumer, which can die unnoticed. Not a reason to fail. */
  async #ensureRepublish(stream: StreamState, signal: AbortSignal): Promise<boolean> {
    if (stream.republish) return true;
    const { bucket, republish, republished, stream: name } = this.#kind;
    const lacks = `bucket ${bucket} does not republish ${republished}, a consumer watches it instead`;
    if (republishesElsewhere(stream.config, republish)) {
      this.#warn(`${lacks}: its republish is used for another purpose`);
      return false;
    }
    const version = serverVersion(this.#monitor.connection);
    if (!isAtLeast(version, REPUBLISH_UPDATE_SINCE)) {
      this.#warn(`${lacks}: nats-server ${version} cannot add republish to an existing stream`);
      return false;
    }
    try {
      const config = { ...stream.config, republish };
      const limits = { timeoutMs: this.#apiTimeoutMs * 2, signal };
      const answer = await callApi(this.#monitor, `STREAM.UPDATE.${name}`, config, limits);
      return this.#parse(answer).republish;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const error = jsToClusterError(thrown, `add republish to stream ${name}`);
      this.#warn(`${lacks}: ${messageOf(error)}`, error);
      return false;
    }
  }

  get #apiTimeoutMs(): number {
    return this.#options.apiTimeoutMs ?? 2000;
  }

  #parse(answer: JsonObject): StreamState {
    const stream = parseStream(answer, this.#kind.republish);
    if (stream !== null) return stream;
    throw new Error(`the answer about stream ${this.#kind.stream} is not stream information`);
  }

  #missing(): ClusterError {
    const { bucket, members, command } = this.#kind;
    const { domain } = this.#monitor;
    const where = domain === null ? "" : ` --domain ${domain}`;
    return new ClusterError(
      "BUCKET_MISSING",
      `bucket ${bucket} does not exist, and this ${members} is not to create it (createBucket is false): an administrator runs "nats-leader ${command}${where}"`,
    );
  }

  #incompatible(problems: readonly string[]): string {
    const { bucket, stream, members } = this.#kind;
    const what = `bucket ${bucket} (stream ${stream}) exists and cannot be used: ${problems.join("; ")}`;
    return `${what}. Change the bucket or the option, or delete the bucket while no ${members} runs`;
  }

  #warn(message: string, error?: Error): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#options.onWarning?.(message, error);
  }
}
