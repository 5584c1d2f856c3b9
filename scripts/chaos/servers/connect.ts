/** Connections of the tool itself, which must survive what it does to the servers. */
import { type ConnectionOptions, connect, errors, type NatsConnection } from "@nats-io/transport-node";

const TRIES = 30;

/**
 * A server that gets no CPU for seconds reads CONNECT too late, and reports an error of authentication: then it is tried again, after
 * those seconds.
 */
export async function connectPatiently(options: ConnectionOptions): Promise<NatsConnection> {
  const patient = {
    waitOnFirstConnect: true,
    ignoreAuthErrorAbort: true,
    maxReconnectAttempts: -1,
    noAsyncTraces: true,
  };
  for (let tries = 1; ; tries++) {
    try {
      return await connect({ ...patient, ...options });
    } catch (error) {
      if (!(error instanceof errors.AuthorizationError) || tries === TRIES) throw error;
    }
  }
}
