/** The cleanup stack of a test. `setup.ts` empties it after every test. */
type Cleanup = () => unknown;

const cleanups: Cleanup[] = [];
const checks: Cleanup[] = [];

/** Runs `cleanup` when the test ends. The last one registered runs first; each of them runs, even if another throws. */
export function atEnd(cleanup: Cleanup): void {
  cleanups.push(cleanup);
}

/** Runs `check` after the cleanups of every test from now on, in every test file of this worker. Call it at module level. */
export function checkAfterCleanup(check: Cleanup): void {
  checks.push(check);
}

/** Empties the stack, then runs the checks. Returns what they threw. */
export async function runCleanups(): Promise<unknown[]> {
  const errors: unknown[] = [];
  for (const step of [...cleanups.splice(0).reverse(), ...checks]) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}
