/** Checks of what goes into the SQL of a fence. */
import { ClusterError } from "../../errors.ts";
import { type FenceTerm, tokenOf } from "../token.ts";

/** The name goes into SQL as it is. */
export function checkTable(table: string): string {
  if (/^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$/.test(table)) return table;
  throw new ClusterError(
    "INVALID_CONFIG",
    `table "${table}" is not a plain name or schema.name: use letters, digits, _ and $`,
  );
}

/** PostgreSQL cannot store a NUL. */
export function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && !value.includes("\0");
}

/**
 * @param clusterId - The only cluster whose terms are accepted; `undefined`: any.
 * @throws ClusterError `INVALID_CONFIG` for a term without a token as its epoch, or without a text as its node id and incarnation, and for
 * one of another cluster.
 */
export function checkTerm(term: FenceTerm, clusterId: string | undefined): FenceTerm {
  const { nodeId, incarnation } = term;
  for (const [name, value] of Object.entries({ nodeId, incarnation })) {
    if (isText(value)) continue;
    const text = `${name} of the term is ${JSON.stringify(value)}: it must be a string that is not empty, without NUL; pass the term of onBecomeLeader`;
    throw new ClusterError("INVALID_CONFIG", text);
  }
  if (clusterId !== undefined && term.clusterId !== clusterId) {
    const text = `a term of cluster ${JSON.stringify(term.clusterId)} is refused by the fence of cluster ${JSON.stringify(clusterId)}: epochs of two clusters, or of two resources, cannot be compared`;
    throw new ClusterError("INVALID_CONFIG", text);
  }
  return { epoch: tokenOf(term), nodeId, incarnation };
}
