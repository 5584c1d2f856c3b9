/** Work on many items as generators that yield often, so that others can run in between. */

/** Items that are sorted at once. */
const RUN = 256;

export function* inBatches<T>(items: Iterable<T>, size: number): Generator<readonly T[], void> {
  let batch: T[] = [];
  for (const item of items) {
    batch.push(item);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** A stable sort, as `Array.sort()`. */
export function* sorted<T>(
  items: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<void, readonly T[]> {
  let runs: Array<readonly T[]> = [];
  for (const batch of inBatches(items, RUN)) {
    runs.push([...batch].sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const merged: Array<readonly T[]> = [];
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(yield* merge(runs[at] ?? [], runs[at + 1] ?? [], compare));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

function* merge<T>(
  left: readonly T[],
  right: readonly T[],
  compare: (a: T, b: T) => number,
): Generator<void, readonly T[]> {
  const merged: T[] = [];
  let at = 0;
  for (const item of left) {
    for (let next = right[at]; at < right.length && compare(next as T, item) < 0; next = right[at]) {
      merged.push(next as T);
      at += 1;
      if (merged.length % RUN === 0) yield;
    }
    merged.push(item);
    if (merged.length % RUN === 0) yield;
  }
  for (; at < right.length; at += 1) merged.push(right[at] as T);
  yield;
  return merged;
}
