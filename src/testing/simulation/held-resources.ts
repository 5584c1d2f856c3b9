/** Records which member held which resource when, and checks the guarantees of groups from outside. */

/** A period in which a member held a resource without interruption. A term that was suspended has several. */
export interface HeldResource {
  /** Name of the process. */
  readonly process: string;
  readonly groupId: string;
  readonly memberId: string;
  readonly resource: string;
  readonly epoch: number;
  /** True time, in milliseconds. */
  readonly fromMs: number;
  /** `null`: the member still holds the resource. */
  readonly untilMs: number | null;
}

/** A resource that is held now. */
export type Holding = Omit<HeldResource, "fromMs" | "untilMs"> & {
  /** Distinguishes the members of one process. */
  readonly incarnation: string;
};

interface OpenPeriod {
  readonly holding: Holding;
  readonly term: { -readonly [Key in keyof HeldResource]: HeldResource[Key] };
}

export class HeldResources {
  readonly #all: HeldResource[] = [];
  readonly #open = new Map<string, OpenPeriod>();
  /** By group and resource: the holding with the largest epoch so far. */
  readonly #newest = new Map<string, Holding>();
  #tolerantUntil = Number.NEGATIVE_INFINITY;
  readonly #onChange: (term: HeldResource, begins: boolean) => void;

  /** `onChange` is called when a period begins (`true`) and ends (`false`). */
  constructor(onChange: (term: HeldResource, begins: boolean) => void) {
    this.#onChange = onChange;
  }

  get all(): readonly HeldResource[] {
    return this.#all;
  }

  /** Epochs may restart, and two members may hold a resource, until then. */
  tolerate(until: number): void {
    this.#tolerantUntil = Math.max(this.#tolerantUntil, until);
    this.#newest.clear();
  }

  /** Records what is held now. Returns the violation, or `null` if there is none. */
  observe(now: number, holdings: readonly Holding[]): string | null {
    const present = new Map(holdings.map((holding) => [keyOf(holding), holding]));
    for (const [key, { term }] of this.#open) {
      if (present.has(key)) continue;
      term.untilMs = now;
      this.#open.delete(key);
      this.#onChange(term, false);
    }
    let wrong: string | null = null;
    for (const [key, holding] of present) if (!this.#open.has(key)) wrong ??= this.#begin(now, key, holding);
    return now <= this.#tolerantUntil ? null : (wrong ?? this.#heldTwice());
  }

  #begin(now: number, key: string, holding: Holding): string | null {
    const { incarnation: _, ...shown } = holding;
    const term = { ...shown, fromMs: now, untilMs: null };
    this.#open.set(key, { holding, term });
    this.#all.push(term);
    this.#onChange(term, true);
    const name = nameOf(holding);
    const newest = this.#newest.get(name);
    if (newest === undefined || holding.epoch > newest.epoch) this.#newest.set(name, holding);
    if (newest === undefined || holding.epoch > newest.epoch || keyOf(newest) === key) return null;
    return `${textOf(holding)} begins after ${textOf(newest)}`;
  }

  #heldTwice(): string | null {
    const holders = new Map<string, Holding>();
    for (const { holding } of this.#open.values()) {
      const name = nameOf(holding);
      const other = holders.get(name);
      if (other !== undefined) return `${textOf(other)} and ${textOf(holding)} hold it at once`;
      holders.set(name, holding);
    }
    return null;
  }
}

function keyOf(holding: Holding): string {
  return `${nameOf(holding)} ${holding.epoch} ${holding.incarnation}`;
}

function nameOf({ groupId, resource }: Holding): string {
  return `${groupId}/${resource}`;
}

function textOf({ process, resource, epoch }: Holding): string {
  return `${process} with epoch ${epoch} of resource "${resource}"`;
}
