/**
 * The address during one term. The order, which is the point:
 *
 *     lease won -> nobody answers for the address -> added -> announced -> the application's onBecomeLeader
 *     term.signal aborts -> removed -> the application's onLoseLeadership -> lease released
 *
 * A suspended leader (its connection is down) gives the address up as well and takes it back when it resumes.
 */
import { setTimeout as pause } from "node:timers/promises";
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

const LOOK_EVERY_MS = 25;
/** Not held at so many looks in a row is a suspension; a busy event loop alone makes it fewer. */
const LOOKS_TO_SUSPEND = 4;
const RETRY_MS = 500;
const LATE_RETRY_MS = 100;
/** Pause before the address is added again that could not be. */
const ADD_AGAIN_MS = 20;

/** `waiting`: the lease is won, somebody else still has the address. */
export type VirtualIpState = "absent" | "waiting" | "held" | "suspended";

export interface TenureParts {
  readonly options: ResolvedVirtualIpOptions;
  readonly term: Term;
  readonly ip: string;
  readonly neighbours: Neighbours;
  /** The interface as it was when somebody looked last. */
  readonly lastLink: LinkState | null;
  readonly logger: EventLogger;
  readonly changed: (state: VirtualIpState) => void;
  readonly seen: (link: LinkState) => void;
}

export class Tenure {
  readonly #p: TenureParts;
  readonly #over = new AbortController();
  #keeper: Keeper | null = null;
  #link: AskableLink | null = null;
  #state: VirtualIpState = "absent";
  #looks: NodeJS.Timeout | null = null;
  readonly #announcer: Announcer;
  #notHeld = 0;
  #busy = false;
  /** Monotonic milliseconds at which the kernel removes the address at the earliest. */
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

  /** Of the keeper, for tests. */
  get keeperPid(): number | undefined {
    return this.#keeper?.pid;
  }

  /** Resolves when the address is here and its announcement on the way, or when the term has ended. Rejects with `VIP_FAILED`. */
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
    this.#looks = setInterval(() => this.look(), LOOK_EVERY_MS);
    this.#looks.unref();
    if (this.#link !== null) void this.#announcer.announce(this.#link);
  }

  /** Removes the address, at once. Resolves when it is gone. Idempotent, never rejects. */
  end(): Promise<void> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<void> {
    const { options, logger } = this.#p;
    const wasHeld = this.#state === "held";
    this.#over.abort();
    if (this.#looks !== null) clearInterval(this.#looks);
    this.#looks = null;
    this.#announcer.stop();
    // Somebody killed the keeper: another one cleans up behind it.
    if (this.#keeper?.running === false && wasHeld) this.#keeper = this.#newKeeper(true);
    const keeper = this.#keeper;
    // Behind whatever is on its way to the keeper, so nothing can put the address back.
    const answer = (await keeper?.drop()) ?? { kind: "gone" };
    if (answer.kind === "failed") {
      const fields = {
        event: "vip-stuck",
        address: options.address.cidr,
        interface: options.device,
      } as const;
      logger.error(
        { ...fields, why: answer.message },
        "virtual IP not removed; the kernel does so before the lease ends",
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

  /** The interface, once no other host has the address. Asked as it was last seen, while it is looked at anew. */
  async #freeLink(): Promise<LinkState> {
    const { signal } = this.#over;
    const { lastLink } = this.#p;
    // The question goes out first: starting processes keeps this one busy for some 10 ms each.
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

  /** Adds the address. One that is on this host already was not added by us: it is waited for, never touched. */
  async #add(): Promise<void> {
    const { options, term } = this.#p;
    const { signal } = this.#over;
    // Between two renewals there may be too little left; right after one there is enough, or never.
    const giveUpAt = performance.now() + term.remainingMs;
    for (;;) {
      signal.throwIfAborted();
      const answer = await this.#hold();
      signal.throwIfAborted();
      if (answer.kind === "held") return;
      const message = answer.kind === "failed" ? answer.message : "";
      if (/File exists|already assigned/i.test(message)) await this.#usableLink();
      else if (message !== "") throw addError(options, message);
      else if (performance.now() >= giveUpAt) throw this.#leaseTooShort();
      await pause(ADD_AGAIN_MS, undefined, { signal });
    }
  }

  #leaseTooShort(): ClusterError {
    return new ClusterError(
      "VIP_FAILED",
      `virtual IP ${this.#p.options.address.cidr}: less than ${LEAST_REMAINING_MS} ms of the lease are left, and the kernel counts ` +
        "an address's lifetime in seconds; use leaseTtlMs >= 3000",
      { recoverable: true },
    );
  }

  async #hold(): Promise<KeeperAnswer> {
    const sentAt = performance.now();
    // Not held: whatever is left of the lease is not ours to use.
    this.#keeper ??= this.#newKeeper(false);
    const answer = await this.#keeper.hold(() => (this.#p.term.held ? this.#p.term.remainingMs : 0));
    if (answer.kind === "held") this.#endsAtMs = sentAt + answer.seconds * 1000;
    return answer;
  }

  // ---------------------------------------------------------------------------------------------------- holding

  /** Extends the address if that is worth it, and gives it up when the term is suspended. */
  look(): void {
    const { term } = this.#p;
    if (this.#over.signal.aborted || this.#looks === null) return;
    this.#notHeld = term.held ? 0 : this.#notHeld + 1;
    if (this.#notHeld >= LOOKS_TO_SUSPEND) this.suspend();
    if (!term.held || this.#busy) return;
    const now = performance.now();
    if (now < this.#retryAtMs) return;
    const missing = this.#state === "suspended" || now >= this.#endsAtMs || this.#keeper?.running !== true;
    if (missing || worthRefreshing(term.remainingMs, this.#endsAtMs - now)) void this.#refresh(missing);
  }

  /** The connection is down: others may be taking over. */
  suspend(): void {
    if (this.#state !== "held" || this.#over.signal.aborted || this.#p.term.held) return;
    this.#set("suspended");
    this.#announcer.stop();
    this.#endsAtMs = 0;
    void this.#keeper?.drop();
    this.#p.logger.warn({ event: "vip-suspended" }, "virtual IP removed: the leader is suspended");
  }

  async #refresh(missing: boolean): Promise<void> {
    this.#busy = true;
    // Somebody killed the keeper. What it added is still ours, and the kernel's clock runs on it.
    if (this.#keeper?.running !== true) this.#keeper = this.#newKeeper(true);
    const answer = await this.#hold();
    this.#busy = false;
    // Late: it is there as long as it was going to be, or comes with the next renewal.
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
      "virtual IP can't be kept; trying again",
    );
  }
}

/** Why the address can't be put on this interface; `null` when it can. */
export function linkProblem(link: LinkState, options: ResolvedVirtualIpOptions): string | null {
  const { device, address } = options;
  if (link.loopback)
    return `virtual IP: interface "${device}" is the loopback: nobody else could reach the address`;
  if (!link.up) return `virtual IP: interface "${device}" is down: ip link set ${device} up`;
  const present = findAddress(link, address);
  if (present === null || present.lifetimeS !== null) return null;
  return (
    `virtual IP: ${address.text}/${present.prefix} is on "${device}" already, for good. Only what was added here is ` +
    "ever removed: take it out of the host's own configuration"
  );
}

/** What the kernel's refusal means. */
export function addError(options: ResolvedVirtualIpOptions, message: string): ClusterError {
  const { device, address } = options;
  const hint = /not permitted/i.test(message)
    ? "; this needs CAP_NET_ADMIN: run as root, or give the service AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW, " +
      "or the container --cap-add NET_ADMIN"
    : "";
  return new ClusterError(
    "VIP_FAILED",
    `can't put virtual IP ${address.cidr} on "${device}": ${message}${hint}`,
    { recoverable: true },
  );
}
