/** Two hosts that compete for a virtual IP, a client that connects to it, and a sampler on each host. */

import { within } from "../../../scripts/shared/wait.ts";
import { PATIENCE_MS, START_MS } from "../patience.ts";
import { type Child, spawnChild } from "../processes/spawn-child.ts";
import type { Host, Lab } from "./network-namespaces.ts";

const PORT = 7000;
let clusters = 0;

export interface HostLine {
  readonly ready?: boolean;
  readonly state?: string;
  readonly event?: string;
  readonly hook?: "become" | "lose";
  readonly epoch?: number;
  readonly vipHeld?: boolean;
  readonly done?: string;
  readonly keeper?: number;
  readonly at?: number;
}

interface Answer {
  readonly at: number;
  readonly from: string;
}

interface Seen {
  readonly from: number;
  readonly to: number;
}

export interface Member {
  readonly host: Host;
  readonly child: Child<HostLine>;
}

export interface Outcome {
  /** From the last answer of the old holder to the first of the new one, in milliseconds. */
  readonly gapMs: number;
  /** Longest time for which both hosts had the address; negative: the shortest time for which neither had it. */
  readonly overlapMs: number;
  /** Number of samples on both hosts. */
  readonly samples: number;
}

export interface VipClusterOptions {
  readonly leaseTtlMs?: number;
  readonly family?: 4 | 6;
  readonly vip?: object;
}

export class VipCluster implements AsyncDisposable {
  readonly lab: Lab;
  readonly vip: string;
  readonly #options: VipClusterOptions;
  readonly #children: AsyncDisposable[] = [];
  readonly #samplers: Child<{ ready?: boolean; seen?: Seen[]; samples?: number }>[] = [];
  #pinger: Child<{ ready?: boolean; answers?: Answer[]; answeredBy?: string }> | null = null;
  #members: Member[] = [];

  constructor(lab: Lab, options: VipClusterOptions) {
    clusters += 1;
    this.lab = lab;
    this.#options = options;
    this.vip = options.family === 6 ? `fd77::${99 + clusters}` : lab.address(99 + clusters);
  }

  /** Resolves when the first host leads and has the address. */
  async start(hosts: readonly Host[], client: Host, servers: string): Promise<Member[]> {
    for (const host of hosts) {
      const sampler = spawnChild<{ ready?: boolean }>("test/support/vip/children/sampler.ts", {
        args: [this.vip],
        within: host.exec,
      });
      this.#samplers.push(sampler);
      this.#children.push(sampler);
      const child = await this.#member(host, servers);
      this.#members.push({ host, child });
      if (this.#members.length === 1) await child.next((line) => line.hook === "become");
    }
    this.#pinger = spawnChild("test/support/vip/children/pinger.ts", {
      args: [this.vip, String(PORT)],
      within: client.exec,
    });
    this.#children.push(this.#pinger);
    await Promise.all(this.#samplers.map((sampler) => sampler.next((line) => line.ready === true)));
    const [first] = hosts;
    await this.answeredBy(first);
    return this.#members;
  }

  async #member(host: Host, servers: string): Promise<Child<HostLine>> {
    const { leaseTtlMs = 10_000, family = 4, vip } = this.#options;
    const options = {
      nodeId: host.name,
      clusterId: `vip${process.pid}_${clusters}`,
      servers,
      leaseTtlMs,
      port: PORT,
      vip: { address: `${this.vip}/${family === 4 ? 32 : 64}`, interface: host.device, ...vip },
    };
    const child = spawnChild<HostLine>("test/support/vip/children/host.ts", {
      args: [JSON.stringify(options)],
      within: host.exec,
    });
    this.#children.push(child);
    await child.next((line) => line.ready === true, START_MS);
    return child;
  }

  /** Resolves when the client gets an answer from this host. */
  async answeredBy(host: Host | undefined, timeoutMs: number = PATIENCE_MS): Promise<void> {
    const name = host?.name;
    await this.#pinger?.next((line) => line.answeredBy === name, timeoutMs);
  }

  /** The measurements of client and samplers until now. */
  async outcome(): Promise<Outcome> {
    const seen: Seen[][] = [];
    let samples = 0;
    for (const sampler of this.#samplers) {
      sampler.send({});
      const report = await sampler.next((line) => line.seen !== undefined);
      seen.push(report.seen ?? []);
      samples += report.samples ?? 0;
    }
    this.#pinger?.send({});
    const answers = (await this.#pinger?.next((line) => line.answers !== undefined))?.answers ?? [];
    const change = answers.findIndex((answer, at) => at > 0 && answer.from !== answers[at - 1]?.from);
    const [before, after] = [answers[change - 1], answers[change]];
    const gapMs = before === undefined || after === undefined ? Number.NaN : after.at - before.at;
    return { gapMs, overlapMs: overlap(seen[0] ?? [], seen[1] ?? []), samples };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await within(Promise.all(this.#children.map((child) => child[Symbol.asyncDispose]())), {
      message: "the children's end",
    });
  }
}

/** The longest overlap of two periods; negative: the shortest gap between two. */
function overlap(a: readonly Seen[], b: readonly Seen[]): number {
  let most = Number.NEGATIVE_INFINITY;
  for (const one of a) {
    for (const other of b) most = Math.max(most, Math.min(one.to, other.to) - Math.max(one.from, other.from));
  }
  return most;
}
