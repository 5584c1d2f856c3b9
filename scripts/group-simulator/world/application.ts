/** The application of a simulated member: works on what it owns, takes its time to stop, or does not stop at all. */
import type { GroupEffect, GroupEvent } from "../../../src/group/core/events.ts";
import type { SeededRandom } from "../../../src/testing/simulation/random.ts";
import type { VirtualClock } from "../../../src/testing/simulation/time/virtual-clock.ts";
import type { MemberPlan } from "../plan.ts";

const REFUSES_FOR_MS = 2_000;

/** The work of one term. */
export interface Work {
  readonly resource: string;
  readonly epoch: number;
  /** It was asked to stop and has not stopped yet. */
  draining: boolean;
}

export interface ApplicationOptions {
  readonly plan: MemberPlan;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly dispatch: (event: GroupEvent) => void;
}

export class MemberApplication {
  readonly #options: ApplicationOptions;
  /** Work that runs in a term, or drains in good order. Work of a term that was lost does not count any more. */
  readonly works: Map<string, Work> = new Map();
  /** Work that is asked to stop does not, until then. */
  hangs = false;
  /** Its hooks do not fail any more. */
  benign = false;
  #stopping = false;
  readonly #hanging = new Set<Work>();

  constructor(options: ApplicationOptions) {
    this.#options = options;
  }

  effect(effect: GroupEffect): void {
    switch (effect.type) {
      case "own":
        this.works.set(effect.resource, { resource: effect.resource, epoch: effect.epoch, draining: false });
        this.#perhapsRefuse(effect.resource, effect.epoch);
        return;
      case "drain":
        this.#drain(effect.resource, effect.epoch);
        return;
      case "lose":
      case "released":
        this.#forget(effect.resource, effect.epoch);
        return;
      default:
    }
  }

  /** `stop()` was called: what does not stop within the time limit is given up. */
  stop(): void {
    this.#stopping = true;
    const { clock, plan } = this.#options;
    clock.setTimer(plan.drainTimeoutMs, () => this.#giveUp());
  }

  /** From now on everything stops when it is asked to. */
  becomeBenign(): void {
    this.benign = true;
    this.release();
  }

  /** What hangs ends now. */
  release(): void {
    this.hangs = false;
    const hanging = [...this.#hanging];
    this.#hanging.clear();
    for (const work of hanging) this.#ended(work);
  }

  #drain(resource: string, epoch: number): void {
    const work = this.works.get(resource);
    if (work === undefined || work.epoch !== epoch || work.draining) return;
    work.draining = true;
    if (this.hangs) this.#hanging.add(work);
    else if (this.#options.plan.drainMs === 0) this.#ended(work);
    else this.#options.clock.setTimer(this.#options.plan.drainMs, () => this.#ended(work));
  }

  #giveUp(): void {
    const late = [...this.works.values()].filter(({ draining }) => draining);
    this.#hanging.clear();
    for (const work of late) this.#ended(work);
  }

  #ended(work: Work): void {
    if (this.works.get(work.resource) !== work) return;
    this.works.delete(work.resource);
    this.#options.dispatch({ type: "drained", resource: work.resource, epoch: work.epoch });
  }

  #forget(resource: string, epoch: number): void {
    const work = this.works.get(resource);
    if (work === undefined || work.epoch !== epoch) return;
    this.works.delete(resource);
    this.#hanging.delete(work);
  }

  #perhapsRefuse(resource: string, epoch: number): void {
    const { plan, random, clock, dispatch } = this.#options;
    if (plan.refuses === 0 || this.benign || this.#stopping || !random.chance(plan.refuses)) return;
    clock.setTimer(random.between(1, 50), () => {
      if (this.works.get(resource)?.epoch === epoch)
        dispatch({ type: "refuse", resource, forMs: REFUSES_FOR_MS });
    });
  }
}
