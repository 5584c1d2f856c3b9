/** What is wrong with the bucket, and who leads by it. */

import { isAtLeast, REPLICATED_CAS_SINCE } from "../../nats/api/server-version.ts";
import { incompatibilities } from "../../nats/lease/stream-config.ts";
import { type BucketFacts, type Facts, percentOf } from "../facts.ts";
import type { Finding, Severity, Sign } from "./finding.ts";
import { LAG, STORAGE_PERCENT } from "./thresholds.ts";

export function bucketFindings(facts: Facts): Sign[] {
  const { bucket, bucketProblem } = facts;
  const where = `cluster ${facts.clusterId}`;
  const unread: Finding[] =
    bucketProblem === null
      ? []
      : [
          finder(where)(
            "critical",
            "bucket-unreadable",
            bucketProblem,
            "JetStream must be on, and the bucket's servers up",
          ),
        ];
  if (bucket === null) return unread;
  const find = finder(`bucket ${bucket.stream.replace(/^KV_/, "")}`);
  if (!bucket.exists) {
    return [find("note", "bucket-missing", "there is none yet", "the first node that may make it does")];
  }
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
    ...groupFindings(bucket, find),
    ...settingFindings(bucket, find),
    ...replicaFindings(facts, bucket, find),
  ];
}

type Find = (severity: Severity, code: string, what: string, todo: string) => Finding;

function finder(where: string): Find {
  return (severity, code, what, todo) => ({ severity, code, where, what, todo });
}

function groupFindings(bucket: BucketFacts, find: Find): Sign[] {
  if (!bucket.clustered) return [];
  const found: Sign[] = [];
  if (bucket.leader === null) {
    found.push(
      find(
        "critical",
        "bucket-leaderless",
        "no server leads it: no lease can be written",
        "more than half of its servers must run and reach each other; an election takes some seconds",
      ),
    );
  }
  for (const { name, offline, current, lag } of bucket.peers) {
    if (offline) {
      const todo = "start it; if it is gone for good, `nats stream cluster peer-remove` it";
      const offlineCopy = find("critical", "bucket-peer-offline", `its copy on ${name} is offline`, todo);
      found.push({ ...offlineCopy, lost: name });
    } else if (lag > LAG) {
      const what = `its copy on ${name} is ${lag} operations behind (more than ${LAG})`;
      found.push(find("warning", "lag", what, "is that server's disk or network slow?"));
    } else if (!current) {
      const what = `its copy on ${name} is not current`;
      found.push(find("warning", "bucket-peer-behind", what, "look again in some seconds"));
    }
  }
  return found;
}

function settingFindings(bucket: BucketFacts, find: Find): Finding[] {
  const found: Finding[] = [];
  if (!bucket.republish) {
    const other = bucket.foreignRepublish ? " (it republishes something else)" : "";
    found.push(
      find(
        "warning",
        "no-republish",
        `committed writes of the lease are not republished${other}: nodes fall back to a consumer, which can be silent for long when its server dies`,
        "servers from 2.10 on: a node that may update the stream adds it when it starts; older ones: make the bucket anew while no node runs",
      ),
    );
  }
  if (bucket.storage === "memory") {
    const what = "it is kept in memory: when its servers stop, revisions and epochs start again";
    const todo = "make it anew with file storage while no node runs; fenced stores keep the largest epoch";
    found.push(find("warning", "memory-storage", what, todo));
  }
  if (bucket.maxAgeMs > 0) {
    const what = `its max-age is ${bucket.maxAgeMs} ms: the server's wall clock also decides when the lease ends`;
    const todo = "only go-cluster needs that; else set the stream's max_age to 0";
    found.push(find("note", "max-age", what, todo));
  }
  const percent = percentOf(bucket.size);
  if (percent !== null && percent > STORAGE_PERCENT) {
    const what = `it is filled to ${percent.toFixed(1)} % of its max_bytes (more than ${STORAGE_PERCENT} %)`;
    found.push(find("warning", "bucket-full", what, "raise max_bytes: a full bucket takes no renewal"));
  }
  return found;
}

function replicaFindings(facts: Facts, bucket: BucketFacts, find: Find): Finding[] {
  const { replicas, placement } = bucket;
  const found: Finding[] = [];
  const servers = facts.servers.filter(({ jetstream }) => jetstream === true);
  const size = Math.max(servers.length, ...facts.servers.map(({ meta }) => meta?.size ?? 0));
  const old = facts.servers.filter(
    ({ version }) => version !== null && !isAtLeast(version, REPLICATED_CAS_SINCE),
  );
  const who = old.map(({ name, version }) => `${name} (${version})`).join(", ");
  if (replicas < 3 && size >= 3) {
    const have = replicas === 1 ? "one copy" : `${replicas} copies`;
    const what = `it has ${have}, and the cluster ${size} servers: the loss of one can end all leadership`;
    const first = old.length === 0 ? "" : `upgrade ${who} to ${REPLICATED_CAS_SINCE} or later; then `;
    const todo = `${first}nats stream edit ${bucket.stream} --replicas 3`;
    found.push(find("warning", "replicas", what, todo));
  }
  if (replicas > 1 && old.length > 0) {
    const what = `it has ${replicas} copies, and servers before ${REPLICATED_CAS_SINCE} can let several nodes win: ${who}`;
    found.push(find("critical", "server-version", what, "upgrade these servers, or use one copy"));
  }
  const cluster = placement?.cluster ?? "";
  const known = new Set(facts.servers.map((server) => server.cluster));
  // Only who has seen more than one cluster can miss one.
  if (cluster !== "" && known.size > 1 && !known.has(cluster)) {
    const what = `it is to be placed in cluster ${cluster}, of which no server was seen`;
    found.push(find("warning", "placement", what, "is that cluster up, and is its name right?"));
  }
  return found;
}
