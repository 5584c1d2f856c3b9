/**
 * The first connection to a cluster that refuses us. nats.js drops a server that refused from its list, and the next
 * one's greeting names it again, so that by itself it would dial round and round for ever, without a pause.
 */
import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";

/** Beyond the servers that were given: those the cluster told of, which may be the ones to take us. */
const FURTHER_DIALS = 8;

class Exhausted extends Error {}

/** Rejects with what nats.js says of the last server that was tried. */
export async function dialFirst(
  options: ConnectionOptions & { readonly reconnectTimeWait: number },
  servers: number,
): Promise<NatsConnection> {
  try {
    return await dialled(options, servers + FURTHER_DIALS);
  } catch (error) {
    if (!(error instanceof Exhausted)) throw error;
    // Why it ended only nats.js knows: asked without gossip, it says so.
    const late = await connect({ ...options, ignoreClusterUpdates: true });
    // Taken after all, but deaf to the cluster's changes: once more, by the book.
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
    // Asked before every dial, and the only thing that can end the dialling.
    reconnectDelayHandler: () => {
      if (left !== null && --left < 0) throw new Exhausted(`no server took us in ${budget} dials`);
      const jitter = options.tls == null ? options.reconnectJitter : options.reconnectJitterTLS;
      return options.reconnectTimeWait + Math.floor(Math.random() * ((jitter ?? 0) + 1));
    },
  });
  left = null;
  return connection;
}
