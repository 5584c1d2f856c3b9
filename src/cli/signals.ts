/** SIGINT and SIGTERM: the first one asks to end, the second one ends at once. */
import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
export type EndSignal = (typeof SIGNALS)[number];

export interface Ending {
  /** Aborts at the first signal; its reason is the signal's name. */
  readonly signal: AbortSignal;
  /** Stops listening. */
  close(): void;
}

/** `onFirst` is told which one it was; `onSecond` runs right before the exit with 128 + its number. */
export function untilSignal(
  onFirst: (name: EndSignal) => void = () => {},
  onSecond: () => void = () => {},
): Ending {
  const controller = new AbortController();
  const handlers = SIGNALS.map((name) => {
    const handler = (): void => {
      if (controller.signal.aborted) {
        onSecond();
        process.exit(128 + constants.signals[name]);
      }
      onFirst(name);
      controller.abort(name);
    };
    process.on(name, handler);
    return { name, handler };
  });
  return {
    signal: controller.signal,
    close: () => {
      for (const { name, handler } of handlers) process.off(name, handler);
    },
  };
}
