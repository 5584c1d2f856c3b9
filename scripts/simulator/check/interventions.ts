/**
 * Operators who take the lease away from a live leader. Two leaders are then documented, but only within the bounds that
 * are checked here.
 */
import { newestSequence } from "../../../src/election/outlook.ts";
import type { LeaseEntry } from "../../../src/election/types.ts";
import type { Process } from "../host.ts";

/**
 * `deleted`: the lease is replaced by a delete marker. `purged`: it is removed without a marker. `aged`: the same in a
 * bucket with max-age, where it is indistinguishable from an expiry, so no node has to wait for the holder. `lost`: the bucket has
 * lost its newest messages; `recreated`: it is deleted. `garbage`: it is overwritten with something that is not a record. `forged`: it is
 * overwritten with a record of no node.
 */
export type InterventionKind = "deleted" | "purged" | "aged" | "lost" | "recreated" | "garbage" | "forged";

interface Intervention {
  readonly kind: InterventionKind;
  readonly leader: Process;
  readonly epoch: number;
  /** Processes that had seen the leader's lease. They must still wait until it expires. */
  readonly informed: ReadonlySet<Process>;
  /** An uninformed process has taken over, so two nodes lead. A third one that follows the new term adds no violation. */
  overtaken: boolean;
}

export class Interventions {
  readonly #all: Intervention[] = [];

  begin(kind: InterventionKind, processes: readonly Process[], entry: LeaseEntry | null): void {
    for (const leader of processes) {
      const epoch = termOf(leader, entry);
      if (!leader.alive || epoch === null) continue;
      const newest = entry?.revision ?? 0;
      const informed = new Set(processes.filter((process) => knows(process, leader, epoch, kind, newest)));
      this.#all.push({ kind, leader, epoch, informed, overtaken: false });
    }
  }

  /** A term has begun. */
  elected(process: Process): void {
    for (const intervention of this.#all) {
      if (!mustWait(intervention, process) && intervention.leader !== process) intervention.overtaken = true;
    }
  }

  /** Whether an operator has taken this leader's lease away. */
  concern(process: Process): boolean {
    return this.#all.some(({ leader }) => leader === process);
  }

  /** Whether `other` may lead while `deposed` leads or counts on its lease: `other` could not know the lease that was taken away. */
  excuse(deposed: Process, other: Process): boolean {
    const { role } = deposed.driver.state;
    return this.#all.some(
      (intervention) =>
        intervention.leader === deposed &&
        "term" in role &&
        role.term.epoch === intervention.epoch &&
        (intervention.overtaken || !mustWait(intervention, other)),
    );
  }
}

function mustWait({ kind, leader, informed }: Intervention, process: Process): boolean {
  // A forged record that is believed takes the place of the lease that was known.
  if (informed.has(process) && kind !== "forged") return true;
  // After garbage or a forged record every node waits for the TTL that it would give its own lease.
  return (
    (kind === "garbage" || kind === "forged") &&
    process.host.options.leaseTtlMs >= leader.host.options.leaseTtlMs
  );
}

/** The epoch in which a process leads, or will lead when the ack of its write arrives. */
function termOf({ driver, incarnation }: Process, entry: LeaseEntry | null): number | null {
  const { role } = driver.state;
  if (role.name === "leader" || role.name === "suspended") return role.term.epoch;
  return entry?.kind === "record" && entry.record.incarnation === incarnation ? entry.record.epoch : null;
}

function knows(
  process: Process,
  leader: Process,
  epoch: number,
  kind: InterventionKind,
  newest: number,
): boolean {
  const { state } = process.driver;
  const { view } = state.lease;
  const { takeoverWait } = state.holder;
  if (kind === "aged" || view.kind === "unknown") return false;
  const isKnown = view.kind === "occupied" && view.record?.incarnation === leader.incarnation;
  // It does not know the TTL of a lease that it has not read.
  const waitMs = Math.max(process.host.options.leaseTtlMs, takeoverWait?.waitMs ?? 0);
  const isLongEnough = isKnown || waitMs >= leader.host.options.leaseTtlMs;
  // It will find that the stream has grown beyond what it has seen. On an empty key other keys may be why: once is enough.
  if ((takeoverWait === null || view.kind === "vacant") && (kind === "deleted" || kind === "purged")) {
    const hasWaited = view.kind === "vacant" && view.revision === 0 && takeoverWait?.afterGrowth === true;
    return isLongEnough && newestSequence(view) < newest && (kind === "deleted" || !hasWaited);
  }
  // In another bucket it can see nothing of the one before.
  if (kind === "recreated") return isLongEnough && state.role.name !== "leader";
  if (takeoverWait === null && kind !== "garbage") return false;
  return isKnown && view.record?.epoch === epoch;
}
