/** What a file with commands needs of the command line. */
import { type Command, InvalidArgumentError } from "commander";
import type { Running, Say } from "./deployment.ts";
import { SIZES, type Size } from "./plan.ts";
import type { StateDir } from "./state.ts";

/** Options of every command. */
export interface Common {
  readonly state: string;
  readonly json?: true;
}

export interface Verbs {
  exitCode: number;
  /** A command with the options of {@link Common}. */
  verb(name: string, description: string): Command;
  /** Where progress goes: to stderr if stdout has JSON. */
  sayTo(options: Common): Say;
  stateOf(options: Common): StateDir;
  /** Runs the job under the lock of the state folder. */
  withState(options: Common, job: (state: StateDir, say: Say) => Promise<void>): Promise<void>;
  /** A line on stdout. */
  line(text: string): void;
  /** The result as JSON, with `ok: true` unless it has its own. */
  result(result: object): void;
  /** The result of a command after which servers run: as JSON, or in words. */
  finish(options: Common, state: StateDir, running: Running, more?: object): void;
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Must be a whole number from ${least} to ${most}.`);
  };
}

export function serverCount(text: string): Size {
  const size = SIZES.find((one) => String(one) === text);
  if (size === undefined) throw new InvalidArgumentError(`Must be ${SIZES.join(", ")}.`);
  return size;
}
