/** Codes of `SimulationError`. */
export type SimulationErrorCode =
  /** a guarantee of the library did not hold: two nodes held the lease at once, or an epoch did not increase */
  | "violation"
  /** a program threw or rejected while its process was alive; `cause` is the error */
  | "program_failed"
  /** the condition of `until()` did not become true in time */
  | "not_reached"
  /** a call of a process got no answer in time: it may or may not have been carried out */
  | "no_answer"
  /** the call is invalid: a name that is in use, a process that runs already, an option out of range */
  | "misused";

/** The error of simulated clusters. Messages of `violation`, `program_failed` and `not_reached` end with the recent trace. */
export class SimulationError extends Error {
  override readonly name = "SimulationError";
  readonly code: SimulationErrorCode;

  constructor(code: SimulationErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/**
 * The value of an option, or `fallback` if it is `undefined`.
 * @throws `SimulationError` `misused` if the value is less than `least`.
 */
export function numberFrom(name: string, value: number | undefined, least: number, fallback: number): number {
  if (value === undefined) return fallback;
  if (value >= least) return value;
  throw new SimulationError("misused", `${name} is ${value}; it must be a number of at least ${least}`);
}
