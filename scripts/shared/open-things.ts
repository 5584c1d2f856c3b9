/** What a test file has opened and not closed yet. Independent of vitest, so that tools can use the same helpers. */
export interface OpenThings {
  add(thing: Closable): void;
  delete(thing: Closable): void;
  [Symbol.iterator](): IterableIterator<Closable>;
}

interface Closable extends AsyncDisposable {
  /** Its name in the failure message. */
  readonly title: string;
}

export const openThings: OpenThings = new Set<Closable>();
