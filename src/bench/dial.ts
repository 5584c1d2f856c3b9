import { type ConnectionOptions, connect, type NatsConnection } from "@nats-io/transport-node";
import { asError } from "../errors.ts";
import { untilAborted } from "../runtime/waiting.ts";

/** Connects; rejects as soon as the signal aborts. A connection that opens after the abort is closed. */
export function dial(
  servers: readonly string[],
  signal: AbortSignal,
  options: ConnectionOptions = {},
): Promise<NatsConnection> {
  const dialling = connect({ noAsyncTraces: true, ...options, servers: [...servers] });
  return untilAborted(dialling, signal, (reason) => {
    dialling.then(
      (late) => void late.close(),
      () => {},
    );
    return asError(reason);
  });
}
