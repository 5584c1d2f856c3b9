/**
 * The SQL of a fence. Each statement takes the lock of its resource in a materialized `WITH` query that the rest of it reads, so that
 * the lock is held before a row is locked or written.
 *
 * The lock is an advisory lock of the transaction: it ends with the transaction or savepoint that took it, and so works through a
 * pooler in transaction mode. Its key is a hash of the resource, seeded with the oid of the table: every session computes the same key,
 * whatever name it uses for the table.
 */
import { createHash } from "node:crypto";
import type { SqlStatement } from "./sql-client.ts";

/** Largest timeout that a setting of PostgreSQL can have. */
export const MAX_SETTING_MS: number = 2 ** 31 - 1;

/**
 * SQL with the name of the *mark*, a setting of the transaction. A guard that has passed sets it: not before it holds the row and has
 * compared it with its term. PostgreSQL reverts the mark with the guard's locks, at the end of the transaction or at the rollback to an
 * earlier savepoint. It belongs to one fence, like the lock: the name has a hash of the resource, and the oid of the table.
 */
function markName(table: string, resource: string): string {
  const hash = createHash("sha256").update(resource).digest("hex").slice(0, 16);
  return `'nats_leader.guard_${hash}_' || '${table}'::regclass::oid::text`;
}

/** SQL with the mark; NULL or empty in a transaction without one. */
function markOf(table: string, resource: string): string {
  return `current_setting(${markName(table, resource)}, true)`;
}

export function setupText(table: string): string {
  return `CREATE TABLE IF NOT EXISTS ${table} (
  resource text PRIMARY KEY,
  epoch bigint NOT NULL CHECK (epoch > 0),
  node_id text NOT NULL,
  incarnation text NOT NULL,
  taken_at timestamptz NOT NULL DEFAULT now()
)`;
}

/** Values: resource, epoch, node id, incarnation. @param settings - From `idleSetting`, `lockSetting`. */
export function takeText(table: string, settings: readonly string[]): string {
  return `WITH settings AS MATERIALIZED (SELECT ${[durably(), ...settings].join(", ")}),
gate AS MATERIALIZED (SELECT ${lock("pg_advisory_xact_lock", table, "$1")} FROM settings)
INSERT INTO ${table} AS fence (resource, epoch, node_id, incarnation)
SELECT $1::text, $2::bigint, $3::text, $4::text FROM gate
ON CONFLICT (resource) DO UPDATE
  SET epoch = excluded.epoch, node_id = excluded.node_id, incarnation = excluded.incarnation, taken_at = now()
  WHERE fence.epoch < excluded.epoch
     OR (fence.epoch = excluded.epoch AND fence.incarnation = excluded.incarnation)
RETURNING epoch`;
}

/**
 * Values: resource, epoch, incarnation, new mark. Returns the holder. `mark` is the mark of the transaction: the new one, unless an
 * earlier guard has set one. It is NULL if the holder is another term.
 */
export function guardText(table: string, resource: string, settings: readonly string[]): string {
  const gate = [...settings, lock("pg_advisory_xact_lock_shared", table, "$1")];
  return `WITH gate AS MATERIALIZED (SELECT ${gate.join(", ")}),
held AS MATERIALIZED (
  SELECT fence.epoch, fence.node_id, fence.incarnation FROM gate CROSS JOIN ${table} AS fence
  WHERE fence.resource = $1::text FOR SHARE OF fence)
SELECT ${holder("held")}, CASE
  WHEN held.epoch = $2::bigint AND held.incarnation = $3::text THEN ${setMark(table, resource, "$4::text")}
END AS mark FROM held`;
}

/** Values: resource, epoch, incarnation. */
export function guardCteText(table: string, resource: string, first: number): string {
  return `fence AS MATERIALIZED (
  WITH gate AS MATERIALIZED (SELECT ${lock("pg_advisory_xact_lock_shared", table, `$${first}`)}),
  passed AS MATERIALIZED (
    SELECT 1 FROM gate CROSS JOIN ${table} AS held
    WHERE held.resource = $${first}::text AND held.epoch = $${first + 1}::bigint AND held.incarnation = $${first + 2}::text
    FOR SHARE OF held)
  SELECT ${setMark(table, resource, "'statement'")} AS mark FROM passed)`;
}

/**
 * Refuses every change of a row, and `TRUNCATE`, in a transaction without a mark. PostgreSQL resolves the name of the fence's table when
 * it creates a trigger, so that the `search_path` of a writer cannot lead to another fence.
 */
export function requireText(table: string, resource: string, data: string): string {
  const call = `WHEN (coalesce(${markOf(table, resource)}, '') = '')
  EXECUTE FUNCTION ${table}_check('${resource.replaceAll("'", "''")}')`;
  return `CREATE OR REPLACE FUNCTION ${table}_check() RETURNS trigger LANGUAGE plpgsql AS $check$
BEGIN
  RAISE EXCEPTION 'a write to % is not guarded by fence "%"', TG_TABLE_NAME, TG_ARGV[0]
    USING ERRCODE = 'object_not_in_prerequisite_state',
      HINT = 'Call guard() in this transaction, outside savepoints, and roll back if it rejects.';
END $check$;
DROP TRIGGER IF EXISTS nats_leader_guard ON ${data};
CREATE TRIGGER nats_leader_guard BEFORE INSERT OR UPDATE OR DELETE ON ${data} FOR EACH ROW ${call};
DROP TRIGGER IF EXISTS nats_leader_guard_truncate ON ${data};
CREATE TRIGGER nats_leader_guard_truncate BEFORE TRUNCATE ON ${data} FOR EACH STATEMENT ${call}`;
}

export function readText(table: string): string {
  return `SELECT ${holder("fence")} FROM ${table} AS fence WHERE resource = $1::text`;
}

/** Reads the mark of this transaction into the column `mark`. */
export function readMark(table: string, resource: string): SqlStatement {
  return { text: `SELECT ${markOf(table, resource)} AS mark`, values: [] };
}

/** The server ends the transaction when it idles for longer, together with its connection. */
export function idleSetting(idleTimeoutMs: number): readonly string[] {
  return idleTimeoutMs === 0 ? [] : [set("idle_in_transaction_session_timeout", `'${idleTimeoutMs}'`)];
}

/** The statement waits for a lock no longer than this. PostgreSQL has no limit above 24.8 days, except none. */
export function lockSetting(timeoutMs: number): readonly string[] {
  if (!Number.isFinite(timeoutMs)) return [];
  const limitMs = timeoutMs > MAX_SETTING_MS ? 0 : Math.max(1, Math.ceil(timeoutMs));
  return [set("lock_timeout", `'${limitMs}'`)];
}

/** With `synchronous_commit` off, a crash of the server could move the fence back. All other values are kept. */
function durably(): string {
  const own = "current_setting('synchronous_commit')";
  return set("synchronous_commit", `CASE ${own} WHEN 'off' THEN 'on' ELSE ${own} END`);
}

function setMark(table: string, resource: string, value: string): string {
  const kept = `coalesce(nullif(${markOf(table, resource)}, ''), ${value})`;
  return `set_config(${markName(table, resource)}, ${kept}, true)`;
}

function lock(name: string, table: string, resource: string): string {
  return `${name}(hashtextextended(${resource}::text, '${table}'::regclass::oid::bigint))`;
}

function set(setting: string, value: string): string {
  return `set_config('${setting}', ${value}, true)`;
}

/** Columns of one lower-case word each: clients that convert the case of column names leave them as they are. */
function holder(row: string): string {
  return `${row}.epoch::text AS epoch, ${row}.node_id AS node, ${row}.incarnation AS incarnation`;
}
