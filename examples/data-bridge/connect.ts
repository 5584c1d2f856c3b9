/** Connections of the bridge: they never give up reconnecting. */
import { readFile } from "node:fs/promises";
import {
  type ConnectionOptions,
  connect,
  credsAuthenticator,
  type NatsConnection,
} from "@nats-io/transport-node";
import type { Login } from "./config.ts";

export async function connectTo(
  servers: readonly string[],
  login: Login,
  name: string,
): Promise<NatsConnection> {
  const { user, pass, token, credsFile } = login;
  const options: ConnectionOptions = {
    name,
    servers: [...servers],
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    ...(user === undefined || pass === undefined ? {} : { user, pass }),
    ...(token === undefined ? {} : { token }),
    ...(credsFile === undefined ? {} : { authenticator: credsAuthenticator(await readFile(credsFile)) }),
    ...(servers.some((url) => url.startsWith("tls:")) ? { tls: {} } : {}),
  };
  return connect(options);
}
