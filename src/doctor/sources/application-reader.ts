/** Reads the bucket of an application with the application's credentials, and tries its permissions. */
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { callApi, isJsError, JsCode, type JsonObject, jsToClusterError } from "../../nats/api/js-api.ts";
import { RequestFailure } from "../../nats/api/request.ts";
import type { ApplicationBucket, ApplicationFacts, Unseen } from "../facts.ts";
import { accountUsage } from "./account-usage.ts";
import { numberIn, objectIn, textIn, textsIn } from "./json.ts";
import { readReplicas } from "./read-bucket.ts";
import { usageOf } from "./read-server.ts";
import { isInboxRefused, tryBucketPermissions } from "./try-permissions.ts";

const PERMISSIONS_CACHED_MS = 60_000;

export interface ApplicationQuery {
  readonly buckets: readonly string[];
  /** The name of the user, for texts. */
  readonly user: string | null;
  readonly readOnly: boolean;
}

export class ApplicationReader {
  readonly #client: ClusterClient;
  readonly #query: ApplicationQuery;
  readonly #tried = new Map<string, { readonly tried: ApplicationFacts["tried"]; readonly at: number }>();

  constructor(client: ClusterClient, query: ApplicationQuery) {
    this.#client = client;
    this.#query = query;
  }

  async read(unseen: Unseen[]): Promise<ApplicationFacts[]> {
    const { buckets, user, readOnly } = this.#query;
    if (buckets.length === 0) return [];
    const account = await this.#account();
    const found: ApplicationFacts[] = [];
    for (const bucket of buckets) {
      const { stream, problem } = await this.#stream(bucket, unseen);
      const tried = await this.#permissions(bucket);
      for (const { subject, allowed } of tried)
        if (allowed === null)
          unseen.push({
            what: `whether this user may publish ${subject}`,
            how: "allow it to publish to $SYS.REQ.USER.INFO: the server (2.10 and later) then reports it; a trial would have an effect",
          });
      found.push({ bucket, user, readOnly, stream, problem, tried, account });
    }
    return found;
  }

  async #account(): Promise<ApplicationFacts["account"]> {
    const { monitor, timeoutMs } = this.#client;
    try {
      return accountLimits(await callApi(monitor, "INFO", "", { timeoutMs }));
    } catch (thrown) {
      if (isInboxRefused(thrown)) throw thrown;
      return null; // that it may not be read is listed already
    }
  }

  async #stream(bucket: string, unseen: Unseen[]): Promise<Pick<ApplicationFacts, "stream" | "problem">> {
    const { monitor, timeoutMs } = this.#client;
    const name = `KV_${bucket}`;
    try {
      const answer = await callApi(monitor, `STREAM.INFO.${name}`, {}, { timeoutMs });
      return { stream: readApplicationBucket(answer), problem: null };
    } catch (thrown) {
      if (isJsError(thrown, JsCode.streamNotFound)) return { stream: MISSING, problem: null };
      if (thrown instanceof RequestFailure && thrown.kind === "denied") {
        unseen.push({
          what: `replicas, limits and placement of bucket ${bucket}`,
          how: "give this user the permissions that the findings name",
        });
        return { stream: null, problem: null };
      }
      return { stream: null, problem: jsToClusterError(thrown, `read stream ${name}`).message };
    }
  }

  /** Cached, since each denied attempt adds a line to the server's log. */
  async #permissions(bucket: string): Promise<ApplicationFacts["tried"]> {
    const known = this.#tried.get(bucket);
    if (known !== undefined && performance.now() - known.at < PERMISSIONS_CACHED_MS) return known.tried;
    const tried = await tryBucketPermissions(this.#client.monitor, bucket, this.#query.readOnly);
    this.#tried.set(bucket, { tried, at: performance.now() });
    return tried;
  }
}

const MISSING: ApplicationBucket = {
  exists: false,
  replicas: 0,
  storage: "",
  size: { usedBytes: 0, limitBytes: null },
  placement: null,
  clustered: false,
  leader: null,
  peers: [],
};

/** @param answer That to `STREAM.INFO`. */
export function readApplicationBucket(answer: JsonObject): ApplicationBucket {
  const config = objectIn(answer, "config");
  const placement = objectIn(config, "placement");
  const cluster = textIn(placement, "cluster") ?? "";
  const tags = textsIn(placement, "tags");
  return {
    exists: true,
    ...readReplicas(answer),
    storage: textIn(config, "storage") ?? "",
    size: usageOf(objectIn(answer, "state"), "bytes", config, "max_bytes") ?? {
      usedBytes: 0,
      limitBytes: null,
    },
    placement: cluster === "" && tags.length === 0 ? null : { cluster, tags },
  };
}

export function accountLimits(info: JsonObject): ApplicationFacts["account"] {
  const usage = accountUsage(info);
  if (usage === null) return null;
  const limits = objectIn(info, "limits");
  const counted = (used: string, limit: string): { used: number; limit: number | null } => {
    const most = numberIn(limits, limit) ?? -1;
    return { used: numberIn(info, used) ?? 0, limit: most < 0 ? null : most };
  };
  return {
    ...usage,
    streams: counted("streams", "max_streams"),
    consumers: counted("consumers", "max_consumers"),
  };
}
