/** What a fence needs of a client of PostgreSQL, and how it runs a statement on one. */
import { ClusterError } from "../../errors.ts";

/** Text with `$1` placeholders, and their values. `pg` accepts it as it is: `client.query(statement)`. */
export interface SqlStatement {
  readonly text: string;
  readonly values: readonly (string | number)[];
}

export type Row = Readonly<Record<string, unknown>>;

/** Runs one statement, in the caller's transaction if there is one, and resolves with its rows. */
export type SqlRunner = (text: string, values: (string | number)[]) => PromiseLike<readonly Row[]>;

/** A client or pool of `pg`, or any object with such a `query`. */
export interface SqlClient {
  query(text: string, values: (string | number)[]): Promise<{ readonly rows: readonly Row[] }>;
  /** `pg` 8.18 and later: `I` outside a transaction, `T` inside one, `E` inside a failed one. */
  getTransactionStatus?(): string | null;
}

/** A client that a pool of `pg` has lent. */
export interface PooledSqlClient extends SqlClient {
  query(text: string, values?: (string | number)[]): Promise<{ readonly rows: readonly Row[] }>;
  /** With an error, the pool ends the connection. */
  release(error?: Error | boolean): void;
  on(event: "error", listener: (error: Error) => void): unknown;
  removeListener(event: "error", listener: (error: Error) => void): unknown;
}

/** A pool of `pg`. */
export interface SqlPool {
  connect(): Promise<PooledSqlClient>;
}

/** The client that a pool lends. `connect` of `pg` has a second signature, with a callback. */
export type ClientOf<P extends SqlPool> = P["connect"] extends {
  (): Promise<infer C>;
  (callback: never): void;
}
  ? C & PooledSqlClient
  : PooledSqlClient;

/** Rejects with the client's error, and with `INVALID_CONFIG` if the client does not return rows. */
export async function runSql(
  client: SqlClient | SqlRunner,
  { text, values }: SqlStatement,
): Promise<readonly Row[]> {
  const answer: unknown = await (typeof client === "function"
    ? client(text, [...values])
    : client.query(text, [...values]));
  const rows = typeof client === "function" ? answer : (answer as { rows?: unknown } | undefined)?.rows;
  if (Array.isArray(rows)) return rows as readonly Row[];
  throw new ClusterError(
    "INVALID_CONFIG",
    typeof client === "function"
      ? "the function that runs SQL did not resolve with an array of rows"
      : "query() of the SQL client did not resolve with { rows }: pass a client of pg, or a function that resolves with the rows",
  );
}

/** The SQLSTATE of an error of `pg`, postgres.js and the libraries above them; `null` for any other error. */
export function sqlState(thrown: unknown): string | null {
  const code = typeof thrown === "object" && thrown !== null && "code" in thrown ? thrown.code : null;
  return typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) && code !== "EPIPE" ? code : null;
}

/** A pool runs each statement on any of its connections, in a transaction of its own. */
export function isPool(client: SqlClient | SqlRunner): boolean {
  return typeof client === "object" && "connect" in client && "totalCount" in client;
}
