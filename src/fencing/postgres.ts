/**
 * A fence in PostgreSQL, in plain SQL that any client can run.
 *
 * One row per resource holds the largest epoch. A takeover (`take`) updates the row. A writer (`guard`) locks the row `FOR SHARE`
 * in the transaction of its write, and continues only if the row still has its epoch. The two locks exclude each other: a takeover
 * waits for transactions that have passed the guard, and a guard that waited for a takeover reads the new epoch. Therefore, once
 * `take` has committed, every transaction of an earlier epoch has committed or will roll back.
 *
 * A writer that is frozen inside its transaction would block the takeover. The guard therefore sets a timeout after which the
 * server ends the idle transaction.
 */

import { ClusterError } from "../errors.ts";
import { isToken } from "./compare.ts";
import { staleLeader } from "./stale.ts";
import { type FenceTerm, tokenOf } from "./token.ts";

/** Text with `$1` placeholders, and their values. `pg` accepts it as it is: `client.query(statement)`. */
export interface SqlStatement {
  readonly text: string;
  readonly values: readonly (string | number)[];
}

type Row = Readonly<Record<string, unknown>>;

/** Runs one statement, in the caller's transaction if there is one, and resolves with its rows. */
export type SqlRunner = (text: string, values: (string | number)[]) => PromiseLike<readonly Row[]>;

/** A client or pool of `pg`, or any object with such a `query`. */
export interface SqlClient {
  query(text: string, values: (string | number)[]): Promise<{ readonly rows: readonly Row[] }>;
}

/** Largest `idle_in_transaction_session_timeout` of PostgreSQL. */
const MAX_IDLE_TIMEOUT_MS = 2 ** 31 - 1;

export interface PostgresFenceOptions {
  /** Name of the guarded resource: each resource has one row. */
  readonly resource: string;
  /**
   * Table of the fences: `table` or `schema.table`, in letters, digits, `_` and `$`.
   *
   * @default "nats_leader_fence"
   */
  readonly table?: string;
  /**
   * The server ends a guarded transaction that idles longer, together with its connection: the lock of a frozen writer would
   * block the next leader. Milliseconds; 0 leaves the session's own setting.
   *
   * @default 5000
   */
  readonly idleTimeoutMs?: number;
}

/**
 * Guards the transactions of a leader. Every transaction that writes to the resource has to call `guard`.
 *
 * @example
 * ```ts
 * const fence = new PostgresFence({ resource: "ledger" });
 * await fence.setup(pool);                  // once, or run fence.setupSql() as a migration
 * await fence.take(pool, term);             // first in onBecomeLeader
 *
 * await client.query("BEGIN");              // every write
 * await fence.guard(client, term);          // STALE_EPOCH: roll back
 * await client.query("INSERT INTO ledger …");
 * await client.query("COMMIT");
 * ```
 */
export class PostgresFence {
  readonly resource: string;
  readonly #table: string;
  readonly #idleTimeoutMs: number;

  /** @throws ClusterError `INVALID_CONFIG`, naming the invalid option. Does no I/O. */
  constructor(options: PostgresFenceOptions) {
    const { resource, table = "nats_leader_fence", idleTimeoutMs = 5000 } = options;
    if (!/^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$/.test(table)) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `table "${table}" is not a plain name or schema.name: use letters, digits, _ and $`,
      );
    }
    if (resource === "") throw new ClusterError("INVALID_CONFIG", "resource must not be empty");
    if (!Number.isInteger(idleTimeoutMs) || idleTimeoutMs < 0 || idleTimeoutMs > MAX_IDLE_TIMEOUT_MS) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `idleTimeoutMs is ${idleTimeoutMs}: it must be an integer from 0 to ${MAX_IDLE_TIMEOUT_MS}`,
      );
    }
    this.resource = resource;
    this.#table = table;
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  /** The statement that creates the table, for a migration. Running it again changes nothing. */
  setupSql(): string {
    return `CREATE TABLE IF NOT EXISTS ${this.#table} (
  resource text PRIMARY KEY,
  epoch bigint NOT NULL CHECK (epoch > 0),
  node_id text NOT NULL,
  incarnation text NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT now()
)`;
  }

  /**
   * The statement of `take`. It returns no row if the fence is at a larger epoch, or at the same epoch of another incarnation.
   *
   * @throws ClusterError `INVALID_CONFIG` if the epoch is not a token.
   */
  takeSql(term: FenceTerm): SqlStatement {
    return {
      text: `INSERT INTO ${this.#table} AS fence (resource, epoch, node_id, incarnation) VALUES ($1, $2, $3, $4)
ON CONFLICT (resource) DO UPDATE
  SET epoch = excluded.epoch, node_id = excluded.node_id, incarnation = excluded.incarnation, taken_at = now()
  WHERE fence.epoch < excluded.epoch
     OR (fence.epoch = excluded.epoch AND fence.incarnation = excluded.incarnation)
RETURNING epoch`,
      values: [this.resource, tokenOf(term), term.nodeId, term.incarnation],
    };
  }

  /** The statement of `guard`: locks the fence until the transaction ends, and returns its holder. */
  guardSql(): SqlStatement {
    const idle = `set_config('idle_in_transaction_session_timeout', '${this.#idleTimeoutMs}', true)`;
    const extra = this.#idleTimeoutMs === 0 ? "" : `, ${idle} AS idle`;
    return {
      text: `SELECT epoch::text AS epoch, node_id, incarnation${extra} FROM ${this.#table} WHERE resource = $1 FOR SHARE`,
      values: [this.resource],
    };
  }

  /**
   * A guard for a single statement, as its first `WITH` query. If the fence has moved, the statement writes nothing: no affected
   * row means that the write was refused.
   *
   * @param first - Number of the first of its three placeholders.
   * @default `first` is 1.
   * @throws ClusterError `INVALID_CONFIG` if the epoch is not a token.
   * @example
   * ```ts
   * const guard = fence.guardCte(term, 2);
   * const text = `WITH ${guard.text} INSERT INTO ledger (entry) SELECT $1::text FROM fence`;
   * const { rowCount } = await client.query(text, ["+10", ...guard.values]);
   * ```
   */
  guardCte(term: FenceTerm, first = 1): SqlStatement {
    return {
      text: `fence AS MATERIALIZED (SELECT 1 FROM ${this.#table}
  WHERE resource = $${first} AND epoch = $${first + 1} AND incarnation = $${first + 2} FOR SHARE)`,
      values: [this.resource, tokenOf(term), term.incarnation],
    };
  }

  /** Creates the table unless it exists. Rejects with the client's error. */
  async setup(client: SqlClient | SqlRunner): Promise<void> {
    await run(client, { text: this.setupSql(), values: [] });
  }

  /**
   * Moves the fence to this term. When it resolves, no earlier term can write any more. Run it outside a transaction, or commit
   * before you write.
   *
   * It waits for guarded transactions in progress. One that idles ends after `idleTimeoutMs`; to limit the wait for one that is
   * active, set PostgreSQL's `lock_timeout`.
   *
   * @throws StaleEpochError if a term with a larger epoch, or another one with the same epoch, holds the fence.
   * @throws ClusterError `INVALID_CONFIG` if the epoch is not a token. Errors of the client are passed on.
   */
  async take(client: SqlClient | SqlRunner, term: FenceTerm): Promise<void> {
    const rows = await run(client, this.takeSql(term));
    if (rows.length > 0) return;
    this.#check(await run(client, this.#readSql()), term);
  }

  /**
   * Resolves if the fence is at this term, and locks it until the transaction ends. Call it inside a transaction, before or after
   * its writes, and roll back if it rejects.
   *
   * @throws StaleEpochError if the fence is at another term, or has never been taken. Under `REPEATABLE READ` and `SERIALIZABLE` a
   * move of the fence can appear as PostgreSQL's error 40001 instead; the repeated transaction then gets `STALE_EPOCH`.
   */
  async guard(client: SqlClient | SqlRunner, term: FenceTerm): Promise<void> {
    this.#check(await run(client, this.guardSql()), term);
  }

  #readSql(): SqlStatement {
    const text = `SELECT epoch::text AS epoch, node_id, incarnation FROM ${this.#table} WHERE resource = $1`;
    return { text, values: [this.resource] };
  }

  #check(rows: readonly Row[], term: FenceTerm): void {
    const where = `fence "${this.resource}" in PostgreSQL`;
    const [row] = rows;
    if (row === undefined) throw staleLeader(where, term, null, { detail: "call take() first" });
    const epoch = Number(row["epoch"]);
    if (!isToken(epoch))
      throw staleLeader(where, term, "unknown", { detail: `epoch ${String(row["epoch"])}` });
    const holder = { epoch, nodeId: String(row["node_id"]), incarnation: String(row["incarnation"]) };
    if (epoch !== term.epoch || holder.incarnation !== term.incarnation)
      throw staleLeader(where, term, holder);
  }
}

async function run(client: SqlClient | SqlRunner, statement: SqlStatement): Promise<readonly Row[]> {
  const { text, values } = statement;
  if (typeof client === "function") return client(text, [...values]);
  return (await client.query(text, [...values])).rows;
}
