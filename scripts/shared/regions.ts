/**
 * Starts NATS servers of several regions on this machine. Traffic between regions passes proxies that delay it and that
 * can be cut. Clients connect directly, and only to the servers of their own region.
 *
 * - `gateways`: a cluster in each region, joined by gateways, as in examples/supercluster.
 * - `stretched`: one cluster whose routes cross the regions.
 */

import { NatsServerError } from "../../src/testing/server/errors.ts";
import { missingInCluster } from "../../src/testing/server/run/cluster-state.ts";
import { freePort, returnPort } from "../../src/testing/server/run/ports.ts";
import { choosePlace, prepareServer } from "../../src/testing/server/run/start.ts";
import { poll } from "../../src/testing/server/run/wait.ts";
import type { NatsServer } from "../../src/testing.ts";
import { Route } from "./tcp-route.ts";

export const LAYOUTS = ["gateways", "stretched"] as const;
export type Layout = (typeof LAYOUTS)[number];

/** Name of the region and its number of servers. */
export type RegionSize = readonly [region: string, servers: number];

export interface RegionsOptions {
  readonly layout: Layout;
  readonly regions: readonly RegionSize[];
  /** Added latency one way between two regions, in milliseconds. */
  readonly delayMs: (one: string, other: string) => number;
  readonly signal?: AbortSignal;
}

/** How a link fails. `cut`: connections are closed and refused. `silent`: bytes are held back and nothing is closed. */
export type Failure = "cut" | "silent";

const HOST = "127.0.0.1";
const CLUSTER = "stretched";
const COMPLETE_MS = 90_000;

interface Member {
  readonly region: string;
  readonly name: string;
  readonly clusterPort: number;
  readonly gatewayPort: number;
}

/** The proxy from all servers of one region to one server of another. */
interface Link {
  readonly from: string;
  readonly to: string;
  readonly server: string;
  readonly route: Route;
}

export class Regions implements AsyncDisposable {
  readonly names: readonly string[];
  readonly #layout: Layout;
  readonly #members: readonly Member[];
  readonly #links: readonly Link[];
  readonly #servers = new Map<string, NatsServer>();

  private constructor(options: RegionsOptions, members: readonly Member[], links: readonly Link[]) {
    this.names = options.regions.map(([region]) => region);
    this.#layout = options.layout;
    this.#members = members;
    this.#links = links;
  }

  /** Resolves when every server is healthy, sees the others, and all agree on the JetStream meta leader. */
  static async start(options: RegionsOptions): Promise<Regions> {
    const members = await makeMembers(options.regions);
    const links: Link[] = [];
    const regions = new Regions(options, members, links);
    try {
      for (const [from] of options.regions) {
        for (const { region: to, name: server, clusterPort, gatewayPort } of members) {
          if (from === to) continue;
          const port = options.layout === "stretched" ? clusterPort : gatewayPort;
          const route = await Route.open(
            { host: HOST, port },
            {
              delayMs: options.delayMs(from, to),
              ...(options.layout === "gateways" ? { admits: comesFrom(from) } : {}),
            },
          );
          links.push({ from, to, server, route });
        }
      }
      await regions.#startServers(options.signal);
      return regions;
    } catch (error) {
      await regions.dispose();
      throw error;
    }
  }

  get version(): string {
    return [...this.#servers.values()][0]?.version ?? "";
  }

  serversOf(region: string): readonly NatsServer[] {
    return this.#members
      .filter((member) => member.region === region)
      .flatMap(({ name }) => this.#servers.get(name) ?? []);
  }

  urls(region: string): string[] {
    return this.serversOf(region).map(({ url }) => url);
  }

  /** The region of a server. */
  regionOf(server: string): string {
    const found = this.#members.find(({ name }) => name === server);
    if (found === undefined) throw new Error(`no server ${server}`);
    return found.region;
  }

  /** Stops traffic between two regions in both directions. */
  break(one: string, other: string, failure: Failure): void {
    for (const { route } of this.#between(one, other)) {
      if (failure === "cut") route.cut();
      else route.hold();
    }
  }

  mend(one: string, other: string): void {
    for (const { route } of this.#between(one, other)) route.mend();
  }

  /** Kills all servers of a region at once with SIGKILL. */
  async lose(region: string): Promise<void> {
    await Promise.all(this.serversOf(region).map((server) => server.kill()));
  }

  async restore(region: string): Promise<void> {
    await Promise.all(this.serversOf(region).map((server) => server.start({ until: "listening" })));
  }

  /** Resolves when no server, route or gateway is missing. */
  async waitUntilComplete(signal?: AbortSignal): Promise<void> {
    let missing: string | undefined;
    const done = await poll(
      async () => {
        missing = await this.#missing();
        return missing === undefined ? true : undefined;
      },
      { timeoutMs: COMPLETE_MS, everyMs: 100, signal },
    );
    if (!done)
      throw new NatsServerError("start_timeout", `regions not complete after ${COMPLETE_MS} ms: ${missing}`);
  }

  async dispose(): Promise<void> {
    await Promise.all([...this.#servers.values()].map((server) => server.dispose()));
    await Promise.all(this.#links.map(({ route }) => route.close()));
    for (const { clusterPort, gatewayPort } of this.#members) {
      returnPort(clusterPort);
      returnPort(gatewayPort);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #between(one: string, other: string): readonly Link[] {
    return this.#links.filter(
      ({ from, to }) => (from === one && to === other) || (from === other && to === one),
    );
  }

  async #startServers(signal: AbortSignal | undefined): Promise<void> {
    const place = await choosePlace(signal === undefined ? {} : { signal });
    for (const member of this.#members) {
      const [port, monitorPort] = [await freePort(HOST), await freePort(HOST)];
      const config = this.#configOf(member);
      this.#servers.set(
        member.name,
        await prepareServer({ name: member.name, port, monitorPort, config }, place),
      );
    }
    const options = { until: "listening", ...(signal === undefined ? {} : { signal }) } as const;
    await Promise.all([...this.#servers.values()].map((server) => server.start(options)));
    await this.waitUntilComplete(signal);
  }

  async #missing(): Promise<string | undefined> {
    const all = [...this.#servers.values()];
    if (this.#layout === "stretched") return missingInCluster(all);
    for (const region of this.names) {
      const missing = await missingInCluster(this.serversOf(region), all.length);
      if (missing !== undefined) return `${region}: ${missing}`;
    }
    return undefined;
  }

  /**
   * Servers gossip their listen addresses, which would bypass the proxies; so each advertises a port without a listener.
   * Nothing is advertised to clients.
   */
  #configOf(member: Member): string {
    const near = this.#members.filter(({ region }) => region === member.region);
    const stretched = this.#layout === "stretched";
    const own = near.map(({ clusterPort }) => `nats-route://${HOST}:${clusterPort}`);
    const far = stretched ? this.#farUrls(member.region, "nats-route") : [];
    const lines = [
      `server_tags: ["region:${member.region}"]`,
      "cluster {",
      `  name: ${stretched ? CLUSTER : member.region}`,
      `  listen: "${HOST}:${member.clusterPort}"`,
      ...(stretched ? ['  advertise: "127.0.0.1:9"'] : []),
      "  no_advertise: true",
      `  routes: ${JSON.stringify([...own, ...far])}`,
      "}",
    ];
    if (stretched) return lines.join("\n");
    const gateways = this.names
      .filter((region) => region !== member.region)
      .map(
        (region) =>
          `{name: ${region}, urls: ${JSON.stringify(this.#farUrls(member.region, "nats", region))}}`,
      );
    return [
      ...lines,
      "gateway {",
      `  name: ${member.region}`,
      `  listen: "${HOST}:${member.gatewayPort}"`,
      '  advertise: "127.0.0.1:9"',
      "  reject_unknown: true",
      `  gateways: [${gateways.join(", ")}]`,
      "}",
    ].join("\n");
  }

  /** The proxies from this region to the servers of all other regions, or of the region `only`. */
  #farUrls(from: string, scheme: string, only?: string): string[] {
    return this.#links
      .filter((link) => link.from === from && (only === undefined || link.to === only))
      .map(({ route }) => `${scheme}://${HOST}:${route.port}`);
  }
}

/**
 * Regions gossip the URLs that they were configured with for a third region, so a server may dial another region's proxy.
 * Its first line contains the name of its gateway.
 */
function comesFrom(region: string): (first: string) => boolean {
  return (first) => first.includes(`"gateway":"${region}"`);
}

async function makeMembers(regions: readonly RegionSize[]): Promise<Member[]> {
  const members: Member[] = [];
  for (const [region, size] of regions) {
    for (let index = 1; index <= size; index++) {
      members.push({
        region,
        name: `${region}-${index}`,
        clusterPort: await freePort(HOST),
        gatewayPort: await freePort(HOST),
      });
    }
  }
  return members;
}
