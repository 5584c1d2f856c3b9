/**
 * A fence in PostgreSQL, in plain SQL that any client can run.
 *
 * One row per resource holds the largest epoch. A takeover (`take`) takes the resource's advisory lock and updates the row. A writer
 * (`guard`) takes the lock shared and the row `FOR SHARE`, in the transaction of its write, and continues only if the row still has
 * its epoch. Both locks exclude a takeover. Therefore, once `take` has committed, every transaction of an earlier epoch has committed
 * or will roll back.
 *
 * The row lock makes it safe: a guard that waited for a takeover reads the new epoch, at every isolation level. The advisory lock makes
 * it fair: PostgreSQL grants it in the order of the requests, so that guards which arrive after a takeover wait behind it. A row lock
 * alone is granted to any number of later sharers, and a takeover would starve behind them.
 *
 * A writer that is frozen inside its transaction would block the takeover. The guard therefore sets a timeout after which the
 * server ends the idle transaction.
 */
import { randomBytes } from "node:crypto";
import { ClusterError } from "../../errors.ts";
import type { Term } from "../../node/term.ts";
import { limitOf, linkSignals, untilAborted, type WaitOptions } from "../../runtime/waiting.ts";
import { isToken } from "../compare.ts";
import { reported } from "../report-write.ts";
import { staleLeader } from "../stale.ts";
import type { FenceTerm } from "../token.ts";
import { checkTable, checkTerm, isText } from "./input.ts";
import { untilSerialized } from "./repeat.ts";
import {
  type ClientOf,
  isPool,
  type PooledSqlClient,
  type Row,
  runSql,
  type SqlClient,
  type SqlPool,
  type SqlRunner,
  type SqlStatement,
  sqlState,
} from "./sql-client.ts";
import {
  guardCteText,
  guardText,
  idleSetting,
  lockSetting,
  MAX_SETTING_MS,
  readMark,
  readText,
  requireText,
  setupText,
  takeText,
} from "./statements.ts";
import { guardedTransaction, type TransactionOptions } from "./transaction.ts";

export interface PostgresFenceOptions {
  /** Name of the guarded resource: each resource has one row. */
  readonly resource: string;
  /**
   * Terms of every other cluster are refused with `INVALID_CONFIG`, before any statement is sent: their epochs cannot be compared. For a
   * resource of a group this is `<groupId>/<resource>`, as in its terms.
   *
   * @default Terms of any cluster are accepted: the row of a fence does not name its cluster.
   */
  readonly clusterId?: string;
  /**
   * Table of the fences: `table` or `schema.table`, in letters, digits, `_` and `$`.
   *
   * @default "nats_leader_fence"
   */
  readonly table?: string;
  /**
   * The server ends a transaction with a guard or a takeover that idles longer, together with its connection: the lock of a frozen
   * process would block the next leader. Milliseconds; 0 leaves the session's own setting.
   *
   * @default 5000
   */
  readonly idleTimeoutMs?: number;
}

/** A term, or its identity alone. If it has a signal, `take` is aborted when the term ends. */
export type TakeTerm = FenceTerm & Partial<Pick<Term, "signal">>;

/**
 * Guards the transactions of a leader. Every transaction that writes to the resource has to be guarded.
 *
 * @example
 * ```ts
 * const fence = new PostgresFence({ resource: "ledger" });
 * await fence.setup(pool);                  // once, or run fence.setupSql() as a migration
 * await fence.take(pool, term);             // first in onBecomeLeader
 *
 * await fence.transaction(pool, term, async (client) => {
 *   await client.query("INSERT INTO ledger …");
 * });
 * ```
 */
export class PostgresFence {
  readonly resource: string;
  readonly #table: string;
  readonly #clusterId: string | undefined;
  readonly #idleTimeoutMs: number;

  /** @throws ClusterError `INVALID_CONFIG`, naming the invalid option. Does no I/O. */
  constructor(options: PostgresFenceOptions) {
    const { resource, clusterId, table = "nats_leader_fence", idleTimeoutMs = 5000 } = options;
    checkTable(table);
    if (!isText(resource)) {
      throw new ClusterError("INVALID_CONFIG", "resource must be a string that is not empty, without NUL");
    }
    // Without a text here every term would be refused, and each with an error that blames the term.
    if (clusterId !== undefined && (typeof clusterId !== "string" || clusterId === "")) {
      throw new ClusterError("INVALID_CONFIG", "clusterId must be a string that is not empty");
    }
    if (!Number.isInteger(idleTimeoutMs) || idleTimeoutMs < 0 || idleTimeoutMs > MAX_SETTING_MS) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `idleTimeoutMs is ${idleTimeoutMs}: it must be an integer from 0 to ${MAX_SETTING_MS}`,
      );
    }
    this.resource = resource;
    this.#table = table;
    this.#clusterId = clusterId;
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  /** The statement that creates the table, for a migration. Running it again changes nothing. */
  setupSql(): string {
    return setupText(this.#table);
  }

  /**
   * The statement of `take`. It returns no row if the fence is at a larger epoch, or at the same epoch of another incarnation.
   *
   * @param options - `timeoutMs`, as for `take`: the server answers with error 55P03 when it has waited longer for a lock.
   * @throws ClusterError `INVALID_CONFIG` if the term is incomplete or its epoch is not a token.
   */
  takeSql(term: FenceTerm, options: Pick<WaitOptions, "timeoutMs"> = {}): SqlStatement {
    const settings = [...idleSetting(this.#idleTimeoutMs), ...lockSetting(limitOf(options))];
    const { epoch, nodeId, incarnation } = checkTerm(term, this.#clusterId);
    return {
      text: takeText(this.#table, settings),
      values: [this.resource, epoch, nodeId, incarnation],
    };
  }

  /**
   * The statement of `guard`: locks the fence until the transaction ends. Its row is the holder, in the columns `epoch`, `node` and
   * `incarnation`. The column `mark` is a text if the holder is this term: only then the transaction is guarded. It is `null` for every
   * other term, and there is no row if the fence has never been taken.
   *
   * @throws ClusterError `INVALID_CONFIG` if the term is incomplete or its epoch is not a token.
   */
  guardSql(term: FenceTerm): SqlStatement {
    const text = guardText(this.#table, this.resource, idleSetting(this.#idleTimeoutMs));
    const mark = randomBytes(9).toString("base64url");
    const { epoch, incarnation } = checkTerm(term, this.#clusterId);
    return { text, values: [this.resource, epoch, incarnation, mark] };
  }

  /**
   * Statements, for a migration, that make the server refuse every change of `data` in a transaction that no guard of this fence has
   * passed: triggers on the table. A guard that was refused, or lost in a rollback to a savepoint, does not count. The refusal is
   * PostgreSQL's error 55000. The statements have no parameters; running them again changes nothing. Run them after `setupSql`. A table
   * can require one fence. The triggers depend on the table of the fence: PostgreSQL drops it with `CASCADE` only, and them with it.
   *
   * @param data - `table` or `schema.table`, in letters, digits, `_` and `$`.
   * @throws ClusterError `INVALID_CONFIG` for another name.
   */
  requireSql(data: string): string {
    return requireText(this.#table, this.resource, checkTable(data));
  }

  /**
   * A guard for a single statement, as its first `WITH` query. The statement has to select from it, or PostgreSQL does not run it. If
   * the fence has moved, it has no row, so that the statement writes nothing: no affected row means that the write was refused.
   *
   * @param first - Number of the first of its three placeholders.
   * @default `first` is 1.
   * @throws ClusterError `INVALID_CONFIG` if the term is incomplete or its epoch is not a token.
   * @example
   * ```ts
   * const guard = fence.guardCte(term, 2);
   * const text = `WITH ${guard.text} INSERT INTO ledger (entry) SELECT $1::text FROM fence`;
   * const { rowCount } = await client.query(text, ["+10", ...guard.values]);
   * ```
   */
  guardCte(term: FenceTerm, first = 1): SqlStatement {
    const { epoch, incarnation } = checkTerm(term, this.#clusterId);
    return {
      text: guardCteText(this.#table, this.resource, first),
      values: [this.resource, epoch, incarnation],
    };
  }

  /** Creates the table unless it exists. Several processes may call it at once. Rejects with the client's error. */
  async setup(client: SqlClient | SqlRunner): Promise<void> {
    const statement = { text: this.setupSql(), values: [] };
    try {
      await runSql(client, statement);
    } catch (thrown) {
      // IF NOT EXISTS does not see a table that another session creates at the same time; it does afterwards.
      if (!["23505", "42P07", "42710"].includes(sqlState(thrown) ?? "")) throw thrown;
      await runSql(client, statement);
    }
  }

  /**
   * Moves the fence to this term. When it resolves, no earlier term can write any more. Run it outside a transaction, or commit
   * before you write.
   *
   * It waits for the guarded transactions that have begun before it, not for later ones. One that idles ends after `idleTimeoutMs`;
   * one that is active can take any time: limit it with `timeoutMs` here, or with PostgreSQL's `statement_timeout` for the writers.
   *
   * @param term - From `onBecomeLeader`. If it has a signal, the call is aborted when the term ends.
   * @param options - `timeoutMs`: longest wait for the lock, by default `lock_timeout` of the session. `signal`: ends the wait; the
   * statement itself goes on, and may still move the fence to this term, unless a later term has moved it.
   * @throws StaleEpochError if a term with a larger epoch, or another one with the same epoch, holds the fence.
   * @throws ClusterError `TIMEOUT`, and the fence has not moved; `ABORTED`; `INVALID_CONFIG` if the term is incomplete or its epoch is not
   * a token. Errors of the client are passed on. Error 40001 can occur only inside a transaction at `REPEATABLE READ` or `SERIALIZABLE`:
   * roll it back.
   */
  async take(client: SqlClient | SqlRunner, term: TakeTerm, options: WaitOptions = {}): Promise<void> {
    const doing = `cannot move ${this.#where} to epoch ${term.epoch}`;
    const signals = [term.signal, options.signal];
    const isOver = (): boolean => signals.some((signal) => signal?.aborted === true);
    const run = (timeoutMs: number) => runSql(client, this.takeSql(term, { timeoutMs }));
    const taking = async (): Promise<void> => {
      const rows = await untilSerialized(doing, run, options, isOver);
      if (rows.length === 0) this.#check(await this.#read(client), term);
    };
    const aborted = (cause: unknown): ClusterError =>
      new ClusterError("ABORTED", `${doing}: aborted`, { cause });
    const { signal, release } = linkSignals(signals);
    try {
      if (signal.aborted) throw aborted(signal.reason);
      await untilAborted(taking(), signal, aborted);
    } finally {
      release();
    }
  }

  /**
   * Resolves if the fence is at this term, and locks it until the transaction ends. Call it inside a transaction, before or after
   * its writes, and roll back if it rejects.
   *
   * A rollback to a savepoint ends every guard that was called after that savepoint, and `COMMIT AND CHAIN` begins a transaction without
   * a guard. The guard cannot see what follows it: call it before the first savepoint, or as the last statement before `COMMIT`.
   *
   * @param client - The one that runs the transaction. With a function instead of a client of `pg`, the guard runs a second statement to
   * find out whether there is a transaction.
   * @throws StaleEpochError if the fence is at another term, or has never been taken. Under `REPEATABLE READ` and `SERIALIZABLE` a
   * move of the fence can appear as PostgreSQL's error 40001 instead; the repeated transaction then gets `STALE_EPOCH`.
   * @throws ClusterError `INVALID_CONFIG` outside a transaction or on a pool, where the lock would be released at once, and for an
   * incomplete term.
   */
  async guard(client: SqlClient | SqlRunner, term: FenceTerm): Promise<void> {
    if (isPool(client))
      throw this.#unguarded("it was called on a pool, which runs each statement on any connection");
    const mark = await reported("postgres", term, this.#guard(client, term));
    const status = typeof client === "function" ? null : (client.getTransactionStatus?.() ?? null);
    const inside =
      status === null ? (await runSql(client, this.#readMark))[0]?.["mark"] === mark : status !== "I";
    if (!inside) throw this.#unguarded("there is no transaction");
  }

  /**
   * Runs `work` in a guarded transaction on a connection of a `pg` pool: `BEGIN`, guard, work, `COMMIT`; or `ROLLBACK` if the guard or
   * the work rejects. A connection that the server ends fails the transaction, not the process.
   *
   * @param work - Receives the connection. It may use savepoints. It must not end the transaction, and must await its statements. If it
   * rejects, so does the call, with the same error.
   * @param options - `timeoutMs` and `signal` end the connection, and with it the transaction.
   * @throws StaleEpochError if the fence is at another term; `work` was not called.
   * @throws ClusterError `OUTCOME_UNKNOWN` if `COMMIT` got no answer: read before you repeat it. After the others nothing was written:
   * `NO_CONNECTION` (the connection was lost before `COMMIT`), `TIMEOUT`, `ABORTED`, `INVALID_CONFIG`, and errors of the client, which
   * are passed on. Exception: `INVALID_CONFIG` for work that has ended the transaction itself; what it has committed is stored.
   */
  transaction<P extends SqlPool, R>(
    pool: P,
    term: FenceTerm,
    work: (client: ClientOf<P>) => Promise<R>,
    options: TransactionOptions = {},
  ): Promise<R> {
    const guarded = {
      where: this.#where,
      readMark: this.#readMark,
      guard: (client: SqlClient) => this.#guard(client, term),
      work: (client: PooledSqlClient) => work(client as ClientOf<P>),
    };
    return reported("postgres", term, guardedTransaction(pool, guarded, options));
  }

  get #where(): string {
    return `fence "${this.resource}" in PostgreSQL`;
  }

  get #readMark(): SqlStatement {
    return readMark(this.#table, this.resource);
  }

  /** Resolves with the mark of the transaction. */
  async #guard(client: SqlClient | SqlRunner, term: FenceTerm): Promise<string> {
    const rows = await runSql(client, this.guardSql(term));
    this.#check(rows, term);
    return String(rows[0]?.["mark"]);
  }

  #read(client: SqlClient | SqlRunner): Promise<readonly Row[]> {
    return runSql(client, { text: readText(this.#table), values: [this.resource] });
  }

  #check(rows: readonly Row[], term: FenceTerm): void {
    const [row] = rows;
    if (row === undefined) throw staleLeader(this.#where, term, null, { detail: "call take() first" });
    if (row["epoch"] === undefined) {
      const text = `${this.#where}: the client renames columns (${Object.keys(row).join(", ")}): run the fence without that conversion`;
      throw new ClusterError("INVALID_CONFIG", text);
    }
    const epoch = Number(row["epoch"]);
    if (!isToken(epoch))
      throw staleLeader(this.#where, term, "unknown", { detail: `epoch ${String(row["epoch"])}` });
    const holder = { epoch, nodeId: String(row["node"]), incarnation: String(row["incarnation"]) };
    if (epoch !== term.epoch || holder.incarnation !== term.incarnation)
      throw staleLeader(this.#where, term, holder);
  }

  #unguarded(why: string): ClusterError {
    return new ClusterError(
      "INVALID_CONFIG",
      `guard() of ${this.#where} guards nothing: ${why}. Call it between BEGIN and COMMIT, on the client that runs the transaction, or use transaction()`,
    );
  }
}
