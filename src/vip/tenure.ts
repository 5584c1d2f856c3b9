/**
 * The address during one term. This order keeps two hosts from having the address at once (exceptions: docs/vip.md):
 *
 *     lease won -> no host answers for the address -> added -> announced -> the application's onBecomeLeader
 *     term.signal aborts -> removed -> the application's onLoseLeadership -> lease released
 *
 * The address is also removed when the term is suspended (the connection is lost, or its server is silent), and added again when it
 * resumes. Its lifetime in the kernel ends before another node may lead (`lifetime.ts`).
 */
import { setTimeout as pause } from "node:timers/promises";
import { MIN_VIP_SILENCE_MS } from "../config/silence.ts";
import { ClusterError } from "../errors.ts";
import type { EventLogger } from "../log/events.ts";
import type { Term } from "../node/term.ts";
import { Announcer } from "./announcer.ts";
import { type AskableLink, askable, findAddress, type LinkState, readLink, sameLink } from "./ip-command.ts";
import { Keeper, type KeeperAnswer } from "./keeper.ts";
import { LEAST_REMAINING_MS, worthRefreshing } from "./lifetime.ts";
import type { Neighbours } from "./neighbours.ts";
import type { ResolvedVirtualIpOptions } from "./options.ts";
import { waitUntilFree } from "./vacancy.ts";

const CHECK_EVERY_MS = 25;
/** A term that is not held at so many checks in a row is suspended. A busy event loop alone causes fewer. */
const CHECKS_TO_SUSPEND = 4;
const RETRY_MS = 500;
const LATE_RETRY_MS = 100;
/** Pause between two attempts to add the address. */
const ADD_AGAIN_MS = 20;

/**
 * `absent`: not on this host. `waiting`: the lease is won, and the address is being acquired. `held`: on this host. `suspended`:
 * removed until the term resumes.
 */
export type VirtualIpState = "absent" | "waiting" | "held" | "suspended";

export interface TenureParts {
  readonly options: ResolvedVirtualIpOptions;
  readonly term: Term;
  readonly ip: string;
  readonly neighbours: Neighbours;
  /** The interface as it was last read. */
  readonly lastLink: LinkState | null;
  readonly logger: EventLogger;
  /** Called on every change of the state. */
  readonly changed: (state: VirtualIpState) => void;
  /** Called with the interface when it was read. */
  readonly seen: (link: LinkState) => void;
}

export class Tenure {
  readonly #p: TenureParts;
  readonly #over = new AbortController();
  #keeper: Keeper | null = null;
  #link: AskableLink | null = null;
  #state: VirtualIpState = "absent";
  #checks: NodeJS.Timeout | null = null;
  readonly #announcer: Announcer;
  /** Checks in a row at which the term was not held. */
  #notHeld = 0;
  #busy = false;
  /** Earliest time at which the kernel removes the address, monotonic. */
  #endsAtMs = 0;
  #retryAtMs = 0;
  #ending: Promise<void> | null = null;

  constructor(parts: TenureParts) {
    this.#p = parts;
    const { neighbours, options, logger } = parts;
    this.#announcer = new Announcer(neighbours, options.announceAtMs, logger);
  }

  get state(): VirtualIpState {
    return this.#state;
  }

  /** For tests. */
  get keeperPid(): number | undefined {
    return this.#keeper?.pid;
  }

  /** Resolves when the address is on this host and is being announced, or when the term has ended. Rejects with `VIP_FAILED`. */
  async begin(): Promise<void> {
    const { term, logger, options } = this.#p;
    this.#set("waiting");
    const began = performance.now();
    try {
      this.#link = askable(await this.#freeLink());
      await this.#add();
    } catch (error) {
      if (this.#over.signal.aborted) return;
      throw error;
    }
    if (this.#over.signal.aborted) return;
    this.#set("held");
    const tookMs = Math.round(performance.now() - began);
    const fields = {
      event: "vip-acquired",
      address: options.address.cidr,
      interface: options.device,
      tookMs,
    } as const;
    logger.info({ ...fields, epoch: term.epoch }, "virtual IP acquired");
    this.#checks = setInterval(() => this.maintain(), CHECK_EVERY_MS);
    this.#checks.unref();
    if (this.#link !== null) void this.#announcer.announce(this.#link);
  }

  /** Removes the address. Resolves when it is removed, or when that has failed. Idempotent, never rejects. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    const { options, logger } = this.#p;
    const wasHeld = this.#state === "held";
    this.#over.abort();
    if (this.#checks !== null) clearInterval(this.#checks);
    this.#checks = null;
    this.#announcer.stop();
    // The keeper was killed: a new one removes the address.
    if (this.#keeper?.running === false && wasHeld) this.#keeper = this.#newKeeper(true);
    const keeper = this.#keeper;
    // The keeper executes commands in order, so no earlier command can add the address after this one.
    const answer = (await keeper?.drop()) ?? { kind: "gone" };
    if (answer.kind === "failed") {
      const fields = {
        event: "vip-stuck",
        address: options.address.cidr,
        interface: options.device,
      } as const;
      logger.error(
        { ...fields, why: answer.message },
        `virtual IP not removed: ${answer.message}; the kernel removes it before another node may lead`,
      );
    } else if (wasHeld) {
      const fields = {
        event: "vip-released",
        address: options.address.cidr,
        interface: options.device,
      } as const;
      logger.info(fields, "virtual IP released");
    }
    await keeper?.close();
    this.#set("absent");
  }

  #newKeeper(adopt: boolean): Keeper {
    const { ip, options } = this.#p;
    return new Keeper({ ip, address: options.address, device: options.device, adopt });
  }

  #set(state: VirtualIpState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#p.changed(state);
  }

  // -------------------------------------------------------------------------------------------------- acquiring

  /** The interface, once no other host has the address. The question is sent on the last known interface while it is read again. */
  async #freeLink(): Promise<LinkState> {
    const { signal } = this.#over;
    const { lastLink } = this.#p;
    // Send the question first: to start a process occupies this one for about 10 ms.
    const asking = lastLink === null ? null : waitUntilFree(this.#p, lastLink, signal);
    asking?.catch(() => {}); // awaited below
    this.#keeper = this.#newKeeper(false);
    const link = await this.#usableLink();
    await asking;
    if (lastLink === null || !sameLink(link, lastLink)) await waitUntilFree(this.#p, link, signal);
    return link;
  }

  async #usableLink(): Promise<LinkState> {
    const { ip, options } = this.#p;
    const link = await readLink(ip, options.device);
    const problem = linkProblem(link, options);
    if (problem !== null) throw new ClusterError("VIP_FAILED", problem, { recoverable: true });
    this.#p.seen(link);
    return link;
  }

  /** Adds the address. If it is already on this host, this process did not add it: wait until it is removed. */
  async #add(): Promise<void> {
    const { options, term } = this.#p;
    const { signal } = this.#over;
    // Between two renewals or beats too little time may be left. Immediately after one there is enough, or there never is, unless
    // the term is suspended.
    let giveUpAt: number | null = null;
    for (;;) {
      signal.throwIfAborted();
      giveUpAt = term.held ? (giveUpAt ?? performance.now() + term.remainingMs) : null;
      const answer = await this.#hold();
      signal.throwIfAborted();
      if (answer.kind === "held") return;
      const message = answer.kind === "failed" ? answer.message : "";
      if (/File exists|already assigned/i.test(message)) await this.#usableLink();
      else if (message !== "") throw addError(options, message);
      else if (isOver(term, giveUpAt)) throw this.#timeTooShort();
      await pause(ADD_AGAIN_MS, undefined, { signal });
    }
  }

  #timeTooShort(): ClusterError {
    return new ClusterError(
      "VIP_FAILED",
      `cannot add virtual IP ${this.#p.options.address.cidr}: another node may lead in less than ${LEAST_REMAINING_MS} ms, and the kernel ` +
        "counts the lifetime of an address in seconds: set the node option leaseTtlMs to at least 3000, and the node option silenceMs to " +
        `0 or at least ${MIN_VIP_SILENCE_MS}`,
      { recoverable: true },
    );
  }

  async #hold(): Promise<KeeperAnswer> {
    const sentAt = performance.now();
    // While the term is not held, the rest of the time must not be used.
    this.#keeper ??= this.#newKeeper(false);
    const answer = await this.#keeper.hold(() => (this.#p.term.held ? this.#p.term.remainingMs : 0));
    if (answer.kind === "held") this.#endsAtMs = sentAt + answer.seconds * 1000;
    return answer;
  }

  // ---------------------------------------------------------------------------------------------------- holding

  /** Extends the address if this gains enough, removes it when the term is suspended, and adds it when the term resumes. */
  maintain(): void {
    const { term } = this.#p;
    if (this.#over.signal.aborted || this.#checks === null) return;
    this.#notHeld = term.held ? 0 : this.#notHeld + 1;
    if (this.#notHeld >= CHECKS_TO_SUSPEND) this.suspend();
    if (!term.held || this.#busy) return;
    const now = performance.now();
    if (now < this.#retryAtMs) return;
    const missing = this.#state === "suspended" || now >= this.#endsAtMs || this.#keeper?.running !== true;
    if (missing || worthRefreshing(term.remainingMs, this.#endsAtMs - now)) void this.#refresh(missing);
  }

  /** Removes the address unless the term is held: another node may be taking over. */
  suspend(): void {
    if (this.#state !== "held" || this.#over.signal.aborted || this.#p.term.held) return;
    this.#set("suspended");
    this.#announcer.stop();
    this.#endsAtMs = 0;
    void this.#keeper?.drop();
    this.#p.logger.warn(
      { event: "vip-suspended" },
      "virtual IP removed: the term is suspended; it is added again when the term resumes",
    );
  }

  async #refresh(missing: boolean): Promise<void> {
    this.#busy = true;
    // The keeper was killed. The address that it added belongs to this process, and its lifetime runs on.
    if (this.#keeper?.running !== true) this.#keeper = this.#newKeeper(true);
    const answer = await this.#hold();
    this.#busy = false;
    // Too late: the address keeps its lifetime, or is added after the next renewal.
    if (answer.kind === "late") this.#retryAtMs = performance.now() + LATE_RETRY_MS;
    if (this.#over.signal.aborted || answer.kind === "late") return;
    if (answer.kind !== "held") {
      this.#endsAtMs = 0;
      this.#retryAtMs = performance.now() + RETRY_MS;
      if (answer.kind === "failed") this.#reportFailure(answer.message);
      return;
    }
    if (!missing) return;
    this.#set("held");
    if (this.#link !== null) void this.#announcer.announce(this.#link);
  }

  #reportFailure(message: string): void {
    const { logger, options } = this.#p;
    logger.error(
      { event: "vip-failing", address: options.address.cidr, interface: options.device, why: message },
      `virtual IP not added or extended: ${message}; next attempt in ${RETRY_MS} ms`,
    );
  }
}

/** Has the time for the attempts to add the address passed, or the term's lease ended? */
function isOver(term: Term, giveUpAt: number | null): boolean {
  return giveUpAt === null ? term.leaseRemainingMs <= 0 : performance.now() >= giveUpAt;
}

/** Why the address cannot be added to this interface; `null` if it can. */
export function linkProblem(link: LinkState, options: ResolvedVirtualIpOptions): string | null {
  const { device, address } = options;
  if (link.loopback)
    return `virtual IP: interface "${device}" is the loopback, which other hosts cannot reach: use another one`;
  if (!link.up) return `virtual IP: interface "${device}" is down: ip link set ${device} up`;
  const present = findAddress(link, address);
  if (present === null || present.lifetimeS !== null) return null;
  return (
    `virtual IP: ${address.text}/${present.prefix} is already configured permanently on "${device}": remove it from the host's own ` +
    "configuration, because only an address that this process has added is ever removed"
  );
}

/** The error for a refusal of the kernel. */
export function addError(options: ResolvedVirtualIpOptions, message: string): ClusterError {
  const { device, address } = options;
  const hint = /not permitted/i.test(message)
    ? "; this needs CAP_NET_ADMIN: run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW, " +
      "or the container --cap-add NET_ADMIN"
    : "";
  return new ClusterError(
    "VIP_FAILED",
    `cannot add virtual IP ${address.cidr} to "${device}": ${message}${hint}`,
    { recoverable: true },
  );
}
