/**
 * Measures the cost of fencing: fenced and unfenced writes of one process to one stream. The variants take turns within
 * each round, so that other load on the machine affects all of them. Throughput is pipelined; latency is one write at a
 * time. All figures are medians over the rounds; ratios are medians of the rounds' ratios.
 *
 *   npm run --silent bench:fencing -- [--json] [--rounds 9] [--messages 20000] [--bytes 256] [--replicas 1]
 *                                     [--in-flight 256] [--version 2.15.1]
 *
 * - `unfenced` is `js.publish()` of nats.js, the call of an application without fencing.
 * - `fenced` is `FencedWriter.publish()`.
 * - `sameClient` writes unfenced, but waits for its acks in the fenced writer's faster way. There the server is the
 *   bottleneck, and the ratio is the cost of the condition on the server at full load.
 *
 * `--json` prints `{unfencedPerSecond, fencedPerSecond, ratio, unfencedP50Ms, fencedP50Ms, latencyRatio, sameClient:
 * {unfencedPerSecond, ratio, unfencedP50Ms, latencyRatio}, server, replicas, rounds, inFlight}`. `ratio` is fenced
 * throughput divided by unfenced throughput (larger is better); `latencyRatio` is fenced latency divided by unfenced latency
 * (smaller is better); `server` is the version of the nats-server.
 */
import { parseArgs } from "node:util";
import { jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { AckMux } from "../../src/fencing/stream/ack-mux.ts";
import { parsePubAck } from "../../src/fencing/stream/js-messages.ts";
import { FencedStream, type FencedWriter } from "../../src/fencing.ts";
import { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import { startNatsCluster, startNatsServer } from "../../src/testing.ts";

const { values } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    rounds: { type: "string", default: "9" },
    messages: { type: "string", default: "20000" },
    bytes: { type: "string", default: "256" },
    replicas: { type: "string", default: "1" },
    "in-flight": { type: "string" },
    version: { type: "string" },
  },
});
const replicas = positive("replicas", values.replicas);
const plan = {
  rounds: positive("rounds", values.rounds),
  messages: positive("messages", values.messages),
  inFlight: positive("in-flight", values["in-flight"] ?? (replicas > 1 ? "64" : "256")),
  latencies: 1000,
  data: new Uint8Array(positive("bytes", values.bytes)).fill(120),
};

type Send = () => Promise<unknown>;
type Way = "unfenced" | "fenced" | "sameClient";
const WAYS: readonly Way[] = ["unfenced", "fenced", "sameClient"];

interface Samples {
  readonly perSecond: number[];
  readonly p50Ms: number[];
}

const report = await withServer(async (nats) => {
  const store = await open(nats);
  const writer = await store.open({ epoch: 1, nodeId: "bench", incarnation: "bench" });
  const measured = await measure(nats, writer);
  store.close();
  return {
    ...measured,
    server: nats.info?.version ?? "",
    replicas,
    rounds: plan.rounds,
    inFlight: plan.inFlight,
  };
});
if (values.json) console.log(JSON.stringify(report));
else console.log(text(report));

async function measure(nats: NatsConnection, writer: FencedWriter) {
  const js = jetstream(nats);
  const monitor = ConnectionMonitor.acquire(nats);
  const mux = new AckMux(monitor);
  const ways: Record<Way, Send> = {
    unfenced: () => js.publish("bench.js", plan.data),
    fenced: () => writer.publish("bench.fenced", plan.data),
    sameClient: async () =>
      parsePubAck(
        await mux.request("bench.unfenced", plan.data, { timeoutMs: 2000 }),
        "BENCH",
        "bench.unfenced",
      ),
  };
  const samples: Record<Way, Samples> = { unfenced: empty(), fenced: empty(), sameClient: empty() };
  for (const send of Object.values(ways)) await pipelined(send, Math.min(plan.messages, 5000));
  for (let round = 0; round < plan.rounds; round++) {
    // The order alternates: a later variant finds a warmer disk cache, or a busier disk.
    const order = round % 2 === 0 ? WAYS : WAYS.toReversed();
    for (const way of order) {
      samples[way].perSecond.push(await pipelined(ways[way], plan.messages));
    }
    for (const way of order) samples[way].p50Ms.push(await oneByOne(ways[way], plan.latencies));
    if (!values.json) process.stderr.write(`round ${round + 1} of ${plan.rounds}\r`);
  }
  mux.close();
  monitor.release();
  const { unfenced, fenced, sameClient } = samples;
  return {
    unfencedPerSecond: Math.round(median(unfenced.perSecond)),
    fencedPerSecond: Math.round(median(fenced.perSecond)),
    ratio: medianRatio(fenced.perSecond, unfenced.perSecond),
    unfencedP50Ms: round3(median(unfenced.p50Ms)),
    fencedP50Ms: round3(median(fenced.p50Ms)),
    latencyRatio: medianRatio(fenced.p50Ms, unfenced.p50Ms),
    sameClient: {
      unfencedPerSecond: Math.round(median(sameClient.perSecond)),
      ratio: medianRatio(fenced.perSecond, sameClient.perSecond),
      unfencedP50Ms: round3(median(sameClient.p50Ms)),
      latencyRatio: medianRatio(fenced.p50Ms, sameClient.p50Ms),
    },
  };
}

function medianRatio(of: readonly number[], to: readonly number[]): number {
  return round3(median(of.map((value, i) => value / (to[i] ?? Number.NaN))));
}

/** Messages per second with a fixed number in flight. */
async function pipelined(send: Send, count: number): Promise<number> {
  const began = performance.now();
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await send();
    }
  };
  await Promise.all(Array.from({ length: plan.inFlight }, worker));
  return (count * 1000) / (performance.now() - began);
}

/** Median time of one write in milliseconds. */
async function oneByOne(send: Send, count: number): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    await send();
    times.push(performance.now() - began);
  }
  return median(times);
}

async function withServer<T>(run: (nats: NatsConnection) => Promise<T>): Promise<T> {
  const version = values.version === undefined ? {} : { version: values.version };
  const server =
    replicas > 1 ? await startNatsCluster({ size: replicas, ...version }) : await startNatsServer(version);
  try {
    const nats = await connect({ servers: "urls" in server ? server.urls : [server.url] });
    try {
      return await run(nats);
    } finally {
      await nats.close();
    }
  } finally {
    await server.dispose();
  }
}

/** Retries: a cluster that has just started refuses to create streams for a while. */
async function open(nats: NatsConnection): Promise<FencedStream> {
  const options = { stream: "BENCH", subjects: ["bench.>"], replicas, timeoutMs: 5000 };
  for (let tries = 0; ; tries++) {
    try {
      return await FencedStream.connect(nats, options);
    } catch (error) {
      if (tries === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

function text(it: typeof report): string {
  return [
    `nats-server ${it.server}, ${it.replicas} replica(s), ${it.inFlight} in flight, medians of ${it.rounds} rounds`,
    `unfenced  ${it.unfencedPerSecond} msg/s   p50 ${it.unfencedP50Ms} ms`,
    `fenced    ${it.fencedPerSecond} msg/s   p50 ${it.fencedP50Ms} ms`,
    `ratio     ${it.ratio} (target >= 0.9)   latency ${it.latencyRatio} (target <= 1.1)`,
    `unfenced through the same client: ${it.sameClient.unfencedPerSecond} msg/s (ratio ${it.sameClient.ratio}), ` +
      `p50 ${it.sameClient.unfencedP50Ms} ms (${it.sameClient.latencyRatio})`,
  ].join("\n");
}

function empty(): Samples {
  return { perSecond: [], p50Ms: [] };
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function round3(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function positive(name: string, value: string): number {
  const number = Number(value);
  if (Number.isInteger(number) && number > 0) return number;
  console.error(`--${name} must be a positive integer, not ${value}`);
  process.exit(2);
}
