/** Repeats a statement that PostgreSQL cannot serialize. */
import { ClusterError } from "../../errors.ts";
import { limitOf, type WaitOptions } from "../../runtime/waiting.ts";
import { type Row, sqlState } from "./sql-client.ts";

/**
 * Runs a statement again while PostgreSQL rejects it with error 40001: at isolation level `REPEATABLE READ` or `SERIALIZABLE`, another
 * transaction has changed its row after it began. Each repetition sees that change, unless the statement is part of a transaction of
 * the caller, which has failed then: rejects with its 40001.
 *
 * @param doing - Begins the message of an error.
 * @param run - Runs the statement with what is left of the time limit, in milliseconds.
 * @param isOver - No repetition begins once this is true.
 * @throws ClusterError `TIMEOUT` if the statement, or one of its repetitions, has waited for a lock until the time limit.
 */
export async function untilSerialized(
  doing: string,
  run: (timeoutMs: number) => Promise<readonly Row[]>,
  options: Pick<WaitOptions, "timeoutMs">,
  isOver: () => boolean,
): Promise<readonly Row[]> {
  const limitMs = limitOf(options);
  const until = performance.now() + limitMs;
  const late = (what: string, cause: unknown): ClusterError => {
    const text = `${doing}: ${what} did not end within ${limitMs} ms`;
    return new ClusterError("TIMEOUT", text, { cause, recoverable: true });
  };
  let conflict: unknown = null;
  for (let leftMs = limitMs; ; leftMs = until - performance.now()) {
    if (leftMs <= 0 && conflict !== null) throw late("other takeovers", conflict);
    try {
      return await run(leftMs);
    } catch (thrown) {
      const state = sqlState(thrown);
      if (state === LOCK_NOT_AVAILABLE && Number.isFinite(limitMs))
        throw late("a transaction that has passed the guard", thrown);
      if (state === IN_FAILED_TRANSACTION && conflict !== null) throw conflict;
      if (state !== SERIALIZATION_FAILURE || isOver()) throw thrown;
      conflict = thrown;
    }
  }
}

const LOCK_NOT_AVAILABLE = "55P03";
const SERIALIZATION_FAILURE = "40001";
const IN_FAILED_TRANSACTION = "25P02";
