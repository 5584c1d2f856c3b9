/** One run of the benchmark: throughput in pairs of a bare and a group round, then latency at half load, then kills. */
import { loadavg } from "node:os";
import type { NatsConnection } from "@nats-io/transport-node";
import { startPostgres } from "../../examples/singleton-writer/private-postgres.ts";
import { dial } from "../../src/bench/dial.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { percentile, round, type Summary, summarize } from "../../src/bench/stats.ts";
import type { CrashDetection } from "../../src/election/types.ts";
import { startNatsServer } from "../../src/testing.ts";
import { type Account, prepareSink } from "./accounts.ts";
import { Crew } from "./crew.ts";
import { type First, MESSAGE_BYTES, type SinkKind, type SinkPlace, STREAM, subjectOf } from "./messages.ts";

const PRODUCER = "producer";

export interface BridgeBenchOptions {
  readonly instances: number;
  readonly partitions: number;
  readonly messages: number;
  readonly rounds: number;
  readonly kills: number;
  readonly seconds: number;
  readonly perSecond: number | null;
  readonly sink: SinkKind;
  readonly crashDetection: CrashDetection;
  readonly serverVersion: string | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

/** The output of `--json`; main.ts describes the fields. */
export interface BridgeBenchReport extends Account {
  readonly instances: number;
  readonly partitions: number;
  readonly messages: number;
  readonly messageBytes: number;
  readonly sink: SinkKind;
  readonly crashDetection: CrashDetection;
  readonly server: string;
  readonly messagesPerSecond: number;
  readonly bareMessagesPerSecond: number;
  readonly ratio: number;
  readonly roundsPerSecond: readonly { readonly group: number; readonly bare: number }[];
  readonly pacePerSecond: number;
  readonly p99LatencyMs: number;
  readonly latencyMs: Summary;
  readonly failoverMs: number;
  readonly failoversMs: Summary & { readonly samples: number };
  readonly failoverStepsMs: {
    readonly owned: number;
    readonly taken: number;
    readonly opened: number;
    readonly stored: number;
  };
  readonly published: number;
  readonly load: readonly [before: number, after: number];
}

/** True if every message that was published is stored once, and no former owner stored one. */
export function isSound(report: BridgeBenchReport): boolean {
  const { published, stored, lost, duplicatesAccepted, staleAccepted } = report;
  return stored === published && lost === 0 && duplicatesAccepted === 0 && staleAccepted === 0;
}

export async function measureBridge(options: BridgeBenchOptions): Promise<BridgeBenchReport> {
  const { instances, partitions, messages, sink, crashDetection, serverVersion, signal, onProgress } =
    options;
  const [loadBefore = 0] = loadavg();
  await using server = await startNatsServer({
    signal,
    onProgress,
    ...(serverVersion === undefined ? {} : { version: serverVersion }),
  });
  await using postgres = sink === "postgres" ? await startPostgres() : null;
  const connection = await dial([server.url], signal, { name: "bench" });
  try {
    await api(connection, `STREAM.CREATE.${STREAM}`, { name: STREAM, subjects: [subjectOf("*", ">")] });
    const place = (name: string): SinkPlace => {
      const at = { kind: sink, name, servers: [server.url] };
      if (postgres === null) return at;
      const { host, port, user, database } = postgres;
      return { ...at, database: { host, port, user, database } };
    };
    await using producer = new Crew(signal);
    await producer.add(PRODUCER, { role: "producer", servers: [server.url], partitions });
    let published = await producer.publish(PRODUCER, { do: "publish", count: messages });
    onProgress(`${messages} messages published`);
    const world: World = { ...options, connection, servers: [server.url], place };
    const pairs: { group: number; bare: number }[] = [];
    for (let number = 1; number < options.rounds; number++) pairs.push(await runPair(world, number));
    // The last group goes on.
    const name = `group_${options.rounds}`;
    const bare = await runBare(world, options.rounds);
    const count = await prepareSink(connection, place(name));
    await using crew = new Crew(signal);
    pairs.push({ group: await runGroup(world, crew, name), bare });
    for (const [index, pair] of pairs.entries()) {
      onProgress(`round ${index + 1}: group ${Math.round(pair.group)}/s, bare ${Math.round(pair.bare)}/s`);
    }
    const median = (of: (pair: { group: number; bare: number }) => number): number =>
      percentile(pairs.map(of), 50);
    const pace = Math.floor(options.perSecond ?? median(({ group }) => group) / 2);
    await crew.takeLatencies();
    producer.send(PRODUCER, { do: "pace", perSecond: pace });
    await pause(options.seconds * 1_000, signal);
    const latencies = await crew.takeLatencies();
    onProgress(`latency at ${pace}/s: p99 ${percentileOf(latencies, 99)} ms`);
    const failovers: Failover[] = [];
    for (let number = 1; number <= options.kills; number++) {
      const found = await killOne(world, crew, name, number);
      onProgress(
        `kill ${number}/${options.kills}: ${found.map(({ storedMs }) => round(storedMs)).join(", ")} ms`,
      );
      failovers.push(...found);
    }
    const stored = failovers.map(({ storedMs }) => storedMs);
    const steps = (of: (failover: Failover) => number): number => round(percentile(failovers.map(of), 50));
    published = await producer.publish(PRODUCER, { do: "pause" });
    const total = published.reduce((sum, each) => sum + each, 0);
    const account = await settled(count, total, crew);
    const [loadAfter = 0] = loadavg();
    return {
      instances,
      partitions,
      messages,
      messageBytes: MESSAGE_BYTES,
      sink,
      crashDetection,
      server: server.version,
      messagesPerSecond: Math.round(median(({ group }) => group)),
      bareMessagesPerSecond: Math.round(median((pair) => pair.bare)),
      ratio: round(median((pair) => pair.group / pair.bare)),
      roundsPerSecond: pairs.map((pair) => ({ group: Math.round(pair.group), bare: Math.round(pair.bare) })),
      pacePerSecond: pace,
      p99LatencyMs: percentileOf(latencies, 99),
      latencyMs: {
        p50: percentileOf(latencies, 50),
        p90: percentileOf(latencies, 90),
        p99: percentileOf(latencies, 99),
        max: percentileOf(latencies, 100),
      },
      failoverMs: round(percentile(stored, 50)),
      failoversMs: { ...summarize(stored), samples: stored.length },
      failoverStepsMs: {
        owned: steps(({ ownedMs }) => ownedMs),
        taken: steps(({ takenMs }) => takenMs),
        opened: steps(({ openedMs }) => openedMs),
        stored: steps(({ storedMs }) => storedMs),
      },
      published: total,
      ...account,
      load: [loadBefore, loadAfter],
    };
  } finally {
    await connection.close();
  }
}

interface World extends BridgeBenchOptions {
  readonly connection: NatsConnection;
  readonly servers: readonly string[];
  readonly place: (name: string) => SinkPlace;
}

async function runPair(world: World, number: number): Promise<{ group: number; bare: number }> {
  const bare = await runBare(world, number);
  const name = `group_${number}`;
  await prepareSink(world.connection, world.place(name));
  await using crew = new Crew(world.signal);
  return { group: await runGroup(world, crew, name), bare };
}

/** Messages per second that the instances store, from the command to begin until all messages of the stream are stored. */
async function runGroup(world: World, crew: Crew, name: string): Promise<number> {
  const { instances, partitions } = world;
  await Promise.all(
    Array.from({ length: instances }, (_, index) => addInstance(world, crew, name, `i${index}`)),
  );
  await crew.untilShared(partitions);
  return await drain(world, crew);
}

async function addInstance(world: World, crew: Crew, name: string, memberId: string): Promise<void> {
  const { servers, partitions, crashDetection, place } = world;
  await crew.add(memberId, {
    role: "instance",
    groupId: name,
    memberId,
    servers,
    partitions,
    crashDetection,
    sink: place(name),
  });
}

/** The same with bare consumers, which have the same partitions each. */
async function runBare(world: World, number: number): Promise<number> {
  const { instances, partitions, servers, place, connection, signal } = world;
  const name = `bare_${number}`;
  await prepareSink(connection, place(name));
  await using crew = new Crew(signal);
  await Promise.all(
    Array.from({ length: instances }, (_, index) => {
      const own = Array.from({ length: partitions }, (__, at) => at).filter((at) => at % instances === index);
      return crew.add(`b${index}`, { role: "bare", servers, partitions: own, sink: place(name) });
    }),
  );
  return await drain(world, crew);
}

async function drain({ messages }: World, crew: Crew): Promise<number> {
  const from = hostNowMs();
  crew.order({ do: "go" });
  await crew.until(
    () => crew.stored.total >= messages,
    () => `${messages} messages to be stored, after ${crew.stored.total}`,
  );
  return messages / ((crew.stored.at - from) / 1_000);
}

/** Times since SIGKILL, of one partition. */
interface Failover {
  readonly ownedMs: number;
  readonly takenMs: number;
  readonly openedMs: number;
  readonly storedMs: number;
}

/** Of each partition of the killed instance. Starts another instance, and waits for its share. */
async function killOne(world: World, crew: Crew, name: string, number: number): Promise<Failover[]> {
  const victim = crew.names[number % crew.names.length] as string;
  const moved = crew.ownedBy(victim);
  const before = crew.firsts.length;
  const at = crew.kill(victim);
  const firstOf = (resource: string): First | undefined =>
    crew.firsts.slice(before).find((first) => first.resource === resource && first.at > at);
  await crew.until(
    () => moved.every((one) => firstOf(one) !== undefined),
    `a message of ${moved.join(", ")}`,
  );
  const firsts = moved.map(firstOf).filter((first) => first !== undefined);
  const memberId = `k${number}`;
  await addInstance(world, crew, name, memberId);
  crew.send(memberId, { do: "go" });
  await crew.untilShared(world.partitions);
  return firsts.map((first) => ({
    ownedMs: first.ownedAt - at,
    takenMs: first.takenAt - at,
    openedMs: first.openedAt - at,
    storedMs: first.at - at,
  }));
}

/** The account, when everything that was published is stored, or nothing more is. */
async function settled(count: () => Promise<Account>, published: number, crew: Crew): Promise<Account> {
  let account = await count();
  for (let still = 0; account.stored < published && still < 20; ) {
    const before = account.stored;
    await crew.until(() => true, "");
    await new Promise((resolve) => setTimeout(resolve, 500));
    account = await count();
    still = account.stored === before ? still + 1 : 0;
  }
  return account;
}

/** The smallest number of milliseconds that `percent` percent of the messages did not exceed. */
function percentileOf(counts: readonly number[], percent: number): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const rank = Math.max(1, Math.ceil((percent / 100) * total));
  let seen = 0;
  for (const [ms, count] of counts.entries()) {
    seen += count;
    if (seen >= rank) return ms;
  }
  return 0;
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => resolve(), { once: true });
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  });
  signal.throwIfAborted();
}

async function api(connection: NatsConnection, name: string, body: unknown): Promise<void> {
  const answer = await connection.request(`$JS.API.${name}`, JSON.stringify(body));
  const { error } = answer.json<{ error?: unknown }>();
  if (error !== undefined) throw new Error(`${name}: ${JSON.stringify(error)}`);
}
