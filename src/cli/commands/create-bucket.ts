import type { Command } from "commander";
import { DEFAULT_HISTORY_TERMS } from "../../config/file/history.ts";
import type { LoadedConfig } from "../../config/file/load.ts";
import { type Replicas, resolveOptions } from "../../config/resolve.ts";
import { readReplicas } from "../../doctor/sources/read-bucket.ts";
import { ClusterError, messageOf } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { commandError } from "../../manager/command-error.ts";
import { newestRecordedEpoch } from "../../manager/history-reader.ts";
import { openHistory } from "../../manager/history-stream.ts";
import type { JsonObject } from "../../nats/api/js-api.ts";
import { FIRST_SEQUENCE_SINCE, isAtLeast, serverVersion } from "../../nats/api/server-version.ts";
import { findStream } from "../../nats/api/streams.ts";
import { type BucketKind, BucketOpener } from "../../nats/bucket/bucket-opener.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { groupBucket } from "../../nats/group/group-bucket.ts";
import { leaseBucket } from "../../nats/lease/stream-config.ts";
import { bucketName, groupBucketName, groupStreamName, historyStream, streamName } from "../../nats/names.ts";
import type { BucketInfo } from "../../runtime/ports.ts";
import {
  type ClusterFlags,
  configOf,
  groupIdOf,
  wholeNumber,
  withCluster,
  withQueryOptions,
  withServers,
} from "../options.ts";
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
    .option("--group <id>", "create the bucket of a group instead", groupIdOf)
    .addHelpText("after", HELP)
    .action(run);
}

const HELP = `
Creates the bucket of the cluster as a node would, and the stream of past terms
unless the configuration disables it. Checks a bucket that exists, and changes
nothing in it but a missing republish. If an earlier bucket was deleted, the new
one begins behind the epochs of the recorded terms, as one that a node creates.
For users with the permissions of "nats-leader permissions administrator"; nodes
then need not create anything. The bucket of a group has no stream of past
terms: if an earlier one was deleted, pass --first-revision with a number above
every epoch that was seen.

Examples:
  nats-leader create-bucket --config a.json
  nats-leader create-bucket --group orders`;

interface Flags extends ClusterFlags {
  readonly firstRevision?: number;
  readonly group?: string;
}

async function run(flags: Flags): Promise<void> {
  if (flags.group !== undefined) return runForGroup(flags.group, flags);
  const done = await withCluster(flags, async (client, loaded) => {
    try {
      return await ensure(client, loaded, flags.firstRevision);
    } catch (thrown) {
      throw commandError(
        client.monitor,
        thrown,
        `create bucket ${bucketName(client.clusterId)}`,
        client,
        "administrator",
      );
    }
  });
  const { clusterId, bucket, created, firstRevision, historyCreated } = done;
  if (flags.json === true)
    return printJson({ ok: true, ...done, bucket: { ...bucket, name: bucketName(clusterId) } });
  print(bucketText(bucketName(clusterId), bucket, created, firstRevision));
  if (historyCreated !== null) {
    print(`stream ${historyStream(clusterId)} ${historyCreated ? "created" : "exists"}`);
  }
}

function bucketText(name: string, { replicas }: BucketInfo, created: boolean, firstRevision: number): string {
  const begin = firstRevision > 1 ? `, revisions begin at ${firstRevision}` : "";
  const count = `${replicas} ${replicas === 1 ? "replica" : "replicas"}`;
  return `bucket ${name} ${created ? "created" : "exists"}, ${count}${begin}`;
}

async function runForGroup(groupId: string, flags: Flags): Promise<void> {
  const settings = [["group.id", "--group", groupId]] as const;
  const { nodeOptions } = configOf(flags, false, { forCluster: false, settings });
  const { replicas } = resolveOptions(nodeOptions);
  const name = groupBucketName(groupId);
  const { bucket, created, firstRevision } = await withServers(flags, async ({ monitor, timeoutMs }) => {
    try {
      const find = (): Promise<JsonObject | null> =>
        findStream(monitor, groupStreamName(groupId), { timeoutMs, attempts: 2 });
      const existed = (await find()) !== null;
      if (existed && flags.firstRevision !== undefined)
        note("note: the bucket exists, so --first-revision has no effect");
      const above = existed ? 0 : floorFor(monitor, (flags.firstRevision ?? 1) - 1);
      const opener = openerOf(monitor, groupBucket(groupId), replicas, timeoutMs);
      // Each of its requests has a time limit.
      const bucket = await opener.open(new AbortController().signal, above);
      if (existed) requireStreamLeader(await find(), name);
      return { bucket, created: !existed, firstRevision: above + 1 };
    } catch (thrown) {
      throw commandError(monitor, thrown, `create bucket ${name}`, { groupId }, "administrator");
    }
  });
  if (flags.json === true)
    return printJson({ ok: true, groupId, bucket: { ...bucket, name }, created, firstRevision });
  print(bucketText(name, bucket, created, firstRevision));
}

function openerOf(
  monitor: ConnectionMonitor,
  kind: BucketKind,
  replicas: Replicas,
  apiTimeoutMs: number,
): BucketOpener {
  const onWarning = (message: string): void => note(`note: ${message}`);
  return new BucketOpener(monitor, kind, { replicas, apiTimeoutMs, onWarning });
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
  const opener = openerOf(monitor, leaseBucket({ clusterId, leaseTtlMs, interop }), replicas, timeoutMs);
  const above = before === null ? await floorOf(client, wanted) : 0;
  if (before !== null && wanted !== undefined)
    note("note: the bucket exists, so --first-revision has no effect");
  // Each of its requests has a time limit.
  const bucket = await opener.open(new AbortController().signal, above);
  if (before !== null) requireStreamLeader(await find(), bucketName(clusterId));
  const { enabled = true, maxTerms = DEFAULT_HISTORY_TERMS } = loaded.config.history ?? {};
  const recording = enabled ? openHistory(monitor, clusterId, { maxTerms, timeoutMs }) : null;
  const historyCreated = await recording?.catch((thrown: unknown) => {
    throw commandError(monitor, thrown, `create stream ${historyStream(clusterId)}`, client, "administrator");
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
  return floorFor(client.monitor, wanted === undefined ? await recordedEpoch(client) : wanted - 1);
}

/** 0 where a server cannot begin elsewhere. */
function floorFor({ connection }: ConnectionMonitor, above: number): number {
  const version = serverVersion(connection);
  if (above === 0 || isAtLeast(version, FIRST_SEQUENCE_SINCE)) return above;
  note(
    `note: nats-server ${version} begins every bucket at revision 1; only one that has seen epoch ${above} continues above it`,
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
function requireStreamLeader(info: JsonObject | null, bucket: string): void {
  const found = info === null ? null : readReplicas(info);
  if (found === null || !found.clustered || found.leader !== null) return;
  throw new ClusterError(
    "JETSTREAM_UNAVAILABLE",
    `bucket ${bucket} exists, but none of its ${found.replicas} replicas leads: nothing can use it; check that a majority of its servers runs ("nats-leader doctor" lists them)`,
    { recoverable: true },
  );
}
