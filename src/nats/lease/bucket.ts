/** Opening the lease's bucket: make it, or check the one that is there and never silently adopt it. */
import { ClusterError, messageOf } from "../../errors.ts";
import type { BucketInfo } from "../../runtime/ports.ts";
import { callApi, isJsError, JsCode, type JsonObject, jsToClusterError } from "../api/js-api.ts";
import { RequestFailure } from "../api/request.ts";
import {
  isAtLeast,
  OLDEST_SERVER,
  REPLICATED_CAS_SINCE,
  REPUBLISH_UPDATE_SINCE,
  serverVersion,
} from "../api/server-version.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { bucketName, streamName } from "../names.ts";
import {
  hasForeignRepublish,
  incompatibilities,
  incompatibleMessage,
  leaseRepublish,
  newStreamConfig,
  parseStreamInfo,
  type StreamState,
} from "./stream-config.ts";

const CLUSTER_REPLICAS = 3;

/** A server drops a question about a stream whose raft group has no leader yet, so the question is put again. */
const INFO_ATTEMPTS = 4;

/** How the bucket is made. */
export interface BucketOptions {
  readonly clusterId: string;
  readonly leaseTtlMs: number;
  /** `"auto"`: 3 in a NATS cluster, 1 on a single server. */
  readonly replicas: number | "auto";
  /** `"go-cluster"`: made with max-age = lease TTL, so that go-cluster's nodes see leases expire. */
  readonly interop: "native" | "go-cluster";
  /** Something worth an operator's attention that stops nothing. */
  readonly onWarning?: (message: string, error?: Error) => void;
  /** Longest wait for one API call. Default 2000; finding or making a bucket may take twice that. */
  readonly apiTimeoutMs?: number;
  /** How long a cluster that lacks peers is asked for 3 replicas before `"auto"` settles for 1. Default 3000. */
  readonly peerGraceMs?: number;
}

/** Opens one cluster's bucket, once or again. Remembers what it has already warned about. */
export class BucketOpener {
  readonly #monitor: ConnectionMonitor;
  readonly #options: BucketOptions;
  readonly #warned = new Set<string>();
  #lackingPeersSince: number | null = null;

  constructor(monitor: ConnectionMonitor, options: BucketOptions) {
    this.#monitor = monitor;
    this.#options = options;
  }

  /** Rejects with a `ClusterError` that says what is wrong and what to do; `recoverable` when trying again may help. */
  async open(signal: AbortSignal, above: number): Promise<BucketInfo> {
    const doing = `open bucket ${bucketName(this.#options.clusterId)}`;
    try {
      const found = await this.#info(signal);
      this.#requireVersion();
      const stream = found ?? (await this.#create(signal, above));
      this.#check(stream);
      const republish = await this.#ensureRepublish(stream, signal);
      return { generation: stream.created, maxAgeMs: stream.maxAgeMs, replicas: stream.replicas, republish };
    } catch (thrown) {
      throw jsToClusterError(thrown, doing);
    }
  }

  /** `null`: there is no such stream. */
  async #info(signal: AbortSignal): Promise<StreamState | null> {
    const { clusterId } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        return this.#parse(await this.#call(`STREAM.INFO.${streamName(clusterId)}`, {}, signal, 0.5));
      } catch (thrown) {
        if (isJsError(thrown, JsCode.streamNotFound)) return null;
        if (!isUnanswered(thrown) || attempt === INFO_ATTEMPTS) throw thrown;
      }
    }
  }

  async #create(signal: AbortSignal, above: number): Promise<StreamState> {
    const { clusterId } = this.#options;
    const replicas = this.#wantedReplicas();
    try {
      return await this.#createWith(replicas, above, signal);
    } catch (thrown) {
      if (isJsError(thrown, JsCode.streamNameExists)) return this.#createdByAnother(signal, thrown);
      if (replicas === 1 || !isJsError(thrown, JsCode.clusterNoPeers, JsCode.replicasNotSupported))
        throw thrown;
      if (this.#options.replicas !== "auto") {
        throw new ClusterError(
          "INVALID_CONFIG",
          `replicas is ${replicas}, and the server refuses: ${thrown.message}; lower it or add servers`,
          { cause: thrown, recoverable: thrown.code === JsCode.clusterNoPeers },
        );
      }
      this.#waitForPeers(thrown, thrown.code === JsCode.replicasNotSupported);
      this.#warn(
        `bucket ${bucketName(clusterId)} gets 1 replica instead of ${replicas}: ${thrown.message}`,
        thrown,
      );
      try {
        return await this.#createWith(1, above, signal);
      } catch (again) {
        if (isJsError(again, JsCode.streamNameExists)) return this.#createdByAnother(signal, again);
        throw again;
      }
    }
  }

  async #createWith(replicas: number, above: number, signal: AbortSignal): Promise<StreamState> {
    const { clusterId, interop, leaseTtlMs } = this.#options;
    const maxAgeMs = interop === "go-cluster" ? leaseTtlMs : 0;
    const config = newStreamConfig(clusterId, replicas, maxAgeMs, above);
    return this.#parse(await this.#call(`STREAM.CREATE.${streamName(clusterId)}`, config, signal, 2));
  }

  /** Another node was faster, with other options. What it made is checked like any bucket that is found. */
  async #createdByAnother(signal: AbortSignal, thrown: unknown): Promise<StreamState> {
    const stream = await this.#info(signal);
    if (stream === null) throw thrown;
    return stream;
  }

  /** A cluster that is still starting lacks peers too, and one replica would be for ever. */
  #waitForPeers(cause: Error, final: boolean): void {
    const now = performance.now();
    this.#lackingPeersSince ??= now;
    if (final || now - this.#lackingPeersSince >= (this.#options.peerGraceMs ?? 3000)) return;
    throw new ClusterError(
      "JETSTREAM_UNAVAILABLE",
      `the NATS cluster can't place ${CLUSTER_REPLICAS} replicas: ${cause.message}; are its servers up?`,
      { cause, recoverable: true },
    );
  }

  #wantedReplicas(): number {
    const { replicas } = this.#options;
    if (replicas !== "auto") {
      if (replicas > 1) this.#requireReplicatedCas(replicas);
      return replicas;
    }
    const { info } = this.#monitor.connection;
    if (info?.cluster === undefined || info.cluster === "") return 1;
    const version = serverVersion(this.#monitor.connection);
    if (isAtLeast(version, REPLICATED_CAS_SINCE)) return CLUSTER_REPLICAS;
    this.#warn(
      `bucket ${bucketName(this.#options.clusterId)} gets 1 replica: on nats-server ${version} a compare-and-set on ` +
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
      `bucket ${bucketName(this.#options.clusterId)} with ${replicas} replicas on nats-server ${version}: a ` +
        `compare-and-set can have several winners there, and so could the election; upgrade to ` +
        `${REPLICATED_CAS_SINCE} or later, or use replicas: 1`,
    );
  }

  #check(stream: StreamState): void {
    const { clusterId, leaseTtlMs, replicas } = this.#options;
    const problems = incompatibilities(stream.config, clusterId, leaseTtlMs);
    if (problems.length > 0) {
      throw new ClusterError("BUCKET_INCOMPATIBLE", incompatibleMessage(clusterId, problems));
    }
    if (stream.replicas > 1) this.#requireReplicatedCas(stream.replicas);
    const name = bucketName(clusterId);
    if (typeof replicas === "number" && replicas !== stream.replicas) {
      this.#warn(
        `bucket ${name} exists with ${stream.replicas} replicas, replicas is ${replicas}; it is left as it is`,
      );
    }
    if (stream.config["storage"] === "memory") {
      this.#warn(
        `bucket ${name} is kept in memory: a restart of its servers loses the lease and every epoch`,
      );
    }
  }

  /** Without it the watch needs a consumer, which can die unnoticed; so it is worth one try, and no failure. */
  async #ensureRepublish(stream: StreamState, signal: AbortSignal): Promise<boolean> {
    if (stream.republish) return true;
    const { clusterId } = this.#options;
    const lacks = `bucket ${bucketName(clusterId)} has no republish of the lease, a consumer watches it instead`;
    if (hasForeignRepublish(stream.config, clusterId)) {
      this.#warn(`${lacks}: its republish is used for something else`);
      return false;
    }
    const version = serverVersion(this.#monitor.connection);
    if (!isAtLeast(version, REPUBLISH_UPDATE_SINCE)) {
      this.#warn(`${lacks}: nats-server ${version} can't add one to an existing stream`);
      return false;
    }
    try {
      const config = { ...stream.config, republish: leaseRepublish(clusterId) };
      return this.#parse(await this.#call(`STREAM.UPDATE.${streamName(clusterId)}`, config, signal, 2))
        .republish;
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      const error = jsToClusterError(thrown, `add republish to stream ${streamName(clusterId)}`);
      this.#warn(`${lacks}: ${messageOf(error)}`, error);
      return false;
    }
  }

  async #call(name: string, body: unknown, signal: AbortSignal, patience = 1): Promise<JsonObject> {
    const timeoutMs = (this.#options.apiTimeoutMs ?? 2000) * patience;
    return callApi(this.#monitor, name, body, { timeoutMs, signal });
  }

  #parse(answer: JsonObject): StreamState {
    const stream = parseStreamInfo(answer, this.#options.clusterId);
    if (stream !== null) return stream;
    throw new Error(
      `the answer about stream ${streamName(this.#options.clusterId)} is not stream information`,
    );
  }

  #warn(message: string, error?: Error): void {
    if (this.#warned.has(message)) return;
    this.#warned.add(message);
    this.#options.onWarning?.(message, error);
  }
}

function isUnanswered(thrown: unknown): boolean {
  return thrown instanceof RequestFailure && thrown.kind === "timeout";
}
