/**
 * A fence in PostgreSQL: a recipe in plain SQL that any client can run.
 *
 * One row per resource holds the newest epoch. A take-over advances it; a write locks it `FOR SHARE` in the same
 * transaction and goes on only if the epoch is still its own. The two locks exclude each other: a take-over waits for
 * writes that have passed the guard, and a guard that waited for a take-over sees the new epoch. So when `take` has
 * committed, everything written under earlier epochs is committed or will roll back.
 *
 * A writer that is frozen inside its transaction would hold up the take-over: the guard therefore has the server end a
 * transaction that idles too long.
 */

import { ClusterError } from "../errors.ts";
import { isToken } from "./compare.ts";
import { staleLeader } from "./stale.ts";
import { type FenceTerm, tokenOf } from "./token.ts";

/** What a statement is: text with `$1` placeholders and their values. `pg` takes it as it is: `client.query(statement)`. */
export interface SqlStatement {
  readonly text: string;
  readonly values: readonly (string | number)[];
}

type Row = Readonly<Record<string, unknown>>;

/** Runs one statement and resolves with its rows, in the transaction of the caller where there is one. */
export type SqlRunner = (text: string, values: (string | number)[]) => PromiseLike<readonly Row[]>;

/** A client or pool of `pg`, or anything with such a `query`. */
export interface SqlClient {
  query(text: string, values: (string | number)[]): Promise<{ readonly rows: readonly Row[] }>;
}

export interface PostgresFenceOptions {
  /** Names what is guarded: one fence, one row. */
  readonly resource: string;
  /** Default `nats_leader_fence`; may be `schema.table`. */
  readonly table?: string;
  /**
   * A guarded transaction that idles longer is ended by the server (its connection too), because a frozen writer's lock
   * would keep the next leader out. Default 5000; 0: never.
   */
  readonly idleTimeoutMs?: number;
}

/**
 * ```ts
 * const fence = new PostgresFence({ resource: "ledger" });
 * await fence.setup(pool);                  // once, or run fence.setupSql() as a migration
 * await fence.take(pool, term);             // first thing in onBecomeLeader
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

  constructor(options: PostgresFenceOptions) {
    const { resource, table = "nats_leader_fence", idleTimeoutMs = 5000 } = options;
    if (!/^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$/.test(table)) {
      throw new ClusterError("INVALID_CONFIG", `table "${table}" is not a plain name or schema.name`);
    }
    if (resource === "") throw new ClusterError("INVALID_CONFIG", "resource must not be empty");
    if (!Number.isInteger(idleTimeoutMs) || idleTimeoutMs < 0) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `idleTimeoutMs is ${idleTimeoutMs}: it must be an integer from 0 on`,
      );
    }
    this.resource = resource;
    this.#table = table;
    this.#idleTimeoutMs = idleTimeoutMs;
  }

  /** The table, for a migration. May be run again. */
  setupSql(): string {
    return `CREATE TABLE IF NOT EXISTS ${this.#table} (
  resource text PRIMARY KEY,
  epoch bigint NOT NULL CHECK (epoch > 0),
  node_id text NOT NULL,
  incarnation text NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT now()
)`;
  }

  /** Advances the fence: no row means that somebody with a larger epoch, or another one with the same, has it. */
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

  /** Locks the fence until the transaction ends and tells who has it. */
  guardSql(): SqlStatement {
    const idle = `set_config('idle_in_transaction_session_timeout', '${this.#idleTimeoutMs}', true)`;
    const extra = this.#idleTimeoutMs === 0 ? "" : `, ${idle} AS idle`;
    return {
      text: `SELECT epoch::text AS epoch, node_id, incarnation${extra} FROM ${this.#table} WHERE resource = $1 FOR SHARE`,
      values: [this.resource],
    };
  }

  /**
   * A guard for a single statement, as its first `WITH` part: `WITH <this> INSERT INTO ledger (entry) SELECT 'x' FROM
   * fence`. Writes nothing when the fence has moved: no row affected means refused. `first` is the number of its first
   * placeholder; `values` of the three go there.
   */
  guardCte(term: FenceTerm, first = 1): SqlStatement {
    return {
      text: `fence AS MATERIALIZED (SELECT 1 FROM ${this.#table}
  WHERE resource = $${first} AND epoch = $${first + 1} AND incarnation = $${first + 2} FOR SHARE)`,
      values: [this.resource, tokenOf(term), term.incarnation],
    };
  }

  /** Makes the table. */
  async setup(client: SqlClient | SqlRunner): Promise<void> {
    await run(client, { text: this.setupSql(), values: [] });
  }

  /**
   * Moves the fence to this term. Waits for guarded transactions under way, not longer than they may idle; bound the
   * rest with `lock_timeout`. Resolves when no earlier term can write any more; run it outside a transaction, or commit
   * before you write. Rejects with `STALE_EPOCH`, and with the client's own errors.
   */
  async take(client: SqlClient | SqlRunner, term: FenceTerm): Promise<void> {
    const rows = await run(client, this.takeSql(term));
    if (rows.length > 0) return;
    this.#check(await run(client, this.#readSql()), term);
  }

  /**
   * Lets the transaction go on, and holds the fence until it ends. Call it inside a transaction, before or after its
   * writes. Rejects with `STALE_EPOCH`: roll back. Under `REPEATABLE READ` and `SERIALIZABLE` a move of the fence can
   * also show as error 40001; the repeated transaction then gets `STALE_EPOCH`.
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
