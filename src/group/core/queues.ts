/** Queues as plain data: a state that contains them can be copied. */

/** First in, first out; each item at most once. Adding, removing and taking cost O(1). */
export interface Fifo<T> {
  readonly members: Set<T>;
  items: T[];
  head: number;
}

const COMPACT = 1_024;

export function fifo<T>(): Fifo<T> {
  return { members: new Set(), items: [], head: 0 };
}

export function enqueue<T>(queue: Fifo<T>, item: T): void {
  if (queue.members.has(item)) return;
  queue.members.add(item);
  queue.items.push(item);
}

export function dequeue<T>(queue: Fifo<T>, item: T): void {
  queue.members.delete(item);
}

/** Removes and returns the oldest item; `undefined`: it is empty. */
export function takeFirst<T>(queue: Fifo<T>): T | undefined {
  while (queue.head < queue.items.length) {
    const item = queue.items[queue.head] as T;
    queue.head += 1;
    if (queue.head >= COMPACT && queue.head * 2 > queue.items.length) {
      queue.items = queue.items.slice(queue.head);
      queue.head = 0;
    }
    if (queue.members.delete(item)) return item;
  }
  queue.items = [];
  queue.head = 0;
  return undefined;
}

export function clearQueue(queue: Fifo<unknown>): void {
  queue.members.clear();
  queue.items = [];
  queue.head = 0;
}

/** A queue of due times: adding and removing cost O(log n), looking at the first O(1). An item may be in it several times. */
export interface DueQueue<T> {
  readonly items: { readonly atMono: number; readonly item: T }[];
}

export function dueQueue<T>(): DueQueue<T> {
  return { items: [] };
}

export function addDue<T>({ items }: DueQueue<T>, atMono: number, item: T): void {
  let at = items.length;
  const added = { atMono, item };
  items.push(added);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = items[parent];
    if (above === undefined || above.atMono <= atMono) break;
    items[at] = above;
    at = parent;
  }
  items[at] = added;
}

/** Monotonic milliseconds of the first item; infinite if there is none. */
export function nextDueMono({ items }: DueQueue<unknown>): number {
  return items[0]?.atMono ?? Number.POSITIVE_INFINITY;
}

/** Removes and returns the first item whose time has come; `undefined`: none. */
export function takeDue<T>({ items }: DueQueue<T>, nowMono: number): T | undefined {
  const first = items[0];
  if (first === undefined || first.atMono > nowMono) return undefined;
  const last = items.pop();
  if (last !== undefined && last !== first) sink(items, last);
  return first.item;
}

/** Puts an item in the place of the first, and lets it sink to where it belongs. */
function sink<T extends { readonly atMono: number }>(items: T[], moved: T): void {
  let at = 0;
  for (;;) {
    const left = items[2 * at + 1];
    const right = items[2 * at + 2];
    const child = right !== undefined && left !== undefined && right.atMono < left.atMono ? right : left;
    if (child === undefined || child.atMono >= moved.atMono) break;
    items[at] = child;
    at = child === left ? 2 * at + 1 : 2 * at + 2;
  }
  items[at] = moved;
}
