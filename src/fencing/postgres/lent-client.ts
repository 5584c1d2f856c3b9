/** The client of a guarded transaction, as its work sees it. */
import { ClusterError } from "../../errors.ts";
import type { PooledSqlClient } from "./sql-client.ts";

const TOO_LATE =
  "the work of this guarded transaction is over, so that the statement was not sent: await every statement in the work";

/**
 * The client without `release()`, and without `query()` once the work is over. The end is checked at the call: a `query` that was read
 * from the client before ends with the work, too.
 */
export function lend(client: PooledSqlClient, isOver: () => boolean): PooledSqlClient {
  const query = (...args: unknown[]): unknown =>
    isOver() ? refuse(client, args) : Reflect.apply(client.query, client, args);
  return new Proxy(client, {
    get(target, key) {
      if (key === "query") return query;
      if (key === "release") {
        return () => {
          const text = "the work of a guarded transaction must not release its connection";
          throw new ClusterError("INVALID_CONFIG", text);
        };
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A query object of `pg`, such as a cursor: `query()` returns it, and it receives its own errors. */
interface Submittable {
  submit(connection: unknown): unknown;
  handleError(error: Error, connection: unknown): void;
  callback?: unknown;
}

/** Reports the refusal in the style of the call: to its callback, to its query object, or with a rejected promise. */
function refuse(client: PooledSqlClient, args: readonly unknown[]): unknown {
  const error = new ClusterError("INVALID_CONFIG", TOO_LATE);
  const [query] = args;
  const given = args.slice(1).find((arg) => typeof arg === "function") as Callback | undefined;
  if (isSubmittable(query)) {
    if (given !== undefined) query.callback ??= given;
    process.nextTick(() => query.handleError(error, Reflect.get(client, "connection")));
    return query;
  }
  const callback = given ?? callbackOf(query);
  if (callback === undefined) return Promise.reject(error);
  process.nextTick(() => callback(error));
  return undefined;
}

type Callback = (error: Error) => void;

function isSubmittable(query: unknown): query is Submittable {
  return typeof query === "object" && query !== null && "submit" in query && "handleError" in query;
}

/** `pg` also accepts the callback in the object with the text. */
function callbackOf(query: unknown): Callback | undefined {
  const given = typeof query === "object" && query !== null && "callback" in query ? query.callback : null;
  return typeof given === "function" ? (given as Callback) : undefined;
}
