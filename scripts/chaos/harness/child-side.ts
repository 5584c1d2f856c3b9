/** What the processes of all worlds do alike. */
import { setTimeout as pause } from "node:timers/promises";
import type { NodeConnectionOptions } from "@nats-io/transport-node";
import { ClusterError } from "../../../src/errors.ts";

export const RETRY_MS = 150;
/** A longer gap between two samples means that this process was frozen or not scheduled. */
export const STALL_MS = 40;

/** Of the connection on which a process writes, through its proxies. */
export function writerOptions(urls: readonly string[]): NodeConnectionOptions {
  return {
    servers: [...urls],
    noRandomize: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 50,
    timeout: 1000,
    pingInterval: 1000,
    maxPingOut: 2,
    noAsyncTraces: true,
    ignoreClusterUpdates: true, // advertised addresses would bypass the proxies
  };
}

/** Retries: a process that starts during a fault may need several attempts. */
export async function retried<T>(attempt: () => Promise<T>, warn: (reason: string) => void): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof ClusterError && error.code === "INVALID_CONFIG") throw error;
      warn(String(error));
      await pause(RETRY_MS);
    }
  }
}
