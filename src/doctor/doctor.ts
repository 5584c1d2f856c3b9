/**
 * Examines everything that is reachable and diagnoses it. It changes nothing and does not join the election: it reads
 * monitoring ports, queries servers and nodes, and tries permissions by requests without effect.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { NatsOptions } from "../nats/connection/connection.ts";
import { streamName } from "../nats/names.ts";
import { ClockBook } from "./clocks/clock-book.ts";
import { type BucketFacts, type Facts, NO_FACTS, type Unseen } from "./facts.ts";
import { diagnose } from "./findings/diagnose.ts";
import { type Finding, type Verdict, verdictOf } from "./findings/finding.ts";
import { type AccountOptions, AccountSource, type AccountSourceFacts } from "./sources/account-source.ts";
import { HttpJson, type HttpTls } from "./sources/http-json.ts";
import { textIn } from "./sources/json.ts";
import { MonitoringPorts } from "./sources/monitoring-ports.ts";
import { MonitoringSource, NOTHING_FOUND, type SourceFacts } from "./sources/monitoring-source.ts";
import { readBucket } from "./sources/read-bucket.ts";
import { merged, withNames } from "./sources/read-server.ts";
import { SystemSource } from "./sources/system-source.ts";
import type { ServerRates } from "./trends/rates.ts";
import { unseenServers } from "./unseen-servers.ts";

/** Time between the first and the last reading of a clock. Two round trips of 1 ms then bound its rate to 0.1 %. */
const CLOCK_BASE_MS = 1_000;
const CLOCK_ROUNDS = 2;

const NO_ACCOUNT: Unseen = {
  what: "the bucket, the nodes and the permissions of their user",
  how: "pass --cluster-id ID, and -s URL with credentials of a user",
};

export interface DoctorOptions {
  readonly clusterId: string | null;
  readonly expectedServers: number | null;
  readonly expectedNodes: number | null;
  readonly leaseTtlMs: number;
  readonly timeoutMs: number;
  /** Monitoring ports. */
  readonly monitors: readonly URL[];
  readonly tls: HttpTls;
  /** Login of the system account; `null`: not used. */
  readonly system: NatsOptions | null;
  /** `null`: no normal account is used. */
  readonly account: AccountOptions | null;
}

export interface Examination {
  readonly facts: Facts;
  /** Most severe first. */
  readonly findings: readonly Finding[];
  readonly verdict: Verdict;
  /** Only of repeated examinations. */
  readonly rates?: readonly ServerRates[];
}

export class Doctor {
  readonly #options: DoctorOptions;
  readonly #book = new ClockBook();
  readonly #monitoring: MonitoringSource | null;
  readonly #system: SystemSource | null;
  readonly #account: AccountSource | null;

  /** Its only I/O is reading TLS files. */
  constructor(options: DoctorOptions) {
    const { monitors, tls, system, account, timeoutMs, expectedNodes } = options;
    this.#options = options;
    this.#monitoring =
      monitors.length === 0
        ? null
        : new MonitoringSource(new MonitoringPorts(monitors, new HttpJson(timeoutMs, tls)), this.#book);
    this.#system = system === null ? null : new SystemSource(system, timeoutMs, this.#book);
    this.#account = account === null ? null : new AccountSource(account, this.#book, expectedNodes ?? 0);
  }

  /** Does not reject if something is unreachable: that is a finding. */
  async examine(): Promise<Examination> {
    const started = performance.now();
    const [monitoring, system, account] = await Promise.all([
      this.#monitoring?.read() ?? NOTHING_FOUND,
      this.#system?.read() ?? null,
      this.#account?.read() ?? null,
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
    monitoring: SourceFacts,
    system: (SourceFacts & Pick<AccountSourceFacts, "connection">) | null,
    account: AccountSourceFacts | null,
  ): Facts {
    const { clusterId, expectedServers, expectedNodes, leaseTtlMs } = this.#options;
    const ids = new Map([...monitoring.ids, ...(system?.ids ?? [])]);
    const all = [...monitoring.servers, ...(system?.servers ?? []), ...(account?.servers ?? [])];
    const servers = withNames(merged(all), ids).map((server) => ({
      ...server,
      clock: this.#book.ofServer(server.name),
    }));
    const streams = [...monitoring.streams, ...(system?.streams ?? [])];
    return {
      ...NO_FACTS,
      ...account,
      clusterId,
      expectedServers,
      expectedNodes,
      leaseTtlMs,
      system: system?.connection ?? null,
      servers,
      bucket: account?.bucket ?? bucketIn(streams, clusterId),
      nodes: this.#account?.clocked(account?.nodes ?? null) ?? null,
      unseen: [...(account?.unseen ?? [NO_ACCOUNT]), ...unseenServers(servers)],
    };
  }
}

/** A bucket that our account cannot read may be in a server's list of streams. The stream's leader has the best data. */
function bucketIn(streams: SourceFacts["streams"], clusterId: string | null): BucketFacts | null {
  if (clusterId === null) return null;
  const found = streams.flatMap(({ detail }) => {
    if (textIn(detail, "name") !== streamName(clusterId)) return [];
    return readBucket(detail, clusterId) ?? [];
  });
  return found.find(({ leader }) => leader !== null) ?? found[0] ?? null;
}
