import type { Command } from "commander";
import { DEFAULT_HISTORY_TERMS } from "../../config/file/history.ts";
import type { LoadedConfig } from "../../config/file/load.ts";
import { resolveOptions } from "../../config/resolve.ts";
import { readBucket } from "../../doctor/sources/read-bucket.ts";
import { ClusterError } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { openHistory } from "../../manager/history-stream.ts";
import { type JsonObject, jsToClusterError } from "../../nats/api/js-api.ts";
import { findStream } from "../../nats/api/streams.ts";
import { BucketOpener } from "../../nats/lease/bucket.ts";
import { bucketName, historyStream, streamName } from "../../nats/names.ts";
import type { BucketInfo } from "../../runtime/ports.ts";
import { type ClusterFlags, withCluster, withQueryOptions } from "../options.ts";
import { note, print, printJson } from "../output.ts";

export function createBucket(command: Command): Command {
  return withQueryOptions(command).addHelpText("after", HELP).action(run);
}

const HELP = `
Creates the bucket of the cluster as a node would, and the stream of past terms
unless the configuration disables it. Checks a bucket that exists, and changes
nothing in it but a missing republish. For users with the permissions of
"nats-leader permissions administrator"; nodes then need not create anything.

Example:
  nats-leader create-bucket --config a.json`;

async function run(flags: ClusterFlags): Promise<void> {
  const done = await withCluster(flags, async (client, loaded) => {
    try {
      return await ensure(client, loaded);
    } catch (thrown) {
      throw jsToClusterError(thrown, `create bucket ${bucketName(client.clusterId)}`);
    }
  });
  const { clusterId, bucket, created, historyCreated } = done;
  if (flags.json === true)
    return printJson({ ok: true, ...done, bucket: { ...bucket, name: bucketName(clusterId) } });
  const replicas = `${bucket.replicas} ${bucket.replicas === 1 ? "replica" : "replicas"}`;
  print(`bucket ${bucketName(clusterId)} ${created ? "created" : "exists"}, ${replicas}`);
  if (historyCreated !== null) {
    print(`stream ${historyStream(clusterId)} ${historyCreated ? "created" : "exists"}`);
  }
}

interface Ensured {
  readonly clusterId: string;
  readonly bucket: BucketInfo;
  readonly created: boolean;
  /** `null`: the configuration disables it. */
  readonly historyCreated: boolean | null;
}

async function ensure(
  { clusterId, monitor, timeoutMs }: ClusterClient,
  loaded: LoadedConfig,
): Promise<Ensured> {
  const { leaseTtlMs, replicas, interop = "native" } = resolveOptions(loaded.nodeOptions);
  const find = (): Promise<JsonObject | null> =>
    findStream(monitor, streamName(clusterId), { timeoutMs, attempts: 2 });
  const before = await find();
  const opener = new BucketOpener(monitor, {
    clusterId,
    leaseTtlMs,
    replicas,
    interop,
    apiTimeoutMs: timeoutMs,
    onWarning: (message) => note(`note: ${message}`),
  });
  // Each of its requests has a time limit.
  const bucket = await opener.open(new AbortController().signal, 0);
  if (before !== null) requireStreamLeader(await find(), clusterId);
  const { enabled = true, maxTerms = DEFAULT_HISTORY_TERMS } = loaded.config.history ?? {};
  const recording = enabled ? openHistory(monitor, clusterId, { maxTerms, timeoutMs }) : null;
  const historyCreated = await recording?.catch((thrown: unknown) => {
    throw jsToClusterError(thrown, `create stream ${historyStream(clusterId)}`);
  });
  return { clusterId, bucket, created: before === null, historyCreated: historyCreated ?? null };
}

/** Any replica sends the configuration of a stream, also without a majority, and then no node can write to it. */
function requireStreamLeader(info: JsonObject | null, clusterId: string): void {
  const found = info === null ? null : readBucket(info, clusterId);
  if (found === null || !found.clustered || found.leader !== null) return;
  throw new ClusterError(
    "JETSTREAM_UNAVAILABLE",
    `bucket ${bucketName(clusterId)} exists, but none of its ${found.replicas} replicas leads: no node can use it; check that a majority of its servers runs ("nats-leader doctor" lists them)`,
    { recoverable: true },
  );
}
