/** Findings about the bucket of the lease. */

import { clustersText } from "../../manager/known-clusters.ts";
import { isAtLeast, REPLICATED_CAS_SINCE } from "../../nats/api/server-version.ts";
import { incompatibilities } from "../../nats/lease/stream-config.ts";
import { type BucketFacts, type Facts, percentOf } from "../facts.ts";
import type { Finding, Severity, Sign } from "./finding.ts";
import { LAG, STORAGE_PERCENT } from "./thresholds.ts";

export function bucketFindings(facts: Facts): Sign[] {
  const { bucket, bucketProblem } = facts;
  const where = `cluster ${facts.clusterId}`;
  const unread: Sign[] =
    bucketProblem === null
      ? []
      : [
          {
            ...finder(where)(
              "critical",
              "bucket-unreadable",
              bucketProblem,
              "check that JetStream is enabled and that the bucket's servers run",
            ),
            aftermath: true,
          },
        ];
  if (bucket === null) return unread;
  const find = finder(`bucket ${bucket.stream.replace(/^KV_/, "")}`);
  if (!bucket.exists) return [missingFinding(facts, find)];
  return [
    ...unread,
    ...incompatibilities(bucket.config, facts.clusterId ?? "", facts.leaseTtlMs).map((problem) =>
      find(
        "critical",
        "bucket-incompatible",
        problem,
        "change the bucket or the option, or delete the bucket while no node runs",
      ),
    ),
    ...raftFindings(bucket, find, OF_CLUSTER),
    ...settingFindings(bucket, find, OF_CLUSTER),
    ...replicaFindings(facts, bucket, find, OF_CLUSTER),
  ];
}

/** What the two kinds of bucket hold, and for whom. */
interface Words {
  readonly written: string;
  readonly republished: string;
  readonly members: string;
  readonly lost: string;
}

const OF_CLUSTER: Words = {
  written: "no lease can be written",
  republished: "the lease",
  members: "node",
  lost: "all leadership",
};
const OF_GROUP: Words = {
  written: "no session can be renewed",
  republished: "the group",
  members: "member",
  lost: "the sessions of all members",
};

/** Of the bucket of a group that exists: its raft group, its settings and its replicas. */
export function groupStreamFindings(facts: Facts, bucket: BucketFacts): Sign[] {
  const find = finder(`bucket ${bucket.stream.replace(/^KV_/, "")}`);
  return [
    ...raftFindings(bucket, find, OF_GROUP),
    // A max-age is incompatible with a group.
    ...settingFindings({ ...bucket, maxAgeMs: 0 }, find, OF_GROUP),
    ...replicaFindings(facts, bucket, find, OF_GROUP),
  ];
}

/** Nodes create the bucket when they start. Without any node, the cluster id may be the mistake. */
function missingFinding({ clusterId, nodes, otherClusters }: Facts, find: Find): Finding {
  const running = (nodes ?? []).filter(({ instance }) => instance !== null).map(({ nodeId }) => nodeId);
  const create =
    'an administrator creates it with "nats-leader create-bucket", or the first node that may do so';
  if (nodes === null) return find("warning", "bucket-missing", "it does not exist", create);
  if (running.length > 0) {
    const what = `it does not exist, although nodes run: ${running.join(", ")}`;
    return find("warning", "bucket-missing", what, `${create}; the logs of the nodes have the reason`);
  }
  return find(
    "warning",
    "bucket-missing",
    `it does not exist, and no node of cluster "${clusterId}" answers`,
    `check the cluster id${clustersText(otherClusters)} and the account; for a new cluster, ${create}`,
  );
}

type Find = (severity: Severity, code: string, what: string, todo: string) => Finding;

function finder(where: string): Find {
  return (severity, code, what, todo) => ({ severity, code, where, what, todo });
}

function raftFindings(bucket: BucketFacts, find: Find, words: Words): Sign[] {
  if (!bucket.clustered) return [];
  const found: Sign[] = [];
  if (bucket.leader === null) {
    const leaderless = find(
      "critical",
      "bucket-leaderless",
      `its raft group has no leader: ${words.written}`,
      "more than half of its servers must run and reach each other; a raft election takes a few seconds",
    );
    found.push({ ...leaderless, aftermath: true });
  }
  for (const { name, offline, current, lag } of bucket.peers) {
    if (offline) {
      const todo = `start the server; if it is gone permanently: nats stream cluster peer-remove ${bucket.stream} ${name}`;
      const offlineReplica = find(
        "critical",
        "bucket-peer-offline",
        `its replica on ${name} is offline`,
        todo,
      );
      found.push({ ...offlineReplica, lost: name });
    } else if (lag > LAG) {
      const what = `its replica on ${name} is ${lag} operations behind (more than ${LAG})`;
      found.push({
        ...find("warning", "lag", what, "check the disk and the network of that server"),
        concerns: name,
      });
    } else if (!current) {
      const what = `its replica on ${name} is not current`;
      const todo = "examine it again in a few seconds; if it persists, check whether that server runs";
      found.push({ ...find("warning", "bucket-peer-behind", what, todo), concerns: name });
    }
  }
  return found;
}

function settingFindings(bucket: BucketFacts, find: Find, { republished, members }: Words): Finding[] {
  const found: Finding[] = [];
  if (!bucket.republish) {
    const other = bucket.foreignRepublish ? " (it republishes other subjects)" : "";
    found.push(
      find(
        "warning",
        "no-republish",
        `committed writes of ${republished} are not republished${other}: ${members}s fall back to a consumer, which can be silent for a long time if its server dies`,
        `on servers from 2.10 a ${members} with permission to update the stream adds it at its start; on older servers recreate the bucket while no ${members} runs`,
      ),
    );
  }
  if (bucket.storage === "memory") {
    const what = "it is stored in memory: when its servers stop, revisions and epochs restart";
    const todo = `recreate it with file storage while no ${members} runs; fenced stores keep the largest epoch`;
    found.push(find("warning", "memory-storage", what, todo));
  }
  if (bucket.maxAgeMs > 0) {
    const what = `its max-age is ${bucket.maxAgeMs} ms: the server's wall clock also limits the lease`;
    const todo = "only go-cluster needs this; otherwise set max_age of the stream to 0";
    found.push(find("note", "max-age", what, todo));
  }
  const percent = percentOf(bucket.size);
  if (percent !== null && percent > STORAGE_PERCENT) {
    const what = `it uses ${percent.toFixed(1)} % of its max_bytes (more than ${STORAGE_PERCENT} %)`;
    found.push(find("warning", "bucket-full", what, "raise max_bytes: a full bucket rejects renewals"));
  }
  return found;
}

function replicaFindings(facts: Facts, bucket: BucketFacts, find: Find, words: Words): Finding[] {
  const { replicas, placement } = bucket;
  const found: Finding[] = [];
  const servers = facts.servers.filter(({ jetstream }) => jetstream === true);
  const size = Math.max(servers.length, ...facts.servers.map(({ meta }) => meta?.size ?? 0));
  const old = facts.servers.filter(
    ({ version }) => version !== null && !isAtLeast(version, REPLICATED_CAS_SINCE),
  );
  const names = old.map(({ name, version }) => `${name} (${version})`).join(", ");
  if (replicas < 3 && size >= 3) {
    const have = replicas === 1 ? "one replica" : `${replicas} replicas`;
    const what = `it has ${have} on a cluster of ${size} servers: the loss of one server can end ${words.lost}`;
    const first = old.length === 0 ? "" : `upgrade ${names} to ${REPLICATED_CAS_SINCE} or later; then `;
    const todo = `${first}nats kv edit ${bucket.stream.replace(/^KV_/, "")} --replicas 3`;
    found.push(find("warning", "replicas", what, todo));
  }
  if (replicas > 1 && old.length > 0) {
    const what = `it has ${replicas} replicas, and servers before ${REPLICATED_CAS_SINCE} can let several ${words.members}s win the same write: ${names}`;
    found.push(find("critical", "server-version", what, "upgrade these servers, or use one replica"));
  }
  const cluster = placement?.cluster ?? "";
  const known = new Set(facts.servers.map((server) => server.cluster));
  // With one known cluster it may be that the others are not visible from here.
  if (cluster !== "" && known.size > 1 && !known.has(cluster)) {
    const what = `its placement is cluster ${cluster}, of which no server was found`;
    found.push(
      find("warning", "placement", what, "check that this cluster runs and that its name is correct"),
    );
  }
  return found;
}
