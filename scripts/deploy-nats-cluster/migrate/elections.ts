/** Finds elections among the streams; an election must not be copied while its nodes run. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { LeaseEntry } from "../../../src/election/types.ts";
import { messageOf } from "../../../src/errors.ts";
import { parseObject } from "../../../src/nats/api/js-api.ts";
import { RequestFailure } from "../../../src/nats/api/request.ts";
import { answersTo } from "../../../src/nats/api/request-many.ts";
import { parseStoredMessage } from "../../../src/nats/api/stored-message.ts";
import { decodeStored } from "../../../src/nats/lease/record-codec.ts";
import { leaseSubject, serviceName, streamName } from "../../../src/nats/names.ts";
import { DeployError } from "../errors.ts";
import { ApiRefusal, call, objectOf } from "./api.ts";

/** How long to wait for the answers of all nodes together. */
const ANSWERS_MS = 1000;
const NO_MESSAGE = 10037;
/** TTL of a record without one: go-cluster's default. */
const DEFAULT_TTL_MS = 10_000;

/** Nodes treat an unreadable record as a lease that has to expire. */
const UNKNOWN_HOLDER = { by: "unknown", ttlMs: DEFAULT_TTL_MS };

const [PREFIX = ""] = streamName("\0").split("\0");

export interface Election {
  readonly clusterId: string;
  /** The node and TTL of the record; null if the lease was released or does not exist. */
  readonly held: { readonly by: string; readonly ttlMs: number } | null;
}

export async function electionsAmong(nats: NatsConnection, streams: readonly string[]): Promise<Election[]> {
  const ids = streams.filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length));
  return Promise.all(ids.map(async (clusterId) => ({ clusterId, held: await holderOf(nats, clusterId) })));
}

async function holderOf(nats: NatsConnection, clusterId: string): Promise<Election["held"]> {
  const subject = `$JS.API.STREAM.MSG.GET.${streamName(clusterId)}`;
  try {
    const stored = parseStoredMessage(await call(nats, subject, { last_by_subj: leaseSubject(clusterId) }));
    return stored === null ? UNKNOWN_HOLDER : heldBy(decodeStored(stored));
  } catch (error) {
    if (error instanceof ApiRefusal && error.code === NO_MESSAGE) return null;
    throw error;
  }
}

function heldBy(entry: LeaseEntry): Election["held"] {
  if (entry.kind === "garbage") return UNKNOWN_HOLDER;
  if (entry.kind !== "record") return null;
  return { by: entry.record.nodeId, ttlMs: entry.record.ttlMs ?? DEFAULT_TTL_MS };
}

/** Rejects if nodes of these elections answer. */
export async function refuseRunningNodes(
  nats: NatsConnection,
  elections: readonly Election[],
): Promise<void> {
  const running = await Promise.all(
    elections.map(async ({ clusterId }) => [clusterId, await nodesOf(nats, clusterId)] as const),
  );
  const some = running.filter(([, nodes]) => nodes.length > 0);
  if (some.length === 0) return;
  const text = some.map(([clusterId, nodes]) => `of cluster ${clusterId}: ${nodes.join(", ")}`).join("; ");
  throw new DeployError(
    `nodes run at the source, ${text}. Stop them first: copying the lease of a running leader would create a second lease. When you start them at the new cluster, they continue with a larger epoch`,
  );
}

async function nodesOf(nats: NatsConnection, clusterId: string): Promise<string[]> {
  const subject = `$SRV.PING.${serviceName(clusterId)}`;
  const nodes = new Set<string>();
  try {
    for await (const body of answersTo(nats, subject, "", { timeoutMs: ANSWERS_MS, stallMs: ANSWERS_MS })) {
      const answer = parseObject(body);
      if (answer !== null) nodes.add(String(objectOf(answer["metadata"])["node"] ?? answer["id"]));
    }
  } catch (thrown) {
    if (thrown instanceof RequestFailure && thrown.kind === "no-responders") return [];
    throw new DeployError(`${subject} at ${nats.getServer()}: ${messageOf(thrown)}`, { cause: thrown });
  }
  return [...nodes].sort();
}
