/** A guarded transaction on a connection that a pool lends. */
import { ClusterError, messageOf } from "../../errors.ts";
import { limitOf, MAX_TIMER_MS, type WaitOptions } from "../../runtime/waiting.ts";
import { lend } from "./lent-client.ts";
import { type PooledSqlClient, runSql, type SqlPool, type SqlStatement, sqlState } from "./sql-client.ts";

export interface TransactionOptions extends WaitOptions {
  /** @default the session's own level, usually `read committed` */
  readonly isolation?: "read committed" | "repeatable read" | "serializable";
}

export interface GuardedWork<R> {
  /** Names the fence in errors. */
  readonly where: string;
  /** Reads the mark of the transaction. */
  readonly readMark: SqlStatement;
  /** Guards the transaction and resolves with the guard's mark. */
  readonly guard: (client: PooledSqlClient) => Promise<string>;
  readonly work: (client: PooledSqlClient) => Promise<R>;
}

const LEVELS: readonly unknown[] = ["read committed", "repeatable read", "serializable"];

/** The documentation is that of `PostgresFence.transaction`. */
export async function guardedTransaction<R>(
  pool: SqlPool,
  { where, readMark, guard, work }: GuardedWork<R>,
  options: TransactionOptions,
): Promise<R> {
  const begin = beginText(options);
  const limit = new Limit(`a transaction guarded by ${where}`, options);
  try {
    const loan = new Loan(await limit.hold(() => borrow(pool), giveBack));
    limit.atEnd((error) => loan.end(error));
    const run = async (): Promise<R> => {
      await loan.client.query(begin);
      const mark = await guard(loan.client);
      const result = await work(loan.lent);
      loan.workIsOver = true;
      await checkMark(loan.client, where, readMark, mark);
      loan.committing = true;
      await loan.client.query("COMMIT");
      return result;
    };
    try {
      return await limit.hold(run);
    } catch (thrown) {
      loan.workIsOver = true;
      await limit.hold(() => loan.rollBack()).catch(() => {});
      throw loan.explain(thrown, where);
    } finally {
      loan.giveBack();
    }
  } finally {
    limit.release();
  }
}

async function borrow(pool: SqlPool): Promise<PooledSqlClient> {
  const client = typeof pool.connect === "function" ? await pool.connect() : null;
  if (typeof client?.release === "function") return client;
  throw new ClusterError(
    "INVALID_CONFIG",
    "transaction() needs a pool of pg; in a transaction of another client, call guard()",
  );
}

function giveBack(client: PooledSqlClient): void {
  client.release();
}

function beginText({ isolation }: TransactionOptions): string {
  if (isolation === undefined) return "BEGIN";
  if (LEVELS.includes(isolation)) return `BEGIN ISOLATION LEVEL ${isolation.toUpperCase()}`;
  throw new ClusterError(
    "INVALID_CONFIG",
    `isolation "${String(isolation)}" is invalid: it must be one of ${LEVELS.join(", ")}`,
  );
}

/** Work that ends the transaction, or goes on in another one, would write without the guard. */
async function checkMark(
  client: PooledSqlClient,
  where: string,
  read: SqlStatement,
  mark: string,
): Promise<void> {
  const [row] = await runSql(client, read);
  if (row?.["mark"] === mark) return;
  throw new ClusterError(
    "INVALID_CONFIG",
    `the work of a transaction guarded by ${where} has ended the transaction: it must not send COMMIT or ROLLBACK; what it has committed is stored`,
  );
}

/** The time limit and the signal of one transaction. */
class Limit {
  readonly #over: Promise<never>;
  #error: ClusterError | null = null;
  #onEnd: (error: ClusterError) => void = () => {};
  #unwatch: () => void = () => {};

  constructor(what: string, options: WaitOptions) {
    const limitMs = limitOf(options);
    const { signal } = options;
    this.#over = new Promise<never>((_, reject) => {
      const end = (error: ClusterError): void => {
        this.#error ??= error;
        this.#onEnd(this.#error);
        reject(this.#error);
      };
      const onAbort = (): void =>
        end(new ClusterError("ABORTED", `${what} was aborted`, { cause: signal?.reason }));
      const onTimeout = (): void =>
        end(new ClusterError("TIMEOUT", `${what} did not end within ${limitMs} ms`, { recoverable: true }));
      const timer = limitMs > MAX_TIMER_MS ? undefined : setTimeout(onTimeout, limitMs);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#unwatch = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      if (signal?.aborted === true) onAbort();
    });
    this.#over.catch(() => {});
  }

  /** Starts nothing after the end. `late` receives what arrives after the end. */
  async hold<T>(start: () => Promise<T>, late: (value: T) => void = () => {}): Promise<T> {
    if (this.#error !== null) throw this.#error;
    const running = start();
    try {
      return await Promise.race([running, this.#over]);
    } catch (thrown) {
      running.then(late, () => {});
      throw thrown;
    }
  }

  atEnd(onEnd: (error: ClusterError) => void): void {
    this.#onEnd = onEnd;
    if (this.#error !== null) onEnd(this.#error);
  }

  release(): void {
    this.#unwatch();
  }
}

/** An error of the statement. Class 08 and 57P01 to 57P03 are those of the connection: the server may have done its work before. */
function isRefusal(thrown: unknown): boolean {
  const state = sqlState(thrown);
  return state !== null && !/^(08|57P0[123])/.test(state);
}

/** A connection of the pool for one transaction. */
class Loan {
  readonly client: PooledSqlClient;
  /** The client as the work sees it. */
  readonly lent: PooledSqlClient;
  /** A statement that the work sends later would run after `ROLLBACK` or `COMMIT`, or in a transaction of the next borrower. */
  workIsOver = false;
  committing = false;
  /** Why the connection cannot be used again. */
  #broken: Error | null = null;
  #lent = true;

  constructor(client: PooledSqlClient) {
    this.client = client;
    this.lent = lend(client, () => this.workIsOver);
    // Without a listener, a connection that the server ends would end the process: `pg` emits `error` on the client.
    client.on("error", this.#onError);
  }

  readonly #onError = (error: Error): void => {
    this.#broken ??= error;
  };

  async rollBack(): Promise<void> {
    if (this.#broken !== null) return;
    try {
      await this.client.query("ROLLBACK");
    } catch (thrown) {
      this.#broken ??= thrown instanceof Error ? thrown : new Error(messageOf(thrown));
    }
  }

  /** The error of the transaction, given what was thrown in it. */
  explain(thrown: unknown, where: string): unknown {
    if (this.committing && !isRefusal(thrown)) {
      return new ClusterError(
        "OUTCOME_UNKNOWN",
        `the outcome of a transaction guarded by ${where} is unknown: ${messageOf(thrown)}; read before you repeat it`,
        { cause: thrown, recoverable: true },
      );
    }
    if (this.#broken === null || this.#broken instanceof ClusterError) return thrown;
    return new ClusterError(
      "NO_CONNECTION",
      `the connection of a transaction guarded by ${where} was lost: ${this.#broken.message}; nothing was written`,
      { cause: thrown, recoverable: true },
    );
  }

  /** Ends the connection, and with it the transaction and the statements in flight. */
  end(error: Error): void {
    this.workIsOver = true;
    this.#broken ??= error;
    this.giveBack();
  }

  /** Returns the connection to the pool, which ends a broken one. Idempotent. */
  giveBack(): void {
    if (!this.#lent) return;
    this.#lent = false;
    this.client.release(this.#broken ?? undefined);
    this.client.removeListener("error", this.#onError);
  }
}
