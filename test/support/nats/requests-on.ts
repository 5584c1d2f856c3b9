/** Counts requests on the wire. */
import type { NatsConnection } from "@nats-io/transport-node";
import { atEnd } from "../at-end.ts";

/** The requests of all clients on a subject. */
export interface Requests {
  /** The subjects of the requests since the last call, sorted. Requests that have been answered are among them. */
  taken(): Promise<string[]>;
}

export async function requestsOn(connection: NatsConnection, subject: string): Promise<Requests> {
  let seen: string[] = [];
  const subscription = connection.subscribe(subject, {
    callback: (_error, message) => void seen.push(message.subject),
  });
  atEnd(() => subscription.unsubscribe());
  await connection.flush();
  return {
    async taken() {
      await connection.flush();
      const taken = seen.sort();
      seen = [];
      return taken;
    },
  };
}
