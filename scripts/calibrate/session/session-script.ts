/** The steps of a session script: holders have a presence, askers watch presences and send inquiries. */
import type { Random } from "../../../src/testing/simulation/random.ts";

export type Holder = 0 | 1 | 2;
export type Asker = "p" | "q";
export const HOLDERS: readonly Holder[] = [0, 1, 2];
export const ASKERS: readonly Asker[] = ["p", "q"];

/** The binding in an inquiry: unchanged, or with one field changed. */
export type Twist = "as it was" | "of another server" | "without presence" | "of no connection";

export type SessionStep =
  /** A new process with presence becomes this holder. */
  | { readonly do: "start"; readonly holder: Holder }
  /** The process ends: killed, stopped as a node stops, or its connection closed. */
  | { readonly do: "kill" | "leave" | "close"; readonly holder: Holder }
  /** The connection breaks and reconnects. */
  | { readonly do: "cut"; readonly holder: Holder }
  | { readonly do: "drop" | "return"; readonly holder: Holder }
  /** It releases its presence and keeps its connection. */
  | { readonly do: "release"; readonly holder: Holder }
  /** An operator deletes the presence consumer of a running process. */
  | { readonly do: "delete-consumer"; readonly holder: Holder }
  /** `binding`: index of the binding in this script. */
  | { readonly do: "watch"; readonly asker: Asker; readonly binding: number | null }
  | { readonly do: "ask"; readonly asker: Asker; readonly binding: number; readonly twist: Twist }
  | { readonly do: "asker-drops" | "asker-returns"; readonly asker: Asker };

export interface SessionScript {
  readonly seed: number;
  readonly steps: readonly SessionStep[];
}

const HOLDER_ACTS = [
  "start",
  "start",
  "start",
  "kill",
  "leave",
  "close",
  "cut",
  "drop",
  "return",
  "return",
  "release",
  "delete-consumer",
] as const;

const TWISTS: readonly Twist[] = [
  "as it was",
  "as it was",
  "as it was",
  "of another server",
  "without presence",
  "of no connection",
];

function step(random: Random): SessionStep {
  const kind = random.next();
  const asker = random.pick(ASKERS);
  if (kind < 0.45) return { do: random.pick(HOLDER_ACTS), holder: random.pick(HOLDERS) };
  if (kind < 0.65) return { do: "watch", asker, binding: random.next() < 0.2 ? null : random.between(0, 6) };
  if (kind < 0.92) return { do: "ask", asker, binding: random.between(0, 6), twist: random.pick(TWISTS) };
  return { do: random.next() < 0.3 ? "asker-drops" : "asker-returns", asker };
}

/** Generates the script of a seed. Steps that are impossible when they come are skipped. */
export function generateSessions(seed: number, random: Random, longest = 36): SessionScript {
  const first: SessionStep[] = HOLDERS.slice(0, random.between(1, 3)).map((holder) => ({
    do: "start",
    holder,
  }));
  const count = random.between(4, longest);
  return { seed, steps: [...first, ...Array.from({ length: count }, () => step(random))] };
}

/** Tracks holders, askers and bindings, to decide which steps are possible. */
export class Cast {
  /** The number of each holder's binding; `null` while its connection is broken. */
  readonly #holders = new Map<Holder, number | null>();
  readonly #away = new Set<Asker>();
  /** Bindings whose presence was released or deleted while the connection is open. */
  readonly #without = new Set<number>();
  /** Holders that released their presence. They can only end. */
  readonly #released = new Set<Holder>();
  #bindings = 0;

  /** Returns whether the step is possible, and if so records it as done. */
  takes(step: SessionStep): boolean {
    switch (step.do) {
      case "watch":
        return step.binding === null || this.#exists(step.binding);
      case "ask":
        return this.#exists(step.binding);
      case "asker-drops":
        return !this.#away.has(step.asker) && this.#away.add(step.asker) !== undefined;
      case "asker-returns":
        return this.#away.delete(step.asker);
      default:
        return this.#takesHolder(step.do, step.holder);
    }
  }

  #exists(binding: number): boolean {
    return binding < this.#bindings && !this.#without.has(binding);
  }

  #takesHolder(what: (typeof HOLDER_ACTS)[number], holder: Holder): boolean {
    const binding = this.#holders.get(holder);
    if (what === "start") return binding === undefined && this.#bind(holder);
    if (what === "return") return binding === null && this.#bind(holder);
    if (binding === undefined || binding === null) return false;
    const ends = what === "kill" || what === "leave" || what === "close";
    if (this.#released.has(holder) && !ends) return false;
    if (what === "cut") return this.#bind(holder);
    if (what === "drop") this.#holders.set(holder, null);
    else if (what === "release" || what === "delete-consumer") {
      if (this.#without.has(binding)) return false;
      this.#without.add(binding);
      if (what === "release") this.#released.add(holder);
    } else {
      this.#holders.delete(holder);
      this.#released.delete(holder);
    }
    return true;
  }

  #bind(holder: Holder): boolean {
    this.#holders.set(holder, this.#bindings);
    this.#bindings += 1;
    return true;
  }
}
