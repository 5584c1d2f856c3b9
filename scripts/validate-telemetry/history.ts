/** The terms that daemons have recorded in NATS: what happened, from another source than the metrics. */
import { cli } from "../validate/support.ts";
import { CLUSTER, type Stage } from "./stage.ts";

/** The node of each epoch. */
export async function recordedTerms(stage: Stage): Promise<ReadonlyMap<number, string>> {
  const servers = stage.servers.urls.join(",");
  const { code, stdout, stderr } = await cli(
    ...["history", "--cluster-id", CLUSTER, "--nats-url", servers, "--last", "1000", "--json"],
  );
  if (code !== 0) throw new Error(`history exits with ${code}: ${stderr}`);
  const { terms } = JSON.parse(stdout) as {
    readonly terms: readonly { readonly epoch: number; readonly nodeId: string }[];
  };
  return new Map(terms.map(({ epoch, nodeId }) => [epoch, nodeId]));
}
