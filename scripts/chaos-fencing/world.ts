/** One server, three nodes, one fault after the other. Several worlds run side by side. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { FencedStream } from "../../src/fencing.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { ChaosNode } from "./chaos-node.ts";
import { BentClock } from "./clock.ts";
import { type FaultName, inflict, possibleFaults } from "./faults.ts";
import { Line } from "./line.ts";
import { STREAM } from "./messages.ts";
import type { Random } from "./random.ts";
import { type RegisterContents, readRegister } from "./register.ts";

const NODES = ["a", "b", "c"];
const QUIET_MS = 20_000;

export interface WorldReport {
  readonly faults: readonly { readonly name: FaultName; readonly atMs: number; readonly epoch: number }[];
  readonly contents: RegisterContents;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly terms: number;
  readonly server: string;
}

export interface WorldOptions {
  /** Takes the next fault of the run; `false`: there were enough. */
  readonly claim: () => boolean;
  readonly random: Random;
  /** Path of libfaketime, or `null`. */
  readonly faketime: string | null;
}

export async function runWorld({ claim, random, faketime }: WorldOptions): Promise<WorldReport> {
  const server = await startNatsServer();
  const dir = mkdtempSync(join(tmpdir(), "nats-leader-chaos-"));
  const nodes: ChaosNode[] = [];
  try {
    await makeRegister(server);
    for (const id of NODES) {
      const clock = faketime === null ? null : new BentClock(faketime, join(dir, id));
      nodes.push(new ChaosNode(id, await Line.open(server.port), clock));
    }
    await Promise.all(nodes.map((node) => node.started));
    for (const node of nodes) node.clock?.bend(0);
    const faults: { name: FaultName; atMs: number; epoch: number }[] = [];
    while (claim()) {
      const leader = await leaderOf(nodes);
      const { epoch } = leader;
      // Its first writes of the term are through, so there is something to come late.
      await pause(random.between(20, 250));
      const name = random.pick(possibleFaults(faketime !== null));
      faults.push({ name, atMs: Date.now(), epoch });
      await inflict(name, { server, leader, random, takenOver: () => writtenSince(nodes, epoch) });
    }
    await leaderOf(nodes);
    await pause(1500); // whatever is still under way arrives
    const outcomes = await sumOutcomes(nodes);
    const terms = nodes.reduce((sum, node) => sum + node.terms, 0);
    for (const node of nodes) await node.stop();
    return { faults, contents: await readRegister(server.url), outcomes, terms, server: server.version };
  } finally {
    await Promise.all(nodes.map(async (node) => Promise.all([node.stop(), node.line.close()])));
    await server.dispose();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function makeRegister(server: NatsServer): Promise<void> {
  const nats = await connect({ servers: server.url });
  const store = await FencedStream.connect(nats, { stream: STREAM, subjects: ["register.>"] });
  store.close();
  await nats.close();
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
