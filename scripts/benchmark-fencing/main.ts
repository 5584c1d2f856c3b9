/**
 * Measures the cost of fencing: fenced and unfenced writes of one process to one stream. The variants take turns within each
 * round, and rounds are short, so that other load on the machine affects all of them. Throughput is pipelined; latency is one
 * write at a time. All figures are medians over the rounds; ratios are medians of the rounds' ratios.
 *
 *   npm run --silent bench:fencing -- [--json] [--rounds 41] [--messages 4000] [--bytes 256] [--replicas 1]
 *                                     [--in-flight 256] [--version 2.15.1]
 *
 * The connection has the options of the connections that this library opens.
 *
 * - `jsPublish` is `js.publish()` of nats.js, the call of an application without fencing.
 * - `fenced` is `FencedWriter.publish()`.
 * - `sameClient` is the same code, and the same message with the header of the epoch, but without the two headers of the
 *   condition. Compared with it, a fenced write shows the cost of the condition.
 * - `bare` is the same code with a message that has no header at all.
 *
 * `--json` prints `{sameClientRatio, bareRatio, jsPublishRatio, perSecond: {jsPublish, fenced, sameClient, bare}, p50Ms: {...},
 * latencyRatio, server, replicas, rounds, inFlight}`. A ratio is the throughput of `fenced` divided by that of the other variant
 * (larger is better); `latencyRatio` is the latency of `fenced` divided by that of `sameClient` (smaller is better); `server` is
 * the version of the nats-server.
 */
import { jetstream } from "@nats-io/jetstream";
import type { MsgHdrs, NatsConnection } from "@nats-io/transport-node";
import { FencedWriter } from "../../src/fencing/stream/fenced-writer.ts";
import { type GuardedPlan, openGuarded } from "../../src/fencing/stream/open-guarded.ts";
import { encodedOnce, takeFence } from "../../src/fencing/stream/take-fence.ts";
import { natsHeaders } from "../../src/fencing.ts";
import { connectNats } from "../../src/nats/connection/connection.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { startNatsCluster, startNatsServer } from "../../src/testing.ts";
import { readArguments } from "../shared/arguments.ts";

endWhenOutputFails();

const values = readArguments(
  [
    "npm run bench:fencing --",
    "Measures the cost of fencing: fenced and unfenced writes of one process to one stream.",
  ],
  {
    rounds: { type: "string", default: "41", value: "n", help: "rounds; all figures are medians over them" },
    messages: { type: "string", default: "4000", value: "n", help: "messages of each variant in a round" },
    bytes: { type: "string", default: "256", value: "n", help: "size of a message" },
    replicas: { type: "string", default: "1", value: "n", help: "1: a single server; 3: a cluster" },
    "in-flight": {
      type: "string",
      value: "n",
      help: "unanswered writes at once (default: 256, with replicas 64)",
    },
    version: {
      type: "string",
      value: "version",
      help: "nats-server to measure with (default: the pinned one)",
    },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const replicas = positive("replicas", values.replicas);
const plan = {
  rounds: positive("rounds", values.rounds),
  messages: positive("messages", values.messages),
  inFlight: positive("in-flight", values["in-flight"] ?? (replicas > 1 ? "64" : "256")),
  latencies: 200,
  data: new Uint8Array(positive("bytes", values.bytes)).fill(120),
};

const WARM_UP = 20_000;

type Send = () => Promise<unknown>;
const WAYS = ["jsPublish", "fenced", "sameClient", "bare"] as const;
type Way = (typeof WAYS)[number];

interface Samples {
  readonly perSecond: number[];
  readonly p50Ms: number[];
}

const report = await withServer(async (nats) => {
  const measured = await measure(nats, await open(nats));
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

async function measure(nats: NatsConnection, writers: Writers) {
  const js = jetstream(nats);
  // A subject per variant, of the same length: none is larger on the disk for its name.
  const ways: Record<Way, Send> = {
    jsPublish: () => js.publish("bench.a", plan.data),
    fenced: () => writers.fenced.publish("bench.b", plan.data),
    sameClient: () => writers.sameClient.publish("bench.c", plan.data),
    bare: () => writers.bare.publish("bench.d", plan.data),
  };
  const samples: Record<Way, Samples> = {
    jsPublish: empty(),
    fenced: empty(),
    sameClient: empty(),
    bare: empty(),
  };
  for (const send of Object.values(ways)) await pipelined(send, WARM_UP);
  for (let round = 0; round < plan.rounds; round++) {
    // The order alternates: a later variant finds a warmer disk cache, or a busier disk.
    const order = round % 2 === 0 ? WAYS : WAYS.toReversed();
    for (const way of order) samples[way].perSecond.push(await pipelined(ways[way], plan.messages));
    for (const way of order) samples[way].p50Ms.push(await oneByOne(ways[way], plan.latencies));
    if (!values.json) process.stderr.write(`round ${round + 1} of ${plan.rounds}\r`);
  }
  const { jsPublish, fenced, sameClient, bare } = samples;
  const each = (of: (it: Samples) => number): Record<Way, number> => ({
    jsPublish: of(jsPublish),
    fenced: of(fenced),
    sameClient: of(sameClient),
    bare: of(bare),
  });
  return {
    sameClientRatio: medianRatio(fenced.perSecond, sameClient.perSecond),
    bareRatio: medianRatio(fenced.perSecond, bare.perSecond),
    jsPublishRatio: medianRatio(fenced.perSecond, jsPublish.perSecond),
    perSecond: each((it) => Math.round(median(it.perSecond))),
    p50Ms: each((it) => round3(median(it.p50Ms))),
    latencyRatio: medianRatio(fenced.p50Ms, sameClient.p50Ms),
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
    const servers = "urls" in server ? server.urls : [server.url];
    const link = await connectNats({ servers }, { clusterId: "bench", nodeId: "bench" });
    try {
      return await run(link.connection);
    } finally {
      await link.close();
    }
  } finally {
    await server.dispose();
  }
}

interface Writers {
  readonly fenced: FencedWriter;
  readonly sameClient: FencedWriter;
  readonly bare: FencedWriter;
}

/** The writer of a term, and two like it whose messages have no condition. */
async function open(nats: NatsConnection): Promise<Writers> {
  const on = await guarded(nats);
  const term = { epoch: 1, nodeId: "bench", incarnation: "bench" };
  const options = { timeoutMs: 5000, signal: new AbortController().signal };
  const lanes = await takeFence(on, term, options);
  const like = (hdrs: MsgHdrs): FencedWriter =>
    new FencedWriter(
      on,
      term,
      lanes.map((lane) => ({ ...lane, headers: hdrs })),
    );
  return {
    fenced: new FencedWriter(on, term, lanes),
    sameClient: like(encodedOnce(natsHeaders(term))),
    bare: like(undefined as unknown as MsgHdrs),
  };
}

/** Retries: a cluster that has just started refuses to create streams for a while. */
async function guarded(nats: NatsConnection): ReturnType<typeof openGuarded> {
  const fence = "nats_leader.fence.BENCH";
  const config = {
    name: "BENCH",
    subjects: ["bench.>", `${fence}.>`],
    allow_rollup_hdrs: true,
    allow_msg_ttl: true,
    num_replicas: replicas,
  };
  const options = { replicas, timeoutMs: 5000, maxInFlight: plan.inFlight };
  const wanted: GuardedPlan = { what: "stream BENCH", stream: "BENCH", fence, options, create: () => config };
  for (let tries = 0; ; tries++) {
    try {
      return await openGuarded(nats, wanted);
    } catch (error) {
      if (tries === 20) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  }
}

function text(it: typeof report): string {
  const line = (way: Way, ratio: string): string =>
    `${way.padEnd(10)} ${it.perSecond[way]} msg/s   p50 ${it.p50Ms[way]} ms   ${ratio}`;
  return [
    `nats-server ${it.server}, ${it.replicas} replica(s), ${it.inFlight} in flight, medians of ${it.rounds} rounds`,
    line("jsPublish", `fenced / jsPublish ${it.jsPublishRatio}`),
    line("bare", `fenced / bare ${it.bareRatio}`),
    line("sameClient", `fenced / sameClient ${it.sameClientRatio} (target >= 0.9)`),
    line("fenced", `latency / sameClient ${it.latencyRatio}`),
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
