/** What a reader of a fenced bucket sees: everything but the keys of the fence. */
import type { KvWatchEntry } from "@nats-io/kv";
import type { QueuedIterator } from "@nats-io/transport-node";
import { KV_FENCE_KEY } from "../stream/names.ts";

export function isFenceKey(key: string): boolean {
  return key.startsWith(`${KV_FENCE_KEY}.`);
}

/** An iterator of `@nats-io/kv` without the values for which `see` returns `false`. */
export class VisibleIterator<T> implements QueuedIterator<T> {
  readonly #source: QueuedIterator<T>;
  readonly #see: (value: T) => boolean;
  #processed = 0;
  #hidden = 0;

  constructor(source: QueuedIterator<T>, see: (value: T) => boolean) {
    this.#source = source;
    this.#see = see;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for await (const value of this.#source) {
      if (!this.#see(value)) this.#hidden += 1;
      else {
        this.#processed += 1;
        yield value;
      }
    }
  }

  stop(error?: Error): void {
    this.#source.stop(error);
  }

  getProcessed(): number {
    return this.#processed;
  }

  /** May count keys of the fence that have not been read yet. */
  getPending(): number {
    return this.#source.getPending();
  }

  /** May count keys of the fence that have not been read yet. */
  getReceived(): number {
    return this.#source.getReceived() - this.#hidden;
  }
}

/**
 * Hides the entries of the fence from a watch or history. `delta` of the others then counts visible entries only, so that it is 0 for the
 * last one; with it, `isUpdate` is true, as in a bucket without a fence.
 *
 * @param fence - Revisions of the fence's entries that the iterator yields.
 */
export function seeEntries(fence: readonly number[]): (entry: KvWatchEntry) => boolean {
  return (entry) => {
    if (isFenceKey(entry.key)) return false;
    const pending = entry.delta ?? 0;
    const hidden = fence.filter((revision) => revision > entry.revision).length;
    if (pending === 0 || hidden === 0) return true;
    const delta = Math.max(0, pending - hidden);
    Object.defineProperty(entry, "delta", { value: delta });
    if (delta === 0) Object.defineProperty(entry, "isUpdate", { value: true });
    return true;
  };
}
