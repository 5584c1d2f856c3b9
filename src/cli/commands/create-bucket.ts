import type { Command } from "commander";
import { DEFAULT_HISTORY_TERMS } from "../../config/file/history.ts";
import type { LoadedConfig } from "../../config/file/load.ts";
import { resolveOptions } from "../../config/resolve.ts";
import { readBucket } from "../../doctor/sources/read-bucket.ts";
import { ClusterError, messageOf } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { newestRecordedEpoch } from "../../manager/history-reader.ts";
import { openHistory } from "../../manager/history-stream.ts";
import { type JsonObject, jsToClusterError } from "../../nats/api/js-api.ts";
import { FIRST_SEQUENCE_SINCE, isAtLeast, serverVersion } from "../../nats/api/server-version.ts";
import { findStream } from "../../nats/api/streams.ts";
import { BucketOpener } from "../../nats/bucket/bucket-opener.ts";
import { leaseBucket } from "../../nats/lease/stream-config.ts";
import { bucketName, historyStream, streamName } from "../../nats/names.ts";
import type { BucketInfo } from "../../runtime/ports.ts";
import { type ClusterFlags, wholeNumber, withCluster, withQueryOptions } from "../options.ts";
import { note, print, printJson } from "../output.ts";

/** As `stream-config.ts` limits it. */
const MAX_FIRST_REVISION = 10 ** 14;

export function createBucket(command: Command): Command {
  return withQueryOptions(command)
    .option(
      "--first-revision <number>",
      "where the revisions of a new bucket begin (default: behind the recorded epochs)",
      wholeNumber(1, MAX_FIRST_REVISION),
    )
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Creates the bucket of the cluster as a node would, and the stream of past terms
unless the configuration disables it. Checks a bucket that exists, and changes
nothing in it but a missing republish. If an earlier bucket was deleted, the new
one begins behind the epochs of the recorded terms, as one that a node creates.
For users with the permissions of "nats-leader permissions administrator"; nodes
then need not create anything.

Example:
  nats-leader create-bucket --config a.json`;

interface Flags extends ClusterFlags {
  readonly firstRevision?: number;
}

async function run(flags: Flags): Promise<void> {
  const done = await withCluster(flags, async (client, loaded) => {
    try {
      return await ensure(client, loaded, flags.firstRevision);
    } catch (thrown) {
      throw jsToClusterError(thrown, `create bucket ${bucketName(client.clusterId)}`);
    }
  });
  const { clusterId, bucket, created, firstRevision, historyCreated } = done;
  if (flags.json === true)
    return printJson({ ok: true, ...done, bucket: { ...bucket, name: bucketName(clusterId) } });
  const replicas = `${bucket.replicas} ${bucket.replicas === 1 ? "replica" : "replicas"}`;
  const begin = firstRevision > 1 ? `, revisions begin at ${firstRevision}` : "";
  print(`bucket ${bucketName(clusterId)} ${created ? "created" : "exists"}, ${replicas}${begin}`);
  if (historyCreated !== null) {
    print(`stream ${historyStream(clusterId)} ${historyCreated ? "created" : "exists"}`);
  }
}

interface Ensured {
  readonly clusterId: string;
  readonly bucket: BucketInfo;
  readonly created: boolean;
  /** As requested; 1 for a bucket that existed. */
  readonly firstRevision: number;
  /** `null`: the configuration disables it. */
  readonly historyCreated: boolean | null;
}

async function ensure(
  client: ClusterClient,
  loaded: LoadedConfig,
  wanted: number | undefined,
): Promise<Ensured> {
  const { clusterId, monitor, timeoutMs } = client;
  const { leaseTtlMs, replicas, interop = "native" } = resolveOptions(loaded.nodeOptions);
  const find = (): Promise<JsonObject | null> =>
    findStream(monitor, streamName(clusterId), { timeoutMs, attempts: 2 });
  const before = await find();
  const opener = new BucketOpener(monitor, leaseBucket({ clusterId, leaseTtlMs, interop }), {
    replicas,
    apiTimeoutMs: timeoutMs,
    onWarning: (message) => note(`note: ${message}`),
  });
  const above = before === null ? await floorOf(client, wanted) : 0;
  if (before !== null && wanted !== undefined)
    note("note: the bucket exists, so --first-revision has no effect");
  // Each of its requests has a time limit.
  const bucket = await opener.open(new AbortController().signal, above);
  if (before !== null) requireStreamLeader(await find(), clusterId);
  const { enabled = true, maxTerms = DEFAULT_HISTORY_TERMS } = loaded.config.history ?? {};
  const recording = enabled ? openHistory(monitor, clusterId, { maxTerms, timeoutMs }) : null;
  const historyCreated = await recording?.catch((thrown: unknown) => {
    throw jsToClusterError(thrown, `create stream ${historyStream(clusterId)}`);
  });
  return {
    clusterId,
    bucket,
    created: before === null,
    firstRevision: above + 1,
    historyCreated: historyCreated ?? null,
  };
}

/**
 * What the revisions of a new bucket must exceed, so that the next epoch does: a node that remembers no term takes it from the bucket,
 * and fences refuse an epoch below that of an earlier bucket.
 */
async function floorOf(client: ClusterClient, wanted: number | undefined): Promise<number> {
  const above = wanted === undefined ? await recordedEpoch(client) : wanted - 1;
  const version = serverVersion(client.monitor.connection);
  if (above === 0 || isAtLeast(version, FIRST_SEQUENCE_SINCE)) return above;
  note(
    `note: nats-server ${version} begins every bucket at revision 1; only a node that has seen epoch ${above} continues above it`,
  );
  return 0;
}

async function recordedEpoch(client: ClusterClient): Promise<number> {
  try {
    return await newestRecordedEpoch(client);
  } catch (thrown) {
    note(
      `note: the bucket begins at revision 1, because past terms cannot be read (${messageOf(thrown)}); if it replaces a deleted one, ` +
        "delete it and pass --first-revision with a number above every epoch that was seen",
    );
    return 0;
  }
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
