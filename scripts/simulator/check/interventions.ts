/** What an operator who takes the lease away under a live leader has to answer for: documented, and bounded here. */
import type { LeaseEntry } from "../../../src/election/types.ts";
import type { Process } from "../host.ts";

/**
 * `deleted`: a marker stands in its place. `vanished`: nothing does. `aged`: the same in a bucket with a max-age, where it
 * can't be told from an expiry, so that nobody has to wait for its holder. `garbage`: something that is no record was written over it.
 */
export type TamperingKind = "deleted" | "vanished" | "aged" | "garbage";

interface Tampering {
  readonly kind: TamperingKind;
  readonly leader: Process;
  readonly epoch: number;
  /** Processes that had the leader's lease before their eyes must have outwaited it all the same. */
  readonly informed: ReadonlySet<Process>;
  /** Somebody who did not know has taken over: two lead, whoever follows *them* makes it no worse. */
  overtaken: boolean;
}

export class Tamperings {
  readonly #all: Tampering[] = [];

  /** Has any lease been taken away at all? */
  get any(): boolean {
    return this.#all.length > 0;
  }

  begin(kind: TamperingKind, processes: readonly Process[], entry: LeaseEntry | null): void {
    for (const leader of processes) {
      const epoch = termOf(leader, entry);
      if (!leader.alive || epoch === null) continue;
      const informed = new Set(processes.filter((process) => knows(process, leader, epoch, kind)));
      this.#all.push({ kind, leader, epoch, informed, overtaken: false });
    }
  }

  /** A term has begun. */
  elected(process: Process): void {
    for (const tampering of this.#all) {
      if (!mustWait(tampering, process) && tampering.leader !== process) tampering.overtaken = true;
    }
  }

  /** Has somebody taken this leader's lease away? */
  concern(process: Process): boolean {
    return this.#all.some(({ leader }) => leader === process);
  }

  /** A node that could not know the leader whose lease was taken away need not wait for it. */
  excuse(deposed: Process, other: Process): boolean {
    const { role } = deposed.driver.state;
    return this.#all.some(
      (tampering) =>
        tampering.leader === deposed &&
        role.name === "leader" &&
        role.term.epoch === tampering.epoch &&
        (tampering.overtaken || !mustWait(tampering, other)),
    );
  }
}

function mustWait({ kind, leader, informed }: Tampering, process: Process): boolean {
  if (informed.has(process)) return true;
  // Garbage is outwaited by everybody, for as long as they would hold a lease themselves.
  return kind === "garbage" && process.host.options.leaseTtlMs >= leader.host.options.leaseTtlMs;
}

/** The epoch a process leads with, or will as soon as it hears that its write is applied. */
function termOf({ driver, incarnation }: Process, entry: LeaseEntry | null): number | null {
  const { role } = driver.state;
  if (role.name === "leader" || role.name === "suspended") return role.term.epoch;
  return entry?.kind === "record" && entry.record.incarnation === incarnation ? entry.record.epoch : null;
}

function knows({ driver }: Process, leader: Process, epoch: number, kind: TamperingKind): boolean {
  const { view } = driver.state.lease;
  const { takeoverWait } = driver.state.holder;
  if (takeoverWait === null || view.kind !== "occupied" || view.record?.incarnation !== leader.incarnation)
    return false;
  return view.record.epoch === epoch && kind !== "aged";
}
