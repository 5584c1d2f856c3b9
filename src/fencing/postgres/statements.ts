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

/**
 * The *mark* of a guard: a setting of the transaction, which is not empty as long as the guard holds. PostgreSQL reverts it with the
 * guard's lock, at the end of the transaction or at the rollback to an earlier savepoint.
 */
export function markSetting(resource: string): string {
  return `nats_leader.guard_${createHash("sha256").update(resource).digest("hex").slice(0, 16)}`;
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

/** `$2` becomes the mark, unless an earlier guard of this transaction has set one. Returns the mark in the column `mark`. */
export function guardText(table: string, resource: string, settings: readonly string[]): string {
  const all = [...settings, `${mark(resource, "$2::text")} AS mark`];
  return `WITH settings AS MATERIALIZED (SELECT ${all.join(", ")}),
gate AS MATERIALIZED (SELECT mark, ${lock("pg_advisory_xact_lock_shared", table, "$1")} FROM settings)
SELECT ${holder("fence")}, gate.mark AS mark FROM gate CROSS JOIN ${table} AS fence
WHERE fence.resource = $1::text FOR SHARE OF fence`;
}

export function guardCteText(table: string, resource: string, first: number): string {
  return `fence AS MATERIALIZED (
  WITH gate AS MATERIALIZED (SELECT ${lock("pg_advisory_xact_lock_shared", table, `$${first}`)}, ${mark(resource, "'statement'")})
  SELECT 1 FROM gate CROSS JOIN ${table} AS held
  WHERE held.resource = $${first}::text AND held.epoch = $${first + 1}::bigint AND held.incarnation = $${first + 2}::text
  FOR SHARE OF held)`;
}

/** Refuses every change of a row, and `TRUNCATE`, in a transaction without a mark. */
export function requireText(table: string, resource: string, data: string): string {
  const check = `${table}_check`;
  const call = `EXECUTE FUNCTION ${check}('${markSetting(resource)}', '${resource.replaceAll("'", "''")}')`;
  return `CREATE OR REPLACE FUNCTION ${check}() RETURNS trigger LANGUAGE plpgsql AS $check$
BEGIN
  IF coalesce(current_setting(TG_ARGV[0], true), '') = '' THEN
    RAISE EXCEPTION 'a write to % is not guarded by fence "%"', TG_TABLE_NAME, TG_ARGV[1]
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Call guard() in this transaction, outside savepoints.';
  END IF;
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
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
export function readMark(resource: string): SqlStatement {
  return { text: `SELECT current_setting('${markSetting(resource)}', true) AS mark`, values: [] };
}

/** The server ends the transaction when it idles for longer, together with its connection. */
export function idleSetting(idleTimeoutMs: number): readonly string[] {
  return idleTimeoutMs === 0 ? [] : [set("idle_in_transaction_session_timeout", `'${idleTimeoutMs}'`)];
}

/** The statement waits for a lock no longer than this. */
export function lockSetting(timeoutMs: number): readonly string[] {
  return Number.isFinite(timeoutMs) ? [set("lock_timeout", `'${Math.max(1, Math.ceil(timeoutMs))}'`)] : [];
}

/** With `synchronous_commit` off, a crash of the server could move the fence back. All other values are kept. */
function durably(): string {
  const own = "current_setting('synchronous_commit')";
  return set("synchronous_commit", `CASE ${own} WHEN 'off' THEN 'on' ELSE ${own} END`);
}

function mark(resource: string, value: string): string {
  const setting = markSetting(resource);
  return set(setting, `coalesce(nullif(current_setting('${setting}', true), ''), ${value})`);
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
