/** One server or three, three nodes, one fault after the other. Several worlds run side by side. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { FencedStream } from "../../src/fencing.ts";
import { type NatsServer, startNatsCluster, startNatsServer } from "../../src/testing.ts";
import { ChaosNode } from "./chaos-node.ts";
import { BentClock } from "./clock.ts";
import { type FaultName, inflict } from "./faults.ts";
import { Line } from "./line.ts";
import { STREAM } from "./messages.ts";
import type { Random } from "./random.ts";
import { type RegisterContents, readRegister } from "./register.ts";

const NODES = ["a", "b", "c"];
/** A cluster may be without a leader for a while when one of its servers dies. */
const QUIET_MS = 40_000;

export interface WorldReport {
  readonly faults: readonly { readonly name: FaultName; readonly atMs: number; readonly epoch: number }[];
  readonly contents: RegisterContents;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly terms: number;
  readonly server: string;
}

export interface WorldOptions {
  /** Takes the next fault of the run; `null`: there were enough. */
  readonly claim: () => FaultName | null;
  readonly random: Random;
  /** Path of libfaketime, or `null`. */
  readonly faketime: string | null;
  /** 1: one server. 3: a cluster, a replica on each, and a node on each. */
  readonly replicas: number;
}

export async function runWorld(options: WorldOptions): Promise<WorldReport> {
  const { claim, random, faketime, replicas } = options;
  const cluster = replicas > 1 ? await startNatsCluster({ size: replicas }) : null;
  const servers = cluster?.servers ?? [await startNatsServer()];
  const urls = servers.map((server) => server.url);
  const dir = mkdtempSync(join(tmpdir(), "nats-leader-chaos-"));
  const nodes: ChaosNode[] = [];
  try {
    await makeRegister(urls, replicas);
    for (const [i, id] of NODES.entries()) {
      const own = servers[i % servers.length] as NatsServer;
      const clock = faketime === null ? null : new BentClock(faketime, join(dir, id));
      nodes.push(new ChaosNode(id, await Line.open(own.port), clock));
    }
    await Promise.all(nodes.map((node) => node.started));
    for (const node of nodes) node.clock?.bend(0);
    const faults: { name: FaultName; atMs: number; epoch: number }[] = [];
    for (let name = claim(); name !== null; name = claim()) {
      const leader = await leaderOf(nodes);
      const { epoch } = leader;
      // Its first writes of the term are through, so there is something to come late.
      await pause(random.between(20, 250));
      faults.push({ name, atMs: Date.now(), epoch });
      const server = await victim(servers, urls, random);
      await inflict(name, { server, leader, random, takenOver: () => writtenSince(nodes, epoch) });
    }
    await leaderOf(nodes);
    await pause(1500); // whatever is still under way arrives
    const outcomes = await sumOutcomes(nodes);
    const terms = nodes.reduce((sum, node) => sum + node.terms, 0);
    for (const node of nodes) await node.stop();
    return { faults, contents: await readRegister(urls), outcomes, terms, server: servers[0]?.version ?? "" };
  } finally {
    await Promise.all(nodes.map(async (node) => Promise.all([node.stop(), node.line.close()])));
    await (cluster ?? servers[0])?.dispose();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function makeRegister(servers: string[], replicas: number): Promise<void> {
  const nats = await connect({ servers });
  for (let tries = 0; ; tries++) {
    try {
      const options = { stream: STREAM, subjects: ["register.>"], replicas, timeoutMs: 5000 };
      (await FencedStream.connect(nats, options)).close();
      break;
    } catch (error) {
      if (tries === 20) throw error;
      await pause(250); // a cluster that has just started
    }
  }
  await nats.close();
}

/** Mostly the server that leads the register's stream: the one whose loss hurts. */
async function victim(servers: readonly NatsServer[], urls: string[], random: Random): Promise<NatsServer> {
  const other = random.pick(servers);
  if (servers.length === 1 || random.next() < 0.3) return other;
  const nats = await connect({ servers: urls });
  try {
    const answer = await nats.request(`$JS.API.STREAM.INFO.${STREAM}`, "", { timeout: 2000 });
    const { cluster } = answer.json<{ cluster?: { leader?: string } }>();
    return servers.find((server) => server.name === cluster?.leader) ?? other;
  } catch {
    return other;
  } finally {
    await nats.close();
  }
}

/** The node that leads and writes. */
async function leaderOf(nodes: readonly ChaosNode[]): Promise<ChaosNode> {
  const deadline = performance.now() + QUIET_MS;
  for (;;) {
    const gone = nodes.find((node) => node.ended);
    if (gone !== undefined) throw new Error(`node ${gone.id} has ended by itself`);
    const newest = Math.max(...nodes.map((node) => node.epoch));
    const leader = nodes.find((node) => node.epoch === newest && newest > 0 && node.wroteEpoch === newest);
    if (leader !== undefined) return leader;
    if (performance.now() > deadline) throw new Error(`nobody has led for ${QUIET_MS} ms`);
    await pause(5);
  }
}

/** Resolves when a newer term has written, or after some leases. */
async function writtenSince(nodes: readonly ChaosNode[], epoch: number): Promise<void> {
  const deadline = performance.now() + 4000;
  while (performance.now() < deadline && !nodes.some((node) => node.wroteEpoch > epoch)) await pause(5);
}

async function sumOutcomes(nodes: readonly ChaosNode[]): Promise<Record<string, number>> {
  const sum: Record<string, number> = {};
  for (const outcomes of await Promise.all(nodes.map((node) => node.outcomes()))) {
    for (const [name, count] of Object.entries(outcomes)) sum[name] = (sum[name] ?? 0) + count;
  }
  return sum;
}
