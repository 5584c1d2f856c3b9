/**
 * Measures what telemetry costs.
 *
 *   npm run --silent bench:telemetry -- [--renewals 20] [--resources 10000] [--json]
 *
 * `--json` prints one line: `{renewal: {count, p50Us, stepsPerRenewal}, observation: {unheardNs, unheardShare, prometheusNs, prometheusShare},
 * scrape: {resources, p50Ms, maxMs, bytes, series}}`.
 *
 * `renewal`: renewals of a node on a nats-server of this machine, from the send to the ack, and how many steps of the election there are for each
 * (sends, acks, messages, beats). `observation`: all of the code that looks at these steps, per renewal, run again on the recorded steps: without a
 * listener, and with metrics for Prometheus; `share` is its part of the median renewal. `scrape`: one answer of `/metrics` of a member that owns so many
 * resources.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Emitter } from "../../src/channels/emitter.ts";
import type { ChannelEvents } from "../../src/channels/events.ts";
import { type NodeSource, sourceOf } from "../../src/channels/source.ts";
import { Group } from "../../src/group/group.ts";
import { Node } from "../../src/node/node.ts";
import { NodeWatch } from "../../src/node/node-watch.ts";
import { prometheusMetrics } from "../../src/telemetry/prometheus.ts";
import { startNatsServer } from "../../src/testing.ts";
import { readArguments } from "../shared/arguments.ts";
import { waitFor } from "../shared/wait.ts";
import { wholeNumber } from "../shared/whole-number.ts";

const LEASE_MS = 10_000;
const HEARTBEAT_MS = 250;
const ROUNDS = 2_000;
const SCRAPES = 21;
const PATIENCE_MS = 120_000;

type Step = Parameters<NodeWatch["step"]>;

const values = readArguments(
  ["npm run bench:telemetry --", "Measures what channels and metrics cost: per renewal, and per scrape."],
  {
    renewals: { type: "string", default: "20", value: "n", help: "renewals to record" },
    resources: {
      type: "string",
      default: "10000",
      value: "n",
      help: "resources of the member that is scraped",
    },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const renewals = wholeNumber("renewals", values.renewals, 2);
const resources = wholeNumber("resources", values.resources);

await using server = await startNatsServer();
const recorded = await record(server.url);
const p50Us = median(recorded.durationsMs) * 1_000;
const unheardNs = replayNs(recorded);
const metrics = prometheusMetrics();
const stop = metrics.observe(recorded.node);
const prometheusNs = replayNs(recorded);
stop();
const report = {
  renewal: {
    count: renewals,
    p50Us: rounded(p50Us),
    stepsPerRenewal: rounded(recorded.steps.length / renewals),
  },
  observation: {
    unheardNs: rounded(unheardNs),
    unheardShare: unheardNs / 1_000 / p50Us,
    prometheusNs: rounded(prometheusNs),
    prometheusShare: prometheusNs / 1_000 / p50Us,
  },
  scrape: await scrape(server.url),
};
if (values.json) console.log(JSON.stringify(report));
else {
  const { observation, renewal, scrape: scraped } = report;
  const percent = (share: number): string => `${(share * 100).toFixed(2)} % of a renewal`;
  console.log(
    `renewal                  ${renewal.p50Us} us (p50 of ${renewal.count}), ${renewal.stepsPerRenewal} steps`,
  );
  console.log(`without a listener       ${observation.unheardNs} ns, ${percent(observation.unheardShare)}`);
  console.log(
    `with Prometheus metrics  ${observation.prometheusNs} ns, ${percent(observation.prometheusShare)}`,
  );
  console.log(
    `scrape of ${scraped.resources} resources: ${scraped.p50Ms} ms (p50), ${scraped.maxMs} ms (max), ${scraped.bytes} bytes, ${scraped.series} series`,
  );
}

interface Recorded {
  readonly node: Node;
  /** Those of so many renewals. */
  readonly steps: readonly Step[];
  readonly durationsMs: readonly number[];
}

/** Runs a leader, and keeps the steps of its election from one renewal to the last one. */
async function record(servers: string): Promise<Recorded> {
  const node = new Node({
    clusterId: "bench",
    nodeId: "a",
    servers,
    leaseTtlMs: LEASE_MS,
    heartbeatIntervalMs: HEARTBEAT_MS,
    logger: false,
  });
  const steps: Step[] = [];
  const durationsMs: number[] = [];
  const { step } = NodeWatch.prototype;
  let isRecording = false;
  NodeWatch.prototype.step = function (...args: Step): void {
    if (isRecording) steps.push(args);
    step.apply(this, args);
  };
  const onRenewal = (message: unknown): void => {
    const { source, durationMs } = message as ChannelEvents["nats-leader:renewal"];
    if (source !== sourceOf(node)) return;
    if (isRecording) durationsMs.push(durationMs);
    isRecording = durationsMs.length < renewals;
  };
  await node.start();
  await node.campaign({ timeoutMs: PATIENCE_MS });
  subscribe("nats-leader:renewal", onRenewal);
  await waitFor(() => durationsMs.length >= renewals, { timeoutMs: PATIENCE_MS, message: "the renewals" });
  unsubscribe("nats-leader:renewal", onRenewal);
  NodeWatch.prototype.step = step;
  await node.stop();
  return { node, steps, durationsMs };
}

/** Nanoseconds per renewal: the least of five runs, which other processes disturb least. */
function replayNs({ node, steps }: Recorded): number {
  const source = sourceOf(node) as NodeSource;
  const session = { connected: true, binding: null };
  const watch = new NodeWatch({
    incarnation: "bench",
    emitter: new Emitter(source, "bench"),
    usesPresence: true,
    leaseTtlMs: 10_000,
    session,
  });
  const runs = Array.from({ length: 5 }, () => {
    const began = process.hrtime.bigint();
    for (let round = 0; round < ROUNDS; round++) for (const args of steps) watch.step(...args);
    return Number(process.hrtime.bigint() - began) / ROUNDS / renewals;
  });
  return Math.min(...runs);
}

async function scrape(servers: string) {
  const names = Array.from({ length: resources }, (_, index) => `resource-${index}`);
  const group = new Group({ groupId: "bench", memberId: "a", servers, resources: names, logger: false });
  const scraped = prometheusMetrics(group);
  await group.start();
  try {
    await waitFor(() => group.owned.size === resources, {
      timeoutMs: PATIENCE_MS,
      message: "every resource to be owned",
    });
    const tookMs: number[] = [];
    let body = "";
    for (let run = 0; run < SCRAPES; run++) {
      const began = performance.now();
      body = (await scraped.text()).body;
      tookMs.push(performance.now() - began);
    }
    return {
      resources,
      p50Ms: rounded(median(tookMs)),
      maxMs: rounded(Math.max(...tookMs)),
      bytes: Buffer.byteLength(body),
      series: body.split("\n").filter((line) => line !== "" && !line.startsWith("#")).length,
    };
  } finally {
    await group.stop();
  }
}

function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
