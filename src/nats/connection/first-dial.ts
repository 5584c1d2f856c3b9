/**
 * The first connection to a NATS cluster that refuses the credentials. nats.js removes a server that refused from its list, and
 * the INFO of the next server adds it again. Without a limit nats.js would dial forever without a pause.
 */
import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";

/** Dials beyond the configured servers: for servers that the cluster announced and that may accept the credentials. */
const FURTHER_DIALS = 8;

class Exhausted extends Error {}

/** Rejects with the error of nats.js for the last server that was tried. */
export async function dialFirst(
  options: ConnectionOptions & { readonly reconnectTimeWait: number },
  servers: number,
): Promise<NatsConnection> {
  try {
    return await dialled(options, servers + FURTHER_DIALS);
  } catch (error) {
    if (!(error instanceof Exhausted)) throw error;
    // The reason of the refusal: nats.js reports it if it ignores announced servers.
    const late = await connect({ ...options, ignoreClusterUpdates: true });
    // Accepted this time, but this connection ignores changes of the cluster: connect once more.
    await late.close();
    return dialled(options, servers + FURTHER_DIALS);
  }
}

async function dialled(
  options: ConnectionOptions & { readonly reconnectTimeWait: number },
  budget: number,
): Promise<NatsConnection> {
  let left: number | null = budget;
  const connection = await connect({
    ...options,
    // Called before every dial; an exception is the only way to end the dialling.
    reconnectDelayHandler: () => {
      if (left !== null && --left < 0)
        throw new Exhausted(`no server accepted the connection in ${budget} dials`);
      const jitter = options.tls == null ? options.reconnectJitter : options.reconnectJitterTLS;
      return options.reconnectTimeWait + Math.floor(Math.random() * ((jitter ?? 0) + 1));
    },
  });
  left = null;
  return connection;
}
