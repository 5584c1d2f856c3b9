/** An address that is on the leader's host and on no other. */
import { ClusterError, messageOf } from "../errors.ts";
import { type BoundLogger, createLogger } from "../log/logger.ts";
import type { Hooks } from "../node/hooks.ts";
import type { Term } from "../node/term.ts";
import { findAddress, type LinkState, readLink, requireIp, run } from "./ip-command.ts";
import { Neighbours } from "./neighbours.ts";
import { type ResolvedVirtualIpOptions, resolveVirtualIpOptions, type VirtualIpOptions } from "./options.ts";
import { addError, linkProblem, Tenure, type VirtualIpState } from "./tenure.ts";

/** What `health()` found on the interface itself. */
export interface VirtualIpHealth {
  readonly acquired: boolean;
  readonly ip: string;
  readonly interface: string;
  readonly onInterface: boolean;
  /** Unix milliseconds. */
  readonly checkedAt: number;
}

/**
 * A virtual IP on Linux, driven by the terms of a node:
 *
 * ```ts
 * const vip = new VirtualIp({ address: "10.0.0.100/32", interface: "eth0" });
 * await vip.check();
 * const node = new Node(options, vip.hooks({ async onBecomeLeader(term) { ... } }));
 * ```
 *
 * When `onBecomeLeader` is called the address is here and is being announced; when `onLoseLeadership` is called it is gone. If it
 * can't be had, the node steps down as if `onBecomeLeader` had thrown, and cools down.
 */
export class VirtualIp {
  readonly #options: ResolvedVirtualIpOptions;
  readonly #logger: BoundLogger;
  readonly #neighbours: Neighbours;
  readonly #listeners = new Set<(state: VirtualIpState) => void>();
  #lastLink: LinkState | null = null;
  #tenure: Tenure | null = null;
  /** The end of the tenure before, which the next one waits for. */
  #ended: Promise<void> = Promise.resolve();

  /** @throws ClusterError `INVALID_CONFIG`, naming every option that is wrong. Does no I/O. */
  constructor(options: VirtualIpOptions) {
    this.#options = resolveVirtualIpOptions(options);
    this.#logger = createLogger({ level: options.logLevel, logger: options.logger });
    this.#neighbours = new Neighbours(this.#options.address);
  }

  /** With prefix, in canonical form. */
  get address(): string {
    return this.#options.address.cidr;
  }

  get interface(): string {
    return this.#options.device;
  }

  get state(): VirtualIpState {
    return this.#tenure?.state ?? "absent";
  }

  /** Is the address on this host now, put there by this object? */
  get held(): boolean {
    return this.state === "held";
  }

  /**
   * Can this host have the address? Looks, and changes nothing. Rejects with `VIP_FAILED`: not Linux, no `ip` command, no such
   * interface or down, no CAP_NET_ADMIN, the address is configured for good. Only logs what is merely a pity.
   */
  async check(): Promise<void> {
    if (process.platform !== "linux") {
      throw new ClusterError("VIP_FAILED", `a virtual IP needs Linux, this is ${process.platform}`);
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
      `the virtual IP can't be asked for or announced: ${impossible}; takeovers take the whole lease`,
    );
  }

  /** The kernel checks the right before it looks for the address, and nobody has this one. */
  async #checkRights(ip: string): Promise<void> {
    const nobodys = this.#options.address.family === 4 ? ["-4", "0.0.0.0/32"] : ["-6", "::/128"];
    const [family = "", cidr = ""] = nobodys;
    try {
      await run(ip, [family, "addr", "del", cidr, "dev", this.interface]);
    } catch (error) {
      if (/not permitted/i.test(messageOf(error))) throw addError(this.#options, messageOf(error));
    }
  }

  /** These hooks with the address around them. For one node. */
  hooks(application: Hooks = {}): Hooks {
    const announced = new WeakSet<Term>();
    return {
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
      onNatsDisconnect: (error) => {
        this.#tenure?.suspend();
        return application.onNatsDisconnect?.(error);
      },
      onNatsReconnect: () => application.onNatsReconnect?.(),
    };
  }

  /**
   * Takes the address for as long as the term lasts. Resolves when it is here and is being announced, or when the term has
   * ended before that. Rejects with `VIP_FAILED`. The end of the term, announced by `term.signal`, removes it at once.
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
      changed: (state) => this.#tell(state),
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

  /** Looks at once whether the address has to be extended. Not needed: it looks by itself. For a manager's daemon. */
  async refresh(_term: Term): Promise<void> {
    this.#tenure?.look();
  }

  /** Removes the address if it was added here. Resolves when it is gone. Idempotent. */
  async release(): Promise<void> {
    if (this.#tenure !== null) void this.#endOf(this.#tenure);
    await this.#ended;
  }

  /** Removes the address and ends the helper process, which otherwise ends with this one. */
  async close(): Promise<void> {
    await this.release();
    this.#neighbours.close();
  }

  /** Is it really there? Asks the kernel. */
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

  /** Hears of every change of `state`. Returns the cancellation. */
  onChange(listener: (state: VirtualIpState) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** For tests: the process that removes the address when this one dies. */
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

  #tell(state: VirtualIpState): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(state);
      } catch (error) {
        this.#logger.error({ event: "vip-listener", err: error }, "a listener of the virtual IP threw");
      }
    }
  }
}
