/** Everything that the scenes play on: three NATS servers, nodes behind proxies, an observer, the exporter, and Prometheus. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { JOBS } from "../../examples/observability/source/names.ts";
import { alertRules, prometheusYml, recordingRules } from "../../examples/observability/source/prometheus.ts";
import { type Times, times } from "../../examples/observability/source/time.ts";
import type { ChildProgram } from "../../examples/observability/stack/child-program.ts";
import {
  daemonConfig,
  type Exporter,
  startDaemon,
  startExporter,
} from "../../examples/observability/stack/nats-leader.ts";
import { Prometheus } from "../../examples/observability/stack/prometheus.ts";
import { freePort, returnPort } from "../../src/testing/server/run/ports.ts";
import { type NatsCluster, startNatsCluster } from "../../src/testing.ts";
import type { TcpProxy } from "../shared/proxy-types.ts";
import { startProxy } from "../shared/tcp-proxy.ts";
import { LeaderWatch } from "./leader-watch.ts";

const HOST = "127.0.0.1";
export const CLUSTER = "validate";
const NODES = ["a", "b", "c"] as const;
const OBSERVER = "watcher";
/** A rule of five minutes takes 15 s. */
export const TIMES: Times = times(0.05, 0.5);
export const BACKLOG_STREAM = "BACKLOG";

/** A daemon in a process of its own, which reaches the servers through proxies. */
export class StagedNode {
  readonly id: string;
  readonly port: number;
  readonly proxies: readonly TcpProxy[];
  readonly #config: string;
  #program: ChildProgram | null = null;

  constructor(id: string, port: number, proxies: readonly TcpProxy[], config: string) {
    this.id = id;
    this.port = port;
    this.proxies = proxies;
    this.#config = config;
  }

  get door(): string {
    return `http://${HOST}:${this.port}`;
  }

  /** As Prometheus names the target. */
  get target(): string {
    return `${HOST}:${this.port}`;
  }

  async start(): Promise<void> {
    this.#program = await startDaemon(this.#config);
  }

  async kill(): Promise<void> {
    await this.#program?.kill();
  }

  freeze(): void {
    this.#program?.signal("SIGSTOP");
  }

  thaw(): void {
    this.#program?.signal("SIGCONT");
  }

  /** Nothing is closed, and nothing arrives any more, in either direction. */
  cutOff(on: boolean): void {
    for (const proxy of this.proxies) proxy.blackhole(on);
  }

  /** The status of an answer of its door; 0: none. */
  async status(path: string): Promise<number> {
    try {
      const response = await fetch(`${this.door}${path}`, { signal: AbortSignal.timeout(1_000) });
      await response.body?.cancel();
      return response.status;
    } catch {
      return 0;
    }
  }

  async close(): Promise<void> {
    await this.#program?.kill();
    for (const proxy of this.proxies) await proxy.close();
  }
}

export class Stage implements AsyncDisposable {
  readonly startedAt: number = Date.now() / 1_000;
  readonly folder: string = mkdtempSync(join(tmpdir(), "nats-leader-telemetry-"));
  readonly nodes: StagedNode[] = [];
  readonly #ports: number[] = [];
  #servers: NatsCluster | null = null;
  #exporter: Exporter | null = null;
  #prometheus: Prometheus | null = null;
  #watch: LeaderWatch | null = null;
  #observer: StagedNode | null = null;
  #markedAt: number = this.startedAt;
  /** Of the application of a scene, and of the data bridge. */
  applicationPort = 0;
  readonly targetsFile: string = join(this.folder, "bridge-targets.json");

  get servers(): NatsCluster {
    return started(this.#servers);
  }

  get prometheus(): Prometheus {
    return started(this.#prometheus);
  }

  get watch(): LeaderWatch {
    return started(this.#watch);
  }

  /** The node that never competes, and is never hit by a fault of its own. */
  get observer(): StagedNode {
    return started(this.#observer);
  }

  get everyNode(): readonly StagedNode[] {
    return [...this.nodes, this.observer];
  }

  node(id: string): StagedNode {
    const found = this.nodes.find((one) => one.id === id);
    if (found === undefined) throw new Error(`no node "${id}"`);
    return found;
  }

  async start(say: (line: string) => void): Promise<void> {
    // Clients would learn the addresses of the servers and pass by the proxies.
    const config = `client_advertise: "${HOST}:1"\n`;
    this.#servers = await startNatsCluster({ config, onProgress: say });
    for (const id of NODES) this.nodes.push(await this.#prepare(id, {}));
    this.#observer = await this.#prepare(OBSERVER, { observer: true });
    await Promise.all([...this.everyNode.map((node) => node.start()), this.startExporter()]);
    this.applicationPort = await this.#port();
    await this.#startPrometheus();
    this.#watch = new LeaderWatch(new Map(this.nodes.map(({ id, door }) => [id, door])));
  }

  /** Again after it was stopped. */
  async startExporter(): Promise<void> {
    const port = this.#exporter === null ? await this.#port() : Number(this.#exporter.address.split(":")[1]);
    const monitors = this.servers.servers.map(({ monitorUrl }) => monitorUrl);
    this.#exporter = await startExporter(monitors, port, [BACKLOG_STREAM]);
  }

  async stopExporter(): Promise<void> {
    await this.#exporter?.program.stop();
  }

  /** Of every metric of the nodes of this run. */
  static selector(node?: string): string {
    return node === undefined ? `{cluster="${CLUSTER}"}` : `{cluster="${CLUSTER}",node="${node}"}`;
  }

  /** From here on `fires()` counts. */
  mark(): void {
    this.#markedAt = Date.now() / 1_000;
  }

  /** Whether an alert has fired since the mark, with these labels among others: some fire only for seconds. */
  async fires(name: string, labels: Readonly<Record<string, string>> = {}): Promise<true | unknown> {
    const more = Object.entries(labels).map(([label, value]) => `,${label}="${value}"`);
    const seconds = Math.max(1, Math.ceil(Date.now() / 1_000 - this.#markedAt));
    const selector = `ALERTS{alertname="${name}",alertstate="firing"${more.join("")}}`;
    const series = await this.prometheus.query(`max_over_time(${selector}[${seconds}s])`);
    if (series.length > 0) return true;
    return (await this.prometheus.alerts()).map((one) => [one.name, one.state, one.labels]);
  }

  /** Whether no such alert fires now. */
  async isQuiet(name: string, labels: Readonly<Record<string, string>> = {}): Promise<true | unknown> {
    const alerts = await this.prometheus.alerts();
    const firing = alerts.filter(
      (one) =>
        one.name === name &&
        one.state === "firing" &&
        Object.entries(labels).every(([label, value]) => one.labels[label] === value),
    );
    return firing.length === 0 || firing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watch?.close();
    await Promise.all(this.nodes.map((node) => node.close()));
    await this.#observer?.close();
    await this.#exporter?.program.kill();
    await this.#prometheus?.stop();
    await this.#servers?.[Symbol.asyncDispose]();
    for (const port of this.#ports) returnPort(port);
    rmSync(this.folder, { recursive: true, force: true });
  }

  async #prepare(id: string, more: Readonly<Record<string, unknown>>): Promise<StagedNode> {
    const proxies = await Promise.all(
      this.servers.servers.map(({ port }) => startProxy({ target: { port } })),
    );
    const port = await this.#port();
    const config = daemonConfig({
      folder: this.folder,
      clusterId: CLUSTER,
      nodeId: id,
      servers: proxies.map(({ url }) => url),
      port,
      more: { election: { cooldownMs: 500, ...more } },
    });
    return new StagedNode(id, port, proxies, config);
  }

  async #startPrometheus(): Promise<void> {
    const targets = {
      nodes: [...this.everyNode.map(({ target }) => target), `${HOST}:${this.applicationPort}`],
      servers: [started(this.#exporter).address],
      bridge: [this.targetsFile],
    };
    const rules = new Map([...alertRules(TIMES), ["recording.yml", recordingRules(TIMES)]]);
    const files = new Map([
      ["prometheus.yml", prometheusYml(TIMES, targets)],
      ...[...rules].map(([name, text]): [string, string] => [`rules/${name}`, text]),
    ]);
    const port = await this.#port();
    this.#prometheus = await Prometheus.start({ folder: join(this.folder, "prometheus"), port, files });
  }

  async #port(): Promise<number> {
    const port = await freePort(HOST);
    this.#ports.push(port);
    return port;
  }
}

export const NODE_JOB: string = JOBS.nodes;

function started<T>(part: T | null): T {
  if (part === null) throw new Error("used before the stage was started");
  return part;
}
