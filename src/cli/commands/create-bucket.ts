import type { Command } from "commander";
import { DEFAULT_HISTORY_TERMS } from "../../config/file/history.ts";
import { resolveOptions } from "../../config/resolve.ts";
import { openHistory } from "../../manager/history-stream.ts";
import { findStream } from "../../nats/api/streams.ts";
import { BucketOpener } from "../../nats/lease/bucket.ts";
import { bucketName, historyStream, streamName } from "../../nats/names.ts";
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
  const done = await withCluster(flags, async ({ clusterId, monitor, timeoutMs }, loaded) => {
    const { leaseTtlMs, replicas, interop = "native" } = resolveOptions(loaded.nodeOptions);
    const existed = await findStream(monitor, streamName(clusterId), { timeoutMs, attempts: 2 });
    const opener = new BucketOpener(monitor, {
      clusterId,
      leaseTtlMs,
      replicas,
      interop,
      onWarning: (message) => note(`note: ${message}`),
    });
    const bucket = await opener.open(AbortSignal.timeout(60_000), 0);
    const { enabled = true, maxTerms = DEFAULT_HISTORY_TERMS } = loaded.config.history ?? {};
    const historyCreated = enabled ? await openHistory(monitor, clusterId, { maxTerms }) : null;
    return { clusterId, bucket, created: existed === null, historyCreated };
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
