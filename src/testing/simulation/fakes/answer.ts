/**
 * The answer of a fake: a promise that calls its waiters synchronously when it is settled, so they continue at the same
 * moment of virtual time. It never rejects; an exception of a waiter propagates to the caller of `settle()`.
 */
export class Answer<T> implements PromiseLike<T> {
  #settled = false;
  #value: T | undefined;
  #waiting: ((value: T) => void)[] | null = null;

  settle(value: T): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#value = value;
    for (const resume of this.#waiting ?? []) resume(value);
    this.#waiting = null;
  }

  // biome-ignore lint/suspicious/noThenProperty: it is a thenable on purpose
  then<R = T>(onFulfilled?: ((value: T) => R | PromiseLike<R>) | null): PromiseLike<R> {
    const next = new Answer<R>();
    const resume = (value: T): void => {
      const result = onFulfilled == null ? (value as unknown as R) : onFulfilled(value);
      if (isThenable(result)) result.then((late) => next.settle(late));
      else next.settle(result);
    };
    if (this.#settled) resume(this.#value as T);
    else if (this.#waiting === null) this.#waiting = [resume];
    else this.#waiting.push(resume);
    return next;
  }
}

function isThenable<R>(result: R | PromiseLike<R>): result is PromiseLike<R> {
  return typeof (result as PromiseLike<R> | null | undefined)?.then === "function";
}
