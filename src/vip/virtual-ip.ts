/** The public class of `nats-leader/vip`: acquires the address for each term of a node. */
import { ClusterError, messageOf } from "../errors.ts";
import { type BoundLogger, createLogger } from "../log/logger.ts";
import { type Hooks, KEEPS_ADDRESS } from "../node/hooks.ts";
import type { Term } from "../node/term.ts";
import { findAddress, type LinkState, readLink, requireIp, run } from "./ip-command.ts";
import { Neighbours } from "./neighbours.ts";
import { type ResolvedVirtualIpOptions, resolveVirtualIpOptions, type VirtualIpOptions } from "./options.ts";
import { addError, linkProblem, Tenure, type VirtualIpState } from "./tenure.ts";

/** The result of `health()`. */
export interface VirtualIpHealth {
  /** This process has added the address. */
  readonly acquired: boolean;
  /** The address without prefix. */
  readonly ip: string;
  readonly interface: string;
  /** The kernel has the address on the interface. */
  readonly onInterface: boolean;
  /** Unix milliseconds. */
  readonly checkedAt: number;
}

/**
 * A virtual IP on Linux that follows the terms of a node. When `onBecomeLeader` is called, the address is on this host and is being
 * announced. When `onLoseLeadership` is called, it has been removed, or that has failed (`vip-stuck`) and the kernel removes it before
 * the lease expires. If it cannot be acquired, the node steps down as if `onBecomeLeader` had thrown, and does not campaign for
 * `cooldownMs`.
 *
 * @example
 * ```ts
 * const vip = new VirtualIp({ address: "10.0.0.100/32", interface: "eth0" });
 * await vip.check();
 * const node = new Node(options, vip.hooks({ onBecomeLeader: (term) => server.start(term.epoch) }));
 * ```
 */
export class VirtualIp {
  readonly #options: ResolvedVirtualIpOptions;
  readonly #logger: BoundLogger;
  readonly #neighbours: Neighbours;
  readonly #listeners = new Set<(state: VirtualIpState) => void>();
  #lastLink: LinkState | null = null;
  #tenure: Tenure | null = null;
  /** The end of the previous tenure, for which the next one waits. */
  #ended: Promise<void> = Promise.resolve();

  /** @throws ClusterError `INVALID_CONFIG`, naming every invalid option. Does no I/O. */
  constructor(options: VirtualIpOptions) {
    this.#options = resolveVirtualIpOptions(options);
    this.#logger = createLogger({ level: options.logLevel, logger: options.logger });
    this.#neighbours = new Neighbours(this.#options.address);
  }

  /** The address with its prefix, in canonical form. */
  get address(): string {
    return this.#options.address.cidr;
  }

  /** Name of the network interface. */
  get interface(): string {
    return this.#options.device;
  }

  /** See {@link VirtualIpState}. Changes are reported by `onChange`. */
  get state(): VirtualIpState {
    return this.#tenure?.state ?? "absent";
  }

  /** `state` is `"held"`: this object has added the address and not removed it since. `health()` asks the kernel. */
  get held(): boolean {
    return this.state === "held";
  }

  /**
   * Checks whether this host can hold the address, and changes nothing. If other hosts cannot be asked (no perl or python3), it logs
   * `vip-blind` and resolves.
   *
   * @throws ClusterError `VIP_FAILED` when the system is not Linux, `ip` is missing, the interface does not exist or is down,
   * CAP_NET_ADMIN is missing, or the address is configured permanently.
   */
  async check(): Promise<void> {
    if (process.platform !== "linux") {
      throw new ClusterError("VIP_FAILED", `a virtual IP needs Linux, and this is ${process.platform}`);
    }
    const ip = requireIp();
    const link = await readLink(ip, this.interface);
    const problem = linkProblem(link, this.#options);
    if (problem !== null) throw new ClusterError("VIP_FAILED", problem, { recoverable: true });
    this.#lastLink = link;
    await this.#checkRights(ip);
    this.#neighbours.warm();
    const { impossible } = this.#neighbours;
    if (impossible === null) return;
    this.#logger.warn(
      { event: "vip-blind", why: impossible },
      `other hosts cannot be asked about the virtual IP, and it cannot be announced: ${impossible}; each takeover waits for the rest of the lease`,
    );
  }

  /** Deletes an address that no interface has: the kernel checks the permission before it searches for the address. */
  async #checkRights(ip: string): Promise<void> {
    const unassigned = this.#options.address.family === 4 ? ["-4", "0.0.0.0/32"] : ["-6", "::/128"];
    const [family = "", cidr = ""] = unassigned;
    try {
      await run(ip, [family, "addr", "del", cidr, "dev", this.interface]);
    } catch (error) {
      if (/not permitted/i.test(messageOf(error))) throw addError(this.#options, messageOf(error));
    }
  }

  /**
   * Hooks that acquire the address before `onBecomeLeader` and remove it before `onLoseLeadership`. For one node only.
   *
   * @param application - The application's own hooks, which are called by the returned ones.
   */
  hooks(application: Hooks = {}): Hooks {
    const announced = new WeakSet<Term>();
    const hooks: Hooks = {
      onBecomeLeader: async (term) => {
        await this.acquire(term);
        if (term.signal.aborted) return;
        announced.add(term);
        await application.onBecomeLeader?.(term);
      },
      onLoseLeadership: async (term, reason) => {
        await this.release();
        if (announced.has(term)) await application.onLoseLeadership?.(term, reason);
      },
      onLeaderChange: (leader) => {
        this.#neighbours.warm();
        return application.onLeaderChange?.(leader);
      },
      onNatsDisconnect: (error, server) => {
        this.#tenure?.suspend();
        return application.onNatsDisconnect?.(error, server);
      },
      onNatsReconnect: (server) => application.onNatsReconnect?.(server),
    };
    return Object.assign(hooks, { [KEEPS_ADDRESS]: true });
  }

  /**
   * Acquires the address until the term ends; `hooks()` does this by itself. Resolves when the address is on this host and is being
   * announced, or when the term has ended before that. When `term.signal` aborts, the address is removed.
   *
   * @throws ClusterError `VIP_FAILED` when another host keeps the address for longer than a lease, or `ip` fails.
   */
  async acquire(term: Term): Promise<void> {
    await this.release();
    if (term.signal.aborted) return;
    const tenure = new Tenure({
      options: this.#options,
      term,
      ip: requireIp(),
      neighbours: this.#neighbours,
      logger: this.#logger.child({ cluster: term.clusterId, node: term.nodeId }),
      lastLink: this.#lastLink,
      seen: (link) => {
        this.#lastLink = link;
      },
      changed: (state) => this.#notify(state),
    });
    this.#tenure = tenure;
    const end = (): void => void this.#endOf(tenure);
    term.signal.addEventListener("abort", end, { once: true });
    try {
      await tenure.begin();
    } catch (error) {
      await this.#endOf(tenure);
      throw error;
    }
  }

  /** Extends the address now if this gains enough. Not needed: the check also runs every 25 ms. */
  async refresh(_term: Term): Promise<void> {
    this.#tenure?.maintain();
  }

  /** Removes the address if this object added it. Resolves when it is removed. Idempotent. */
  async release(): Promise<void> {
    if (this.#tenure !== null) void this.#endOf(this.#tenure);
    await this.#ended;
  }

  /** Removes the address, and ends the helper process for questions and announcements. Idempotent. */
  async close(): Promise<void> {
    await this.release();
    this.#neighbours.close();
  }

  /**
   * Reads from the kernel whether the address is on the interface.
   *
   * @throws ClusterError `VIP_FAILED` when `ip` or the interface is missing.
   */
  async health(): Promise<VirtualIpHealth> {
    const link = await readLink(requireIp(), this.interface);
    return {
      acquired: this.held,
      ip: this.#options.address.text,
      interface: this.interface,
      onInterface: findAddress(link, this.#options.address) !== null,
      checkedAt: Date.now(),
    };
  }

  /** Calls the listener with the new `state` on every change. Returns the removal of the listener. */
  onChange(listener: (state: VirtualIpState) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** For tests: the keeper, the process that removes the address when this one is killed. */
  get keeperPid(): number | undefined {
    return this.#tenure?.keeperPid;
  }

  #endOf(tenure: Tenure): Promise<void> {
    const ended = tenure.end().then(() => {
      if (this.#tenure === tenure) this.#tenure = null;
    });
    if (this.#tenure === tenure) this.#ended = ended;
    return ended;
  }

  #notify(state: VirtualIpState): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(state);
      } catch (error) {
        this.#logger.error({ event: "vip-listener", err: error }, "a listener of onChange threw");
      }
    }
  }
}
