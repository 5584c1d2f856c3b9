let last = 0;

/** A cluster id, stream or table name that no other test of this run uses. */
export function freshId(prefix = "c"): string {
  last += 1;
  return `${prefix}${process.pid}_${last}`;
}
