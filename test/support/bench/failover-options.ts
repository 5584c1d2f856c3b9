import type { FailoverOptions } from "../../../src/bench/options.ts";

/** Options of a short failover benchmark. */
export function failoverOptions(over: Partial<FailoverOptions> = {}): FailoverOptions {
  return {
    mode: "kill",
    rounds: 3,
    nodes: 3,
    ttlMs: 10_000,
    servers: 1,
    serverVersion: process.env["NATS_TEST_VERSION"],
    crashDetection: "presence",
    how: "kill",
    target: "turn",
    signal: AbortSignal.timeout(180_000),
    onProgress: () => {},
    ...over,
  };
}
