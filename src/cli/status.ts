import type { NatsConnection } from "@nats-io/transport-node";
import { Command } from "commander";
import type { NodeStatus } from "../backend.ts";
import type { LeaseEntry } from "../election/types.ts";
import { ClusterError } from "../errors.ts";
import { parseObject } from "../nats/js-api.ts";
import { NatsLeaseStore } from "../nats/lease-store.ts";
import { statusSubject } from "../nats/names.ts";
import { openSession } from "../nats/session.ts";
import { type ConnectionFlags, timeoutOf, withConnection, withNats } from "./connection-options.ts";

interface Status {
  readonly clusterId: string;
  /** Node id of the record in the bucket, which may have run out. */
  readonly leader: string | null;
  readonly epoch: number | null;
  readonly acquiredAt: string | null;
  /** What the leader itself says; `null` when it does not answer. */
  readonly node: NodeStatus | null;
}

export function status(): Command {
  return withConnection(new Command("status"))
    .argument("<clusterId>")
    .description("who leads: the record in the bucket, and what that node says")
    .option("--json", "print JSON")
    .exitOverride()
    .action(async (clusterId: string, flags: ConnectionFlags & { json?: boolean }) => {
      const found = await withNats(clusterId, flags, (link) =>
        read(clusterId, link.connection, timeoutOf(flags)),
      );
      process.stdout.write(flags.json === true ? `${JSON.stringify(found)}\n` : describe(found));
      if (found.leader === null) process.exitCode = 3;
    });
}

async function read(clusterId: string, connection: NatsConnection, timeoutMs: number): Promise<Status> {
  const entry = await readLease(clusterId, connection, timeoutMs);
  const record = entry?.kind === "record" ? entry.record : null;
  return {
    clusterId,
    leader: record?.nodeId ?? null,
    epoch: record?.epoch ?? (entry?.kind === "released" ? entry.epoch : null),
    acquiredAt: record === null ? null : new Date(record.acquiredAt).toISOString(),
    node: record === null ? null : await ask(clusterId, record.nodeId, connection, timeoutMs),
  };
}

async function readLease(
  clusterId: string,
  connection: NatsConnection,
  timeoutMs: number,
): Promise<LeaseEntry | null> {
  const session = openSession(connection);
  try {
    const store = new NatsLeaseStore(session.monitor, {
      clusterId,
      leaseTtlMs: timeoutMs,
      replicas: "auto",
      interop: "native",
    });
    const outcome = await store.read(timeoutMs);
    if (outcome.kind === "snapshot") return outcome.snapshot.entry;
    if (outcome.kind === "failed") throw outcome.error;
    throw new ClusterError(
      "BUCKET_MISSING",
      `there is no cluster "${clusterId}" here: its bucket does not exist`,
    );
  } finally {
    await session.release();
  }
}

async function ask(
  clusterId: string,
  nodeId: string,
  connection: NatsConnection,
  timeoutMs: number,
): Promise<NodeStatus | null> {
  try {
    const answer = await connection.request(statusSubject(clusterId, nodeId), undefined, {
      timeout: timeoutMs,
    });
    return parseObject(answer.data) as NodeStatus | null;
  } catch {
    return null;
  }
}

function describe(found: Status): string {
  if (found.leader === null) return `cluster ${found.clusterId}: nobody leads\n`;
  const { node } = found;
  const said =
    node === null
      ? "does not answer; its lease may have run out"
      : `${node.state}${node.held ? "" : ", not held"}, up ${Math.round(node.uptimeMs / 1000)} s`;
  return `cluster ${found.clusterId}: ${found.leader} leads, epoch ${found.epoch}, since ${found.acquiredAt} (${said})\n`;
}
