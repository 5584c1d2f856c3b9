/** Commands that a signal ends in order: where the deployment is consistent, with a line that says what is left. */
import { constants } from "node:os";
import { type EndSignal, untilSignal } from "../../src/cli/signals.ts";
import type { Say } from "./deployment.ts";
import { DeployError } from "./errors.ts";

/** Far less than a person takes to see the first line and to press Ctrl-C again. */
const COPY_MS = 500;

/** Where a command reports its progress, and what ends it early. */
export interface Control {
  readonly say: Say;
  readonly signal: AbortSignal;
}

/** A signal has ended the command. */
export class Interrupted extends DeployError {
  /** 128 + the signal's number, as the exit code of a command that does not handle the signal. */
  readonly exitCode: number;

  /** @param left What was undone, or what remains to be done. */
  constructor(signal: AbortSignal, left: string) {
    const name = signal.reason as EndSignal;
    super(`interrupted by ${name}: ${left}`);
    this.exitCode = 128 + constants.signals[name];
  }
}

/**
 * Runs `job`, which ends early when its signal aborts: at SIGINT, SIGTERM or SIGHUP. A second signal ends the process at once.
 *
 * @param todo What the job still does after a signal, for the user.
 */
export async function endingInOrder<T>(
  say: Say,
  todo: string,
  job: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ending = untilSignal(
    (name) => say(`${name}: ${todo}; a second signal ends at once`),
    () => {},
    COPY_MS,
  );
  try {
    return await job(ending.signal);
  } finally {
    ending.close();
  }
}
