/** Limits a program to the lease of its term, also while the term is being given up. */
import type { Term } from "../../node/term.ts";
import type { SupervisedProgram } from "./supervised-program.ts";

const MIN_CHECK_MS = 10;
const MAX_CHECK_MS = 1_000;
/**
 * A later deadline is passed on when it is later by this part of the remaining time. It bounds how often the guard starts a timer,
 * however short the renewal interval is.
 */
const EXTENSION = 1 / 8;

/**
 * Passes the deadlines of the lease on to the program's guard, and kills the program at the deadline.
 *
 * @returns ends it.
 */
export function leash(term: Pick<Term, "remainingMs">, program: SupervisedProgram): () => void {
  let passedAt = 0;
  let timer: NodeJS.Timeout;
  const check = (): void => {
    const { remainingMs } = term;
    if (remainingMs <= 0) return program.kill();
    const deadlineAt = performance.now() + remainingMs;
    if (deadlineAt - passedAt >= remainingMs * EXTENSION) {
      passedAt = deadlineAt;
      program.limit(remainingMs);
    }
    timer = setTimeout(check, Math.min(MAX_CHECK_MS, Math.max(MIN_CHECK_MS, remainingMs / 4)));
  };
  check();
  return () => clearTimeout(timer);
}
