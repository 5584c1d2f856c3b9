/** The servers of a run: those that the settings name, and private ones, which end with the starter, in place of those they do not. */
import type { NatsConnection } from "@nats-io/transport-node";
import { type NatsServer, startNatsServer } from "nats-leader/testing";
import { findPostgres, type PostgresServer, startPostgres } from "../singleton-writer/private-postgres.ts";
import type { BridgeConfig, SinkKind } from "./config.ts";
import { connectTo } from "./connect.ts";

export interface Servers {
  readonly urls: readonly string[];
  readonly nats: NatsConnection;
  readonly sink: SinkKind;
  /** URL of the database; `null` with the sink "ledger". */
  readonly postgres: string | null;
  /** One sentence on each. */
  readonly notes: readonly string[];
  /** @throws Error if the server is not one of ours. */
  restart(what: "nats" | "postgres"): Promise<void>;
  close(): Promise<void>;
}

export async function openServers(
  config: BridgeConfig,
  serversFrom: string | null,
  signal: AbortSignal,
): Promise<Servers> {
  const notes: string[] = [];
  const open: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const end of open.reverse()) await end();
    open.length = 0;
  };
  try {
    let own: NatsServer | null = null;
    if (config.servers === null) {
      const started = await startNatsServer({ signal });
      own = started;
      open.push(() => started.dispose());
      notes.push(`NATS: a nats-server ${started.version} of its own, ${started.url}`);
    } else notes.push(`NATS: ${config.servers.join(", ")} (from ${serversFrom})`);
    const urls = own === null ? (config.servers ?? []) : [own.url];
    const nats = await connectTo(urls, config.login, "data-bridge starter").catch((error: Error) => {
      throw new Error(`cannot connect to NATS at ${urls.join(", ")}: ${error.message}`, { cause: error });
    });
    open.push(() => nats.close());
    signal.throwIfAborted();

    const database =
      config.sink === "ledger" || config.postgres !== null ? null : await ownDatabase(config.sink, notes);
    if (database !== null) open.push(() => database.stop());
    signal.throwIfAborted();
    const postgres = database === null ? config.postgres : urlOf(database);
    const sink = postgres === null ? "ledger" : "postgres";
    if (sink === "ledger") notes.push("Sink: a fenced JetStream ledger");
    return {
      urls,
      nats,
      sink,
      postgres,
      notes,
      close,
      async restart(what) {
        const server = what === "nats" ? own : database;
        if (server === null) throw new Error(`restart ${what}: the bridge has not started this server`);
        await server.restart();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** `null`: there is none, and the ledger takes its place. */
async function ownDatabase(sink: BridgeConfig["sink"], notes: string[]): Promise<PostgresServer | null> {
  if (findPostgres() === null) {
    const missing = "PostgreSQL is not installed (apt-get install postgresql)";
    if (sink === "postgres") throw new Error(`${missing}; --postgres URL names another database`);
    notes.push(missing);
    return null;
  }
  const started = await startPostgres();
  notes.push(`Sink: a PostgreSQL ${started.version} of its own, ${urlOf(started)}`);
  return started;
}

function urlOf({ host, port, user, database }: PostgresServer): string {
  return `postgres://${user}@${host}:${port}/${database}`;
}
