/**
 * The facts about NATS servers in the text format of Prometheus. Every scrape reads the servers; scrapes at the same time share one
 * reading. A server that is slow or gone costs the time limit, not the scrape: its `up` is 0.
 */
import { Counter, Gauge, Registry } from "prom-client";
import type { NatsOptions } from "../../nats/connection/connection.ts";
import { groupStreamName, historyStream, streamName } from "../../nats/names.ts";
import { ClockBook } from "../clocks/clock-book.ts";
import { type Facts, NO_FACTS } from "../facts.ts";
import { knownClusters } from "../findings/cluster-findings.ts";
import { diagnose } from "../findings/diagnose.ts";
import type { Finding, Severity } from "../findings/finding.ts";
import { LAG, MEMORY_PERCENT, SLOW_CONSUMERS, STORAGE_PERCENT } from "../findings/thresholds.ts";
import { HttpJson, type HttpTls } from "../sources/http-json.ts";
import { textIn } from "../sources/json.ts";
import { MonitoringPorts } from "../sources/monitoring-ports.ts";
import { type SourceReading, serverOf, withNames } from "../sources/read-server.ts";
import { SystemSource } from "../sources/system-source.ts";
import { LeaderChanges } from "./leader-changes.ts";
import { SERVER_METRICS, type ServerMetricName, serverLabels, serverMetric } from "./metrics.ts";
import { OnePerServer } from "./one-per-server.ts";
import { SystemReader } from "./read-system.ts";
import {
  isPossible,
  labelsOf,
  omittedConsumers,
  readStreams,
  type Sample,
  type Selection,
  type ServerReading,
  serverSamples,
  streamSamples,
} from "./samples.ts";

/** The streams of elections, of groups, and of the history of terms. */
export const OWN_STREAMS: readonly string[] = [streamName("*"), groupStreamName("*"), historyStream("*")];
export const MAX_STREAMS = 200;
export const MAX_CONSUMERS = 100;

const META = "meta";
const SEVERITIES: readonly Severity[] = ["critical", "warning", "note"];

export interface ExporterOptions {
  /** Monitoring ports. */
  readonly monitors: readonly URL[];
  readonly tls: HttpTls;
  /** Login of the system account; `null`: not used. */
  readonly system: NatsOptions | null;
  /** Limit of one reading. Must be less than `scrape_timeout` of Prometheus. */
  readonly timeoutMs: number;
  /** Servers in each NATS cluster; `null`: as found. */
  readonly expectedServers: number | null;
  /** Further streams; `*` stands for any text. */
  readonly streams: readonly string[];
}

export class Exporter {
  readonly contentType: string = Registry.PROMETHEUS_CONTENT_TYPE;
  readonly #readers: readonly { read(): Promise<SourceReading[]>; close(): void | Promise<void> }[];
  readonly #expectedServers: number | null;
  readonly #selection: Selection;
  readonly #servers = new OnePerServer();
  readonly #changes = new LeaderChanges();
  /** Findings that were there before are exported as 0, so that their end can be seen. */
  readonly #seen = new Map<string, Pick<Finding, "severity" | "code">>();
  #reading: Promise<Reading> | null = null;

  /** Its only I/O is reading TLS files. */
  constructor(options: ExporterOptions) {
    const { monitors, tls, system, timeoutMs, expectedServers, streams } = options;
    this.#readers = [
      ...(monitors.length === 0 ? [] : [new MonitoringPorts(monitors, new HttpJson(timeoutMs, tls))]),
      ...(system === null ? [] : [new SystemReader(new SystemSource(system, timeoutMs, new ClockBook()))]),
    ];
    this.#expectedServers = expectedServers;
    this.#selection = {
      streams: [...OWN_STREAMS, ...streams],
      maxStreams: MAX_STREAMS,
      maxConsumers: MAX_CONSUMERS,
    };
  }

  /** Reads the servers. Does not reject if none is reachable. */
  read(): Promise<Reading> {
    this.#reading ??= this.#readOnce().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async close(): Promise<void> {
    await Promise.all(this.#readers.map((reader) => reader.close()));
  }

  async #readOnce(): Promise<Reading> {
    const found = await Promise.all(this.#readers.map((reader) => reader.read()));
    const readings = this.#servers.sort(found.flat());
    const samples = this.#samples(readings);
    const problems = problemsOf(readings);
    return {
      text: `${await textOf(samples)}${problems.map(comment).join("")}`,
      reached: readings.filter(({ error }) => error === null).length,
      problems,
    };
  }

  #samples(readings: readonly ServerReading[]): Sample[] {
    const facts = factsOf(readings, this.#expectedServers);
    const { streams, omitted } = readStreams(readings, this.#selection);
    const groups = new Map<string, string | null>(
      streams.map(({ account, stream, leader }) => [JSON.stringify([account, stream]), leader]),
    );
    const metaLeader = facts.servers.find(({ name, meta }) => meta?.leader === name)?.name ?? null;
    if (facts.servers.some(({ meta }) => meta !== null)) groups.set(META, metaLeader);
    const changes = this.#changes.note(groups);
    const one = (name: ServerMetricName, value: number, labels: Sample["labels"] = {}): Sample => ({
      name,
      labels,
      value,
    });
    return [
      ...readings.flatMap(serverSamples),
      ...expectedRoutes(readings, facts),
      ...streamSamples(streams, this.#selection),
      ...streams.map(({ account, stream }) =>
        one("stream_leader_changes_total", changes.get(JSON.stringify([account, stream])) ?? 0, {
          account,
          stream,
        }),
      ),
      one("meta_leader_changes_total", changes.get(META) ?? 0),
      one("streams_omitted", omitted),
      one("consumers_omitted", omittedConsumers(streams, this.#selection)),
      ...this.#findingSamples(diagnose(facts)),
      ...thresholdSamples(),
    ];
  }

  /** What follows from the loss of a server is counted with it. */
  #findingSamples(findings: readonly Finding[]): Sample[] {
    const all = findings.flatMap((finding) => [finding, ...(finding.consequences ?? [])]);
    for (const { severity, code } of all) this.#seen.set(`${severity} ${code}`, { severity, code });
    const count = (of: (finding: Finding) => boolean): number => all.filter(of).length;
    return [
      ...SEVERITIES.map((severity): Sample => {
        const value = count((one) => one.severity === severity);
        return { name: "findings", labels: { severity }, value };
      }),
      ...[...this.#seen.values()].map(({ severity, code }): Sample => {
        const value = count((one) => one.severity === severity && one.code === code);
        return { name: "finding", labels: { severity, code }, value };
      }),
    ];
  }
}

export interface Reading {
  /** In the text format of Prometheus, with the problems as comments. */
  readonly text: string;
  /** Number of servers that have answered. */
  readonly reached: number;
  readonly problems: readonly { readonly server: string; readonly error: string }[];
}

type Problem = Reading["problems"][number];

function problemsOf(readings: readonly ServerReading[]): Problem[] {
  return readings.flatMap((reading): Problem[] => {
    const { url, error, unread } = reading;
    const server = url === null ? reading.server : `${reading.server} (${url})`;
    const refused = serverSamples(reading).find(({ name }) => name === "values_refused")?.value ?? 0;
    const texts = [
      ...(error === null ? [] : [error]),
      ...unread,
      ...(refused === 0 ? [] : [`${refused} values cannot be, such as a negative counter: left out`]),
      ...(url === null ? [] : ["another server has the same name"]),
    ];
    return texts.map((text) => ({ server, error: text }));
  });
}

/** One line, whatever a server says. */
function comment({ server, error }: Problem): string {
  return `# ${`${server}: ${error}`.replaceAll(/\p{Cc}/gu, " ")}\n`;
}

/** For the findings: only servers, in the order of the readings; no bucket and no nodes. */
function factsOf(readings: readonly ServerReading[], expectedServers: number | null): Facts {
  const ids = new Map(
    readings.flatMap(({ server, documents }) => {
      const id = textIn(documents.varz, "server_id");
      return id === null ? [] : [[id, server] as const];
    }),
  );
  const servers = readings.map((reading) => serverOf(reading, reading.url));
  return { ...NO_FACTS, expectedServers, servers: withNames(servers, ids) };
}

function expectedRoutes(readings: readonly ServerReading[], facts: Facts): Sample[] {
  const clusters = knownClusters(facts);
  return readings.flatMap((reading, index): Sample[] => {
    const server = facts.servers[index];
    const known = clusters.find((one) => one.name === server?.cluster);
    if (known === undefined || server?.routes == null) return [];
    return [{ name: "routes_expected", labels: labelsOf(reading), value: known.size - 1 }];
  });
}

function thresholdSamples(): Sample[] {
  const values: Readonly<Record<string, number>> = {
    jetstream_memory_ratio: MEMORY_PERCENT / 100,
    jetstream_storage_ratio: STORAGE_PERCENT / 100,
    slow_consumers: SLOW_CONSUMERS,
    lag: LAG,
  };
  return Object.entries(values).map(([threshold, value]) => ({
    name: "threshold",
    labels: { threshold },
    value,
  }));
}

/** Of a registry of its own: a series that is not read any more is not exported any more. */
function textOf(samples: readonly Sample[]): Promise<string> {
  const registry = new Registry();
  const byName = new Map<ServerMetricName, Sample[]>();
  for (const sample of samples.filter(isPossible)) {
    const found = byName.get(sample.name);
    if (found === undefined) byName.set(sample.name, [sample]);
    else found.push(sample);
  }
  for (const [name, found] of byName) {
    const { kind, help } = SERVER_METRICS[name];
    const labelNames = [...serverLabels(name)];
    const settings = { name: serverMetric(name), help, labelNames, registers: [registry] };
    const metric = kind === "counter" ? new Counter(settings) : new Gauge(settings);
    for (const { labels: values, value } of found) metric.inc(values, value);
  }
  return registry.metrics();
}
