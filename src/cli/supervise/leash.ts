/** Limits a program to the times at which no other node leads, also while the term is being given up. */
import type { ProgramTerm } from "./program-term.ts";
import type { SupervisedProgram } from "./supervised-program.ts";

const MIN_CHECK_MS = 10;
const MAX_CHECK_MS = 1_000;
/** While the program is frozen. No event reports that the server answers again. */
const FROZEN_CHECK_MS = 25;
/**
 * A later deadline is passed on when it is later by this part of the remaining time. It bounds how often the guard starts a timer,
 * however short the renewal interval is.
 */
const EXTENSION = 1 / 8;

export interface LeashOptions {
  readonly term: Pick<ProgramTerm, "remainingMs" | "provenRemainingMs" | "leaseRemainingMs" | "lossReason">;
  readonly program: Pick<SupervisedProgram, "freeze" | "thaw" | "kill" | "limit">;
  /** What to do with the program while the term is suspended. */
  readonly onSuspend: "freeze" | "continue";
  /** Called when the program is frozen although the term is not suspended. */
  readonly onUnproven?: () => void;
}

/**
 * Passes two deadlines on to the program's guard, and carries them out itself:
 *
 *  - When `provenRemainingMs` has passed another node may lead: the program is frozen until the server answers and the term is confirmed.
 *    It is killed if the term is being given up and `remainingMs` has passed. Not with `onSuspend: "continue"`.
 *  - When the lease ends, the program is killed.
 */
export class Leash {
  readonly #o: LeashOptions;
  /** When the guard would freeze and kill the program, by `performance.now()`. */
  #passed: { readonly freezeAt: number; readonly killAt: number } = { freezeAt: 0, killAt: 0 };
  #isFrozen = false;
  #timer: NodeJS.Timeout | null = null;
  #isEnded = false;

  constructor(options: LeashOptions) {
    this.#o = options;
    this.check();
  }

  /** To be called when the term is suspended or resumed. Otherwise the next check is up to a second away. */
  check(): void {
    if (this.#isEnded) return;
    const { term, program, onSuspend } = this.#o;
    const killMs = term.leaseRemainingMs;
    const freezeMs = onSuspend === "freeze" ? Math.min(term.provenRemainingMs, killMs) : killMs;
    const mayBeReplaced = freezeMs <= 0;
    const isConfirmed = term.remainingMs > 0;
    if (killMs <= 0 || (mayBeReplaced && !isConfirmed && term.lossReason !== null)) return program.kill();
    if (mayBeReplaced && !this.#isFrozen) {
      this.#isFrozen = true;
      program.freeze();
      if (isConfirmed) this.#o.onUnproven?.();
    }
    this.#pass(freezeMs, killMs);
    // Not before the guard has the new limits: this process may be stopped at any time.
    if (!mayBeReplaced && this.#isFrozen) {
      this.#isFrozen = false;
      program.thaw();
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    const nextMs = mayBeReplaced ? FROZEN_CHECK_MS : freezeMs / 4;
    this.#timer = setTimeout(() => this.check(), Math.min(MAX_CHECK_MS, Math.max(MIN_CHECK_MS, nextMs)));
  }

  /** The program was frozen because another node may lead. */
  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  /** The program has ended. */
  end(): void {
    this.#isEnded = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #pass(freezeMs: number, killMs: number): void {
    const now = performance.now();
    const isFrozen = freezeMs <= 0;
    const freezeAt = isFrozen ? 0 : now + freezeMs;
    const killAt = now + killMs;
    const before = this.#passed;
    const hasChanged = isFrozen !== (before.freezeAt === 0);
    const freezesLater = !isFrozen && freezeAt - before.freezeAt >= freezeMs * EXTENSION;
    if (!hasChanged && !freezesLater && killAt - before.killAt < killMs * EXTENSION) return;
    this.#passed = { freezeAt, killAt };
    // The two times are read one after the other: where they are the same, they differ by microseconds.
    const isKilled = killMs - freezeMs < 1;
    this.#o.program.limit({ isFrozen, freezeMs: isFrozen || isKilled ? null : freezeMs, killMs });
  }
}
