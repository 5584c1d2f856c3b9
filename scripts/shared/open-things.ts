/** What a test file opened and has not closed yet. Known apart from vitest, so that scripts can use the same helpers. */
export interface OpenThings {
  add(thing: Closable): void;
  delete(thing: Closable): void;
  [Symbol.iterator](): IterableIterator<Closable>;
}

interface Closable extends AsyncDisposable {
  /** How the failure calls it. */
  readonly title: string;
}

export const openThings: OpenThings = new Set<Closable>();
