/**
 * Waits until no other host has the address.
 *
 * After a takeover by a closed connection the lease alone does not guarantee this. The next leader takes over about 15 ms after a
 * `kill -9`, and the keeper of the killed process may not have removed the address by then. If the keeper was killed, too, the kernel
 * removes the address, up to one lease later. A new leader therefore asks the other hosts: the kernel of a host answers as long as it
 * has the address, even if the processes have ended.
 *
 * HOW LONG AN EARLIER HOLDER CAN HAVE IT. The kernel's lifetime ends before the earlier holder's `remainingMs`, whatever it promised: F
 * after a beat, or S after a write, that it sent before its record was replaced. Takeovers by silence and by an expired lease come
 * after that time. One by a closed connection may come before it, at most S(earlier holder) less its age. The new leader's lease ends
 * S(new leader) after the write that replaced the record, so its `leaseRemainingMs` covers every earlier holder with at most the same
 * `leaseTtlMs`, whatever the two promise. Its `remainingMs` does not: the earlier holder may have promised more, or nothing.
 */
import { setTimeout as pause } from "node:timers/promises";
import { ClusterError, messageOf } from "../errors.ts";
import type { EventLogger } from "../log/events.ts";
import type { Term } from "../node/term.ts";
import { type AskableLink, askable, type LinkState } from "./ip-command.ts";
import type { Neighbours } from "./neighbours.ts";
import type { ResolvedVirtualIpOptions } from "./options.ts";

/** Pause between two rounds of questions while another host has the address. */
const ASK_AGAIN_MS = 5;
/** Added to the wait for another host, whose address ends before its lease does. */
const GRACE_MS = 1000;

export interface VacancyParts {
  readonly options: ResolvedVirtualIpOptions;
  readonly term: Term;
  readonly neighbours: Neighbours;
  readonly logger: EventLogger;
}

/** Rejects with `VIP_FAILED` if a host has the address for longer than the remaining lease, or with the signal's reason. */
export async function waitUntilFree(p: VacancyParts, link: LinkState, signal: AbortSignal): Promise<void> {
  const { acquireDelayMs, device } = p.options;
  if (acquireDelayMs !== null) {
    await pause(acquireDelayMs, undefined, { signal });
    return;
  }
  const asked = askable(link);
  if (asked === null) return waitForLease(p, `interface "${device}" does not resolve neighbours`, signal);
  const limitMs = p.term.leaseRemainingMs + GRACE_MS;
  const giveUpAt = performance.now() + limitMs;
  for (let owner = await ask(p, asked, signal), first = true; owner !== null; first = false) {
    if (first) reportOwner(p, owner, limitMs);
    if (performance.now() >= giveUpAt) throw inUse(p, owner, limitMs);
    await pause(ASK_AGAIN_MS, undefined, { signal });
    owner = await ask(p, asked, signal);
  }
}

/** The hardware address of another host that has the address. `null`: no host answers, or none can have it any more. */
async function ask(p: VacancyParts, link: AskableLink, signal: AbortSignal): Promise<string | null> {
  try {
    const owner = await p.neighbours.ask(link, p.options.silenceMs);
    signal.throwIfAborted();
    return owner;
  } catch (error) {
    signal.throwIfAborted();
    await waitForLease(p, messageOf(error), signal);
    return null;
  }
}

/** Waits for the rest of the lease: the previous holder's lease, and with it its address, ends before the lease that replaced it. */
async function waitForLease(p: VacancyParts, why: string, signal: AbortSignal): Promise<void> {
  const waitMs = Math.ceil(p.term.leaseRemainingMs);
  p.logger.warn(
    { event: "vip-blind", why, waitMs },
    `cannot ask whether another host has the virtual IP: ${why}; waiting ${waitMs} ms, the rest of the lease`,
  );
  await pause(waitMs, undefined, { signal });
}

function reportOwner(p: VacancyParts, owner: string, limitMs: number): void {
  p.logger.warn(
    { event: "vip-waiting", address: p.options.address.cidr, owner },
    `another host (${owner}) has the virtual IP; waiting at most ${Math.round(limitMs)} ms until it is removed there`,
  );
}

function inUse(p: VacancyParts, owner: string, waitedMs: number): ClusterError {
  return new ClusterError(
    "VIP_FAILED",
    `virtual IP ${p.options.address.text} is in use by ${owner}, which still answers after ${Math.round(waitedMs)} ms, longer than ` +
      "a lease: remove the address from that host",
    { recoverable: true },
  );
}
