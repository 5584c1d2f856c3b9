import { hostNowMs } from "./host-clock.ts";

/** Milliseconds of the host's clock. */
export interface FaultTimes {
  readonly fromMs: number;
  /** When the fault was undone. */
  readonly mendedMs: number;
  /** When the world had recovered from it, or was given up. */
  readonly settledMs: number;
}

/** A fault as it happened. */
export interface PlayedFault<Name extends string = string> extends FaultTimes {
  readonly number: number;
  readonly name: Name;
}

export interface FaultSteps {
  readonly inflict: () => Promise<void>;
  /** Restarts what the fault has ended, and resolves when the world has recovered since `mendedMs`. */
  readonly recover: (mendedMs: number) => Promise<void>;
  /** Called even if the world does not recover, so that the checker can attribute what follows. */
  readonly record: (times: FaultTimes) => void;
}

/** Inflicts one fault, and waits until the world has recovered from it. */
export async function playFault(
  { number, name }: Pick<PlayedFault, "number" | "name">,
  { inflict, recover, record }: FaultSteps,
): Promise<void> {
  const fromMs = hostNowMs();
  let mendedMs = fromMs;
  try {
    await inflict();
    mendedMs = hostNowMs();
    await recover(mendedMs);
  } catch (error) {
    throw new Error(`fault ${number} (${name}): ${error}`, { cause: error });
  } finally {
    record({ fromMs, mendedMs, settledMs: hostNowMs() });
  }
}
