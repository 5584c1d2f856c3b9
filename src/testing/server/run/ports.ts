import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { NatsServerError } from "../errors.ts";

// Below the ephemeral ports of Linux (32768+) and macOS (49152+). A stopped server must find its port free again. In the
// ephemeral range, a client that redials the closed port of a stopped server on loopback can get that port as its local
// port: it connects to itself and keeps the port.
const FIRST = 14_000;
const LAST = 32_000;
const ATTEMPTS = 200;

const handedOut = new Set<number>();

/** Whether this process can listen on the port now. */
export function isPortFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}

/**
 * A port that is free now and that this process has not handed out before. Another process may take it before it is used;
 * the caller then retries with a new port.
 */
export async function freePort(host: string): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = randomInt(FIRST, LAST);
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if (await isPortFree(port, host)) return port;
    handedOut.delete(port);
  }
  throw new NatsServerError(
    "start_failed",
    `no free port on ${host} from ${FIRST} to ${LAST} in ${ATTEMPTS} attempts`,
  );
}

/** Returns a port of {@link freePort}. */
export function returnPort(port: number): void {
  handedOut.delete(port);
}
