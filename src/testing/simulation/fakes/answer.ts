/**
 * What a fake will answer: settled once, with no turn of the event loop in between, so that whoever waits for it goes on at
 * that very moment of virtual time. Never rejects; what a waiter throws goes to whoever settles.
 */
export class Answer<T> implements PromiseLike<T> {
  #settled = false;
  #value: T | undefined;
  #waiting: ((value: T) => void)[] | null = null;

  settle(value: T): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#value = value;
    for (const goOn of this.#waiting ?? []) goOn(value);
    this.#waiting = null;
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a promise, as far as its waiters are concerned
  then<R = T>(onFulfilled?: ((value: T) => R | PromiseLike<R>) | null): PromiseLike<R> {
    const next = new Answer<R>();
    const goOn = (value: T): void => {
      const result = onFulfilled == null ? (value as unknown as R) : onFulfilled(value);
      if (isThenable(result)) result.then((late) => next.settle(late));
      else next.settle(result);
    };
    if (this.#settled) goOn(this.#value as T);
    else if (this.#waiting === null) this.#waiting = [goOn];
    else this.#waiting.push(goOn);
    return next;
  }
}

function isThenable<R>(result: R | PromiseLike<R>): result is PromiseLike<R> {
  return typeof (result as PromiseLike<R> | null | undefined)?.then === "function";
}
