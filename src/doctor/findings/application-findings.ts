/** Whether an application's credentials, its bucket's limits and placement suffice, before it goes live. */
import { type ApplicationFacts, type Facts, percentOf, type Usage } from "../facts.ts";
import type { Finding, Sign } from "./finding.ts";
import { STORAGE_PERCENT } from "./thresholds.ts";

/** Replicas that survive the loss of one server. */
const REPLICAS = 3;

export function applicationFindings(facts: Facts): Sign[] {
  return facts.applications.flatMap((one) => [
    ...permissionFindings(one),
    ...streamFindings(one, facts),
    ...limitFindings(one),
  ]);
}

const whereOf = ({ bucket }: ApplicationFacts): string => `bucket ${bucket}`;

function permissionFindings({ bucket, user, tried }: ApplicationFacts): Finding[] {
  const who = user === null ? "this user" : `user "${user}"`;
  return tried.flatMap(({ subject, purpose, vital, allowed }): Finding[] => {
    if (allowed !== false) return [];
    return [
      {
        severity: vital ? "critical" : "warning",
        code: "permission-missing",
        where: `${who}, bucket ${bucket}`,
        what: `it may not publish ${subject}; the application needs this for ${purpose}`,
        todo: `add to the permissions of ${who}: publish { allow: [${JSON.stringify(subject)}] }`,
      },
    ];
  });
}

function streamFindings(facts: ApplicationFacts, { servers }: Facts): Sign[] {
  const { bucket, stream, problem } = facts;
  const where = whereOf(facts);
  if (problem !== null)
    return [
      {
        severity: "critical",
        code: "application-bucket",
        where,
        what: problem,
        todo: "check that JetStream is available to this account",
      },
    ];
  if (stream === null) return [];
  if (!stream.exists)
    return [
      {
        severity: "critical",
        code: "application-bucket-missing",
        where,
        what: "it does not exist",
        todo: `create it before the application starts: nats kv add ${bucket} --history 1 --replicas 3`,
      },
    ];
  const found: Sign[] = [];
  const regions = [...new Set(servers.flatMap(({ cluster }) => cluster ?? []))].sort();
  const size = Math.max(
    0,
    ...regions.map((name) => servers.filter(({ cluster }) => cluster === name).length),
  );
  if (stream.replicas < REPLICAS && size >= REPLICAS)
    found.push({
      severity: "warning",
      code: "application-replicas",
      where,
      what: `it has ${stream.replicas} of ${REPLICAS} replicas on ${size} servers: the loss of one server can make it unavailable`,
      todo: `nats kv edit ${bucket} --replicas ${REPLICAS}`,
    });
  if (stream.storage === "memory")
    found.push({
      severity: "warning",
      code: "application-memory",
      where,
      what: "it is stored in memory: a restart of all its servers empties it",
      todo: "create it with --storage file, unless its content can be lost",
    });
  if (regions.length > 1 && stream.placement === null)
    found.push({
      severity: "warning",
      code: "application-placement",
      where,
      what: `it has no placement, and the servers form several clusters (${regions.join(", ")}): where it was created is where its first client was connected`,
      todo: `nats kv edit ${bucket} --cluster NAME, with the cluster near the application`,
    });
  const wanted = stream.placement?.cluster ?? "";
  if (wanted !== "" && regions.length > 0 && !regions.includes(wanted))
    found.push({
      severity: "warning",
      code: "application-placement",
      where,
      what: `it is placed in cluster ${wanted}, and no server of that cluster was found`,
      todo: "correct its placement, or start that cluster",
    });
  if (stream.clustered && stream.leader === null)
    found.push({
      severity: "critical",
      code: "application-leaderless",
      where,
      what: "its stream has no leader: it cannot be read or written",
      todo: "more than half of its servers must run",
      aftermath: true,
    });
  for (const { name, offline } of stream.peers)
    if (offline)
      found.push({
        severity: "warning",
        code: "application-peer-offline",
        where,
        what: `its replica on ${name} is offline`,
        todo: `start ${name}`,
        concerns: name,
      });
  return found;
}

function limitFindings(facts: ApplicationFacts): Finding[] {
  const { stream, account, bucket } = facts;
  const where = whereOf(facts);
  const found: Finding[] = [];
  const add = (code: string, what: string, todo: string): void =>
    void found.push({ severity: "warning", code, where, what, todo });
  if (stream?.exists === true) {
    const percent = percentOf(stream.size);
    if (percent !== null && percent > STORAGE_PERCENT)
      add(
        "application-full",
        `it is ${percent.toFixed(1)} % full (more than ${STORAGE_PERCENT} %): writes fail when it is full`,
        `nats kv edit ${bucket} --max-bucket-size BYTES`,
      );
    const usage = stream.storage === "memory" ? account?.memory : account?.storage;
    const short = shortage(stream.size, stream.replicas, usage ?? null);
    if (short !== null)
      add(
        "application-limit",
        `it may grow by ${short.wanted} bytes, replicas included, and its account has ${short.left} bytes left`,
        "raise the account's limit, or lower the bucket's: writes fail when the account is full",
      );
    if (stream.size.limitBytes === null && usage?.limitBytes != null)
      found.push({
        severity: "note",
        code: "application-unlimited",
        where,
        what: "it has no limit of its own: it can use up what its account may store",
        todo: `nats kv edit ${bucket} --max-bucket-size BYTES`,
      });
  }
  const streams = account?.streams;
  if (stream?.exists === false && streams != null && streams.limit !== null && streams.used >= streams.limit)
    add(
      "application-limit",
      `its account has all ${streams.limit} streams that it may have`,
      "raise the account's limit max_streams",
    );
  const consumers = account?.consumers;
  if (consumers != null && consumers.limit !== null && consumers.used >= consumers.limit)
    add(
      "application-limit",
      `its account has all ${consumers.limit} consumers that it may have: no key can be watched`,
      "raise the account's limit max_consumers",
    );
  return found;
}

/** `null`: what the bucket may still store fits into what the account may. An account counts every replica. */
function shortage(
  size: Usage,
  replicas: number,
  account: Usage | null,
): { readonly wanted: number; readonly left: number } | null {
  if (size.limitBytes === null || account === null || account.limitBytes === null) return null;
  const wanted = Math.max(0, size.limitBytes - size.usedBytes) * replicas;
  const left = Math.max(0, account.limitBytes - account.usedBytes);
  return wanted > left ? { wanted, left } : null;
}
