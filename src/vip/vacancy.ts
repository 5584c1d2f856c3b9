/**
 * Waits until no other host has the address.
 *
 * The lease alone does not say so after a crash: the next leader is there 15 ms after a `kill -9`, and whether the dead
 * process's keeper has removed the address by then is a matter of scheduling; killed together with its process it
 * never does, and the kernel ends the address up to S later. So the network itself is asked. A host answers for an
 * address as long as its kernel has it, whatever became of its processes.
 */
import { setTimeout as pause } from "node:timers/promises";
import { ClusterError, messageOf } from "../errors.ts";
import type { EventLogger } from "../log/events.ts";
import type { Term } from "../node/term.ts";
import { type AskableLink, askable, type LinkState } from "./ip-command.ts";
import type { Neighbours } from "./neighbours.ts";
import type { ResolvedVirtualIpOptions } from "./options.ts";

/** Pause between two rounds of questions while another host still has the address. */
const ASK_AGAIN_MS = 5;
/** Beyond the lease that was replaced nobody may have the address. */
const GRACE_MS = 1000;

export interface VacancyParts {
  readonly options: ResolvedVirtualIpOptions;
  readonly term: Term;
  readonly neighbours: Neighbours;
  readonly logger: EventLogger;
}

/** Rejects with `VIP_FAILED` when a host keeps the address longer than any lease, or with the signal's reason. */
export async function waitUntilFree(p: VacancyParts, link: LinkState, signal: AbortSignal): Promise<void> {
  const { acquireDelayMs, device } = p.options;
  if (acquireDelayMs !== null) {
    await pause(acquireDelayMs, undefined, { signal });
    return;
  }
  const asked = askable(link);
  if (asked === null) return waitBlindly(p, `interface "${device}" has no neighbours to ask`, signal);
  const patienceMs = p.term.remainingMs + GRACE_MS;
  const giveUpAt = performance.now() + patienceMs;
  for (let owner = await ask(p, asked, signal), first = true; owner !== null; first = false) {
    if (first) reportOwner(p, owner);
    if (performance.now() >= giveUpAt) throw inUse(p, owner, patienceMs);
    await pause(ASK_AGAIN_MS, undefined, { signal });
    owner = await ask(p, asked, signal);
  }
}

/** `null`: nobody has it, or so much time has passed that nobody can. */
async function ask(p: VacancyParts, link: AskableLink, signal: AbortSignal): Promise<string | null> {
  try {
    const owner = await p.neighbours.ask(link, p.options.silenceMs);
    signal.throwIfAborted();
    return owner;
  } catch (error) {
    signal.throwIfAborted();
    await waitBlindly(p, messageOf(error), signal);
    return null;
  }
}

/** Whoever held the lease before has lost the address by the time a lease ends that is renewed now. */
async function waitBlindly(p: VacancyParts, why: string, signal: AbortSignal): Promise<void> {
  const waitMs = Math.ceil(p.term.remainingMs);
  p.logger.warn(
    { event: "vip-blind", why, waitMs },
    `can't ask whether another host still has the virtual IP (${why}); waiting ${waitMs} ms instead`,
  );
  await pause(waitMs, undefined, { signal });
}

function reportOwner(p: VacancyParts, owner: string): void {
  p.logger.warn(
    { event: "vip-waiting", address: p.options.address.cidr, owner },
    `another host (${owner}) still has the virtual IP; waiting until it lets go`,
  );
}

function inUse(p: VacancyParts, owner: string, waitedMs: number): ClusterError {
  return new ClusterError(
    "VIP_FAILED",
    `virtual IP ${p.options.address.text} is in use by ${owner}, and has been for ${Math.round(waitedMs)} ms, longer than any ` +
      "lease of this cluster: find that host and take the address off it",
    { recoverable: true },
  );
}
