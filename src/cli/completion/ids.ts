/** Ids for completion: of clusters, of groups, and of the nodes and members that answer, quickly or not at all. */
import { ClusterClient } from "../../manager/cluster-client.ts";
import { clusterIdsOf, nodeIdsOf } from "../../manager/cluster-nodes.ts";
import { groupIds, readGroup } from "../../manager/group-client.ts";
import { groupView } from "../../manager/group-view.ts";
import { isId } from "../../nats/identity.ts";
import { type ClusterFlags, configOf, withConnectLimit } from "../options.ts";
import type { IdKind } from "./words.ts";

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
export async function idsFor(kind: IdKind, words: readonly string[]): Promise<string[]> {
  const { clusterId, ...where } = flagsIn(words);
  const isNode = kind === "node-id";
  const flags = isNode && clusterId !== undefined ? { ...where, clusterId } : where;
  const { nodeOptions } = configOf(flags, false, { forCluster: isNode });
  const options = withConnectLimit(nodeOptions, ANSWER_MS);
  const client = await ClusterClient.connect(options, { timeoutMs: ANSWER_MS, limitMs: LIMIT_MS });
  try {
    return await ids(kind, client, words);
  } finally {
    await client.close();
  }
}

function ids(kind: IdKind, client: ClusterClient, words: readonly string[]): Promise<string[]> {
  switch (kind) {
    case "cluster-id":
      return clusterIdsOf(client);
    case "node-id":
      return nodeIdsOf(client);
    case "group-id":
      return groupIds(client);
    case "member-id":
      return memberIdsOf(client, words);
    default:
      return kind satisfies never;
  }
}

/** Of the group that is the first argument: `group <subcommand> <group> ...`. */
async function memberIdsOf(client: ClusterClient, words: readonly string[]): Promise<string[]> {
  const [, , groupId = ""] = words;
  const content = isId(groupId) ? await readGroup(client, groupId) : null;
  return content === null ? [] : groupView(groupId, content).members.map(({ memberId }) => memberId);
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
