/**
 * Looks at everything that can be reached, and says what is wrong. It takes part in nothing and changes nothing: it reads
 * monitoring ports, asks servers and nodes, and tries permissions in ways that have no effect.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { NatsOptions } from "../nats/connection/connection.ts";
import { streamName } from "../nats/names.ts";
import { ClockBook } from "./clocks/clock-book.ts";
import type { BucketFacts, Facts, ServerFacts, Unseen } from "./facts.ts";
import { diagnose } from "./findings/diagnose.ts";
import { type Finding, type Verdict, verdictOf } from "./findings/finding.ts";
import { type AccountOptions, type AccountSighting, AccountSource } from "./sources/account-source.ts";
import { HttpJson, type HttpTls } from "./sources/http-json.ts";
import { textIn } from "./sources/json.ts";
import { MonitoringSource, NOTHING_SEEN, type Sighting } from "./sources/monitoring-source.ts";
import { readBucket } from "./sources/read-bucket.ts";
import { merged, withNames } from "./sources/read-server.ts";
import { SystemSource } from "./sources/system-source.ts";

/** Between the first and the last look at a clock: two looks of a millisecond each then say its rate to 0.1 %. */
const CLOCK_BASE_MS = 1_000;
const CLOCK_ROUNDS = 2;

const NO_ACCOUNT: Unseen = {
  what: "the bucket, the nodes, and what their user may do",
  how: "--cluster-id ID, and -s URL with a user's credentials",
};

export interface DoctorOptions {
  readonly clusterId: string | null;
  readonly expectedServers: number | null;
  readonly leaseTtlMs: number;
  readonly timeoutMs: number;
  /** Monitoring ports. */
  readonly monitors: readonly URL[];
  readonly tls: HttpTls;
  /** How to log in to the system account; `null`: not at all. */
  readonly system: NatsOptions | null;
  /** `null`: no normal account is used. */
  readonly account: AccountOptions | null;
}

export interface Examination {
  readonly facts: Facts;
  /** The worst first. */
  readonly findings: readonly Finding[];
  readonly verdict: Verdict;
}

export class Doctor {
  readonly #options: DoctorOptions;
  readonly #book = new ClockBook();
  readonly #monitoring: MonitoringSource | null;
  readonly #system: SystemSource | null;
  readonly #account: AccountSource | null;

  /** Does no I/O but to read TLS files. */
  constructor(options: DoctorOptions) {
    const { monitors, tls, system, account, timeoutMs } = options;
    this.#options = options;
    this.#monitoring =
      monitors.length === 0 ? null : new MonitoringSource(monitors, new HttpJson(timeoutMs, tls), this.#book);
    this.#system = system === null ? null : new SystemSource(system, timeoutMs, this.#book);
    this.#account = account === null ? null : new AccountSource(account, this.#book);
  }

  /** Never rejects because something can't be reached: that is a finding. */
  async examine(): Promise<Examination> {
    const started = performance.now();
    const [monitoring, system, account] = await Promise.all([
      this.#monitoring?.look() ?? NOTHING_SEEN,
      this.#system?.look() ?? null,
      this.#account?.look() ?? null,
    ]);
    await pause(Math.max(0, CLOCK_BASE_MS - (performance.now() - started)));
    for (let round = 0; round < CLOCK_ROUNDS; round++) {
      await Promise.all([this.#monitoring?.clocks(), this.#system?.clocks(), this.#account?.clocks()]);
    }
    const facts = this.#facts(monitoring, system, account);
    const findings = diagnose(facts);
    return { facts, findings, verdict: verdictOf(findings) };
  }

  async close(): Promise<void> {
    this.#monitoring?.close();
    await Promise.all([this.#system?.close(), this.#account?.close()]);
  }

  #facts(
    monitoring: Sighting,
    system: (Sighting & Pick<AccountSighting, "connection">) | null,
    account: AccountSighting | null,
  ): Facts {
    const { clusterId, expectedServers, leaseTtlMs } = this.#options;
    const ids = new Map([...monitoring.ids, ...(system?.ids ?? [])]);
    const all = [...monitoring.servers, ...(system?.servers ?? []), ...(account?.servers ?? [])];
    const servers = withNames(merged(all), ids).map((server) => ({
      ...server,
      clock: this.#book.ofServer(server.name),
    }));
    const streams = [...monitoring.streams, ...(system?.streams ?? [])];
    return {
      clusterId,
      expectedServers,
      leaseTtlMs,
      connection: account?.connection ?? null,
      system: system?.connection ?? null,
      servers,
      account: account?.account ?? null,
      bucket: account?.bucket ?? bucketIn(streams, clusterId),
      bucketProblem: account?.bucketProblem ?? null,
      lease: account?.lease ?? null,
      nodes: this.#account?.clocked(account?.nodes ?? null) ?? null,
      permissions: account?.permissions ?? null,
      unseen: [...(account?.unseen ?? [NO_ACCOUNT]), ...unseenServers(servers)],
    };
  }
}

/** A bucket that our account can't read may still stand in a server's own list, where the leader knows it best. */
function bucketIn(streams: Sighting["streams"], clusterId: string | null): BucketFacts | null {
  if (clusterId === null) return null;
  const found = streams.flatMap(({ detail }) => {
    if (textIn(detail, "name") !== streamName(clusterId)) return [];
    return readBucket(detail, clusterId) ?? [];
  });
  return found.find(({ leader }) => leader !== null) ?? found[0] ?? null;
}

/** Servers that only their neighbours told of, or that said little. */
function unseenServers(servers: readonly ServerFacts[]): Unseen[] {
  const little = servers.filter(
    ({ error, health, slowConsumers }) => error === null && health === null && slowConsumers === null,
  );
  const told = new Set(
    servers.flatMap(({ routes, meta }) => [
      ...(routes ?? []),
      ...(meta?.peers ?? []).map(({ name }) => name),
    ]),
  );
  // What is known to be gone is a finding.
  const gone = servers.flatMap(({ meta }) => (meta?.peers ?? []).filter(({ offline }) => offline));
  for (const { name } of [...servers, ...gone]) told.delete(name);
  const names = [...new Set([...little.map(({ name }) => name), ...told])].sort();
  if (names.length === 0) return [];
  return [
    {
      what: `health, uptime, routes, gateways, slow consumers, JetStream's limits and meta group of ${names.join(", ")}`,
      how: "--monitor http://HOST:8222 for each, or --system-creds FILE (or --system-user) of the system account",
    },
  ];
}
