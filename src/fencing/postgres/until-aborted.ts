import { ClusterError } from "../../errors.ts";
import { linkSignals } from "../../runtime/waiting.ts";

/**
 * Settles as `start()` does, or rejects with `ABORTED` as soon as one of the signals aborts. It does not end what was started, and does
 * not start anything after an abort.
 *
 * @param doing - Begins the message.
 */
export async function untilAborted<T>(
  start: () => Promise<T>,
  doing: string,
  signals: readonly (AbortSignal | undefined)[],
): Promise<T> {
  const { signal, release } = linkSignals(signals);
  try {
    return await new Promise<T>((resolve, reject) => {
      const onAbort = (): void =>
        reject(new ClusterError("ABORTED", `${doing}: aborted`, { cause: signal.reason }));
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      start().then(resolve, reject);
    });
  } finally {
    release();
  }
}
