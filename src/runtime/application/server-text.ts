/** How log lines name the server of a connection. */
import type { ConnectedServer } from "../../application/types.ts";

export function serverFields(server: ConnectedServer | null): {
  readonly server?: string;
  readonly url?: string;
} {
  return server === null ? {} : { server: server.name, url: server.url };
}

/** Completes "connected to ...". */
export function serverText(server: ConnectedServer | null): string {
  return server === null ? "NATS" : `NATS server ${server.name} at ${server.url}`;
}
