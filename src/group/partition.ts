/**
 * Which partition a key belongs to, as nats-server computes it: the subject mapping `{{partition(n,1,2)}}` writes the FNV-1a hash (32
 * bits) of the UTF-8 bytes of the tokens, joined without a separator, modulo n. A producer that cannot use a mapping puts this number
 * into its subjects itself.
 */
import { ClusterError } from "../errors.ts";

const OFFSET_BASIS = 0x811c9dc5;
const PRIME = 0x01000193;
/** The server parses the number of partitions as a 32-bit integer. */
const MAX_PARTITIONS = 2 ** 31 - 1;

/**
 * @param key - One token of the subject, or several in the order in which the mapping names them. A separator between tokens does not
 *   count: `["ab", "c"]` and `["a", "bc"]` are in the same partition.
 * @param partitions - Number of partitions: the first argument of the mapping.
 * @returns A number from 0 to `partitions - 1`.
 * @throws ClusterError `INVALID_CONFIG` if `partitions` is not a whole number from 1 to 2 147 483 647.
 * @example
 * ```ts
 * const partition = partitionOf(orderId, 6); // as a mapping of orders.* to orders.{{partition(6,1)}}.{{wildcard(1)}}
 * await jetstream.publish(`orders.${partition}.${orderId}`, data);
 * ```
 */
export function partitionOf(key: string | readonly string[], partitions: number): number {
  if (!Number.isInteger(partitions) || partitions < 1 || partitions > MAX_PARTITIONS) {
    const rule = `must be a whole number from 1 to ${MAX_PARTITIONS}`;
    throw new ClusterError("INVALID_CONFIG", `number of partitions is ${String(partitions)}: it ${rule}`);
  }
  let hash = OFFSET_BASIS;
  for (const token of typeof key === "string" ? [key] : key) hash = hashOn(hash, token);
  return (hash >>> 0) % partitions;
}

function hashOn(start: number, token: string): number {
  let hash = start;
  for (let index = 0; index < token.length; index += 1) {
    const unit = token.charCodeAt(index);
    if (unit > 0x7f) return hashBytes(start, new TextEncoder().encode(token));
    hash = Math.imul(hash ^ unit, PRIME);
  }
  return hash;
}

function hashBytes(start: number, bytes: Uint8Array): number {
  let hash = start;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, PRIME);
  return hash;
}
