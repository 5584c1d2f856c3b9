/** What a simulated cluster throws and rejects with. */
export type SimulationErrorCode =
  /** two nodes held the lease at once, or an epoch did not rise: what the library guarantees does not hold */
  | "violation"
  /** a program threw or rejected while its process lived; `cause` has it */
  | "program_failed"
  /** what was waited for did not come in the time given */
  | "not_reached"
  /** a call of a process got no answer in time: it may have been carried out or not */
  | "no_answer"
  /** the call does not fit: a name that is taken, a process that runs already, an option out of range */
  | "misused";

/** The one error of the simulator. Messages of `violation`, `program_failed` and `not_reached` end with the story so far. */
export class SimulationError extends Error {
  override readonly name = "SimulationError";
  readonly code: SimulationErrorCode;

  constructor(code: SimulationErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** A number that was given as an option, or the default where none was. */
export function numberFrom(name: string, value: number | undefined, least: number, fallback: number): number {
  if (value === undefined) return fallback;
  if (value >= least) return value;
  throw new SimulationError("misused", `${name} is ${value}; it must be a number, ${least} or more`);
}
