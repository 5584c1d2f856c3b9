/** Async iterators of events, each with a bounded buffer. */

const MAX_BUFFERED = 1_024;

/** `at`: Unix milliseconds on the wall clock. */
type Timed<Body> = { readonly at: number } & Body;

/** An event of a reader that was too slow. */
interface Overflow {
  readonly type: "overflow";
  readonly at: number;
  readonly dropped: number;
}

interface StreamListener<E> {
  /** Whether the application waits for the next event. */
  awaited(stream: EventStream<E>, waiting: boolean): void;
  closed(): void;
}

/** One reader of events: an async iterator with a bounded buffer. */
class EventStream<E> implements AsyncIterableIterator<E | Overflow> {
  readonly #buffer: E[] = [];
  readonly #now: () => number;
  readonly #listener: StreamListener<E>;
  #waiting: (() => void)[] = [];
  #dropped = 0;
  #closed = false;

  constructor(now: () => number, listener: StreamListener<E>) {
    this.#now = now;
    this.#listener = listener;
  }

  push(event: E): void {
    if (this.#closed) return;
    if (this.#buffer.length >= MAX_BUFFERED) {
      this.#buffer.shift();
      this.#dropped += 1;
    }
    this.#buffer.push(event);
    this.#wake();
  }

  /** Accepts no further events; those in the buffer can still be read. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.closed();
    this.#wake();
  }

  async next(): Promise<IteratorResult<E | Overflow, undefined>> {
    for (;;) {
      if (this.#dropped > 0) {
        const dropped = this.#dropped;
        this.#dropped = 0;
        return { done: false, value: { type: "overflow", at: this.#now(), dropped } };
      }
      const value = this.#buffer.shift();
      if (value !== undefined) return { done: false, value };
      if (this.#closed) return { done: true, value: undefined };
      this.#listener.awaited(this, true);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async return(): Promise<IteratorResult<E | Overflow, undefined>> {
    this.close();
    this.#buffer.length = 0;
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#listener.awaited(this, false);
    for (const wake of waiting) wake();
  }
}

interface Reader<E> {
  readonly stream: WeakRef<EventStream<E>>;
  readonly release: () => void;
}

/**
 * The readers of the events of one node or member. `Body`: an event without its time. A reader without a pending `next()` is referred to only by the application: an iterator that it drops
 * without ending it is collected, with its buffer.
 */
export class EventStreams<Body extends object> {
  readonly #now: () => number;
  readonly #readers = new Set<Reader<Timed<Body>>>();
  readonly #awaited = new Set<EventStream<Timed<Body>>>();
  readonly #dropped = new FinalizationRegistry<Reader<Timed<Body>>>((reader) => this.#release(reader));

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The events from now on, until the signal aborts or `close()` is called. */
  open(signal: AbortSignal | undefined): AsyncIterableIterator<Timed<Body> | Overflow> {
    const stream = new EventStream<Timed<Body>>(this.#now, {
      awaited: (one, waiting) => void (waiting ? this.#awaited.add(one) : this.#awaited.delete(one)),
      closed: () => this.#release(reader),
    });
    const weak = new WeakRef(stream);
    const onAbort = (): void => weak.deref()?.close();
    const reader: Reader<Timed<Body>> = {
      stream: weak,
      release: () => signal?.removeEventListener("abort", onAbort),
    };
    this.#readers.add(reader);
    this.#dropped.register(stream, reader);
    if (signal?.aborted === true) stream.close();
    else signal?.addEventListener("abort", onAbort, { once: true });
    return stream;
  }

  push(event: Body): void {
    if (this.#readers.size === 0) return;
    const at = this.#now();
    for (const { stream } of this.#readers) stream.deref()?.push({ at, ...event });
  }

  close(): void {
    for (const { stream } of [...this.#readers]) stream.deref()?.close();
  }

  #release(reader: Reader<Timed<Body>>): void {
    this.#readers.delete(reader);
    reader.release();
  }
}
