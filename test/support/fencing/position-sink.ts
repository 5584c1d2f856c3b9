/**
 * A sink in PostgreSQL that keeps the position of each resource in the transaction of the effects. Its input is a stream of numbers: the
 * effect of number n is one row.
 */
import type { Pool } from "pg";
import type { PostgresFence } from "../../../src/fencing.ts";
import type { ResourceTerm } from "../../../src/group.ts";

/** Where a step can be interrupted. */
export type Point = "effects" | "position";

export const SINK_TABLES = `
  CREATE TABLE positions (resource text PRIMARY KEY, seq bigint NOT NULL);
  CREATE TABLE effects (resource text, seq bigint, epoch bigint, id serial)`;

/** Moves the fence, and resolves with the position at which the term begins. */
export async function begin(pool: Pool, fence: PostgresFence, term: ResourceTerm): Promise<number> {
  await fence.take(pool, term);
  const values = [term.clusterId];
  await pool.query("INSERT INTO positions (resource, seq) VALUES ($1, 0) ON CONFLICT DO NOTHING", values);
  const { rows } = await pool.query<{ seq: string }>("SELECT seq FROM positions WHERE resource = $1", values);
  return Number(rows[0]?.seq);
}

/** The effects of the numbers after `prev`, up to `last`. */
export function apply(
  pool: Pool,
  fence: PostgresFence,
  term: ResourceTerm,
  { prev, last }: { readonly prev: number; readonly last: number },
  reached: (point: Point) => Promise<void> = async () => {},
): Promise<void> {
  return fence.transaction(pool, term, async (client) => {
    for (let seq = prev + 1; seq <= last; seq++) {
      await client.query("INSERT INTO effects (resource, seq, epoch) VALUES ($1, $2, $3)", [
        term.clusterId,
        seq,
        term.epoch,
      ]);
    }
    await reached("effects");
    const { rowCount } = await client.query(
      "UPDATE positions SET seq = $1 WHERE resource = $2 AND seq = $3",
      [last, term.clusterId, prev],
    );
    if (rowCount !== 1) throw new Error(`the position is not ${prev}`);
    await reached("position");
  });
}
