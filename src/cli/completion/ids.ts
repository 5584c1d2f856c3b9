/** Ids for completion: of the clusters and nodes that answer, quickly or not at all. */
import { ClusterClient } from "../../manager/cluster-client.ts";
import { clusterIdsOf, nodeIdsOf } from "../../manager/cluster-nodes.ts";
import { type ClusterFlags, configOf, withConnectLimit } from "../options.ts";

const ANSWER_MS = 400;
/** A longer pause is felt at the prompt. */
const LIMIT_MS = 1_000;

const OPTIONS: Readonly<Record<string, keyof ClusterFlags>> = {
  "-c": "config",
  "--config": "config",
  "--cluster-id": "clusterId",
  "-s": "natsUrl",
  "--nats-url": "natsUrl",
  "--servers": "servers",
  "--creds": "creds",
};

/** @param words the command line so far, without the name of the program. */
export async function idsFor(kind: "cluster-id" | "node-id", words: readonly string[]): Promise<string[]> {
  const { clusterId, ...where } = flagsIn(words);
  const isNode = kind === "node-id";
  const flags = isNode && clusterId !== undefined ? { ...where, clusterId } : where;
  const { nodeOptions } = configOf(flags, false, { forCluster: isNode });
  const options = withConnectLimit(nodeOptions, ANSWER_MS);
  const client = await ClusterClient.connect(options, { timeoutMs: ANSWER_MS, limitMs: LIMIT_MS });
  try {
    return await (kind === "cluster-id" ? clusterIdsOf(client) : nodeIdsOf(client));
  } finally {
    await client.close();
  }
}

/** The options that say where to ask. The last word is being typed. */
function flagsIn(words: readonly string[]): ClusterFlags {
  const found: Record<string, string> = {};
  const end = words.includes("--") ? words.indexOf("--") : words.length - 1;
  for (const [index, word] of words.slice(0, end).entries()) {
    const [name = "", ...value] = word.split("=");
    const option = OPTIONS[name];
    if (option === undefined) continue;
    // bash passes "--option", "=" and the value.
    const after = words[index + 1] === "=" ? words[index + 2] : words[index + 1];
    const text = value.length > 0 ? value.join("=") : after;
    if (text !== undefined && text !== "") found[option] = text;
  }
  return found;
}
