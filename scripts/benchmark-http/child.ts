/** The process that is measured: a leader with its HTTP server. */
import { subscribe } from "node:diagnostics_channel";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { readTask } from "../../src/bench/child-task.ts";
import { round } from "../../src/bench/stats.ts";
import type { ChannelEvents } from "../../src/channels/events.ts";
import { resolveOptions } from "../../src/config/resolve.ts";
import { startHttpServer } from "../../src/http/server.ts";
import { Node } from "../../src/node/node.ts";
import { prometheusMetrics } from "../../src/telemetry/prometheus.ts";
import type { HttpCommand, HttpTask, Measured, Ready } from "./messages.ts";

/** As followers count: `src/election/outlook.ts`. */
const MISSED_HEARTBEAT = 1.5;
const RESOLUTION_MS = 1;

const { servers, leaseTtlMs } = readTask<HttpTask>();
const options = { clusterId: "http", nodeId: "a", servers, leaseTtlMs, logger: false } as const;
const node = new Node(options);
const metrics = prometheusMetrics(node);
const door = await startHttpServer({
  nodes: [node],
  listen: "127.0.0.1:0",
  logger: false,
  metrics: (accept) => metrics.text(accept),
});
// On one server a leader renews once per heartbeat.
const renewIntervalMs = resolveOptions(options).heartbeatIntervalMs;

class Meter {
  #renewals: number[] = [];
  #margins: number[] = [];
  #durations: number[] = [];
  #suspensions = 0;
  #lost = 0;
  #startedMs = 0;
  #cpu = process.cpuUsage();
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    subscribe("nats-leader:renewal", (message) => {
      const { result, durationMs, marginMs } = message as ChannelEvents["nats-leader:renewal"];
      if (result !== "applied") return;
      this.#renewals.push(performance.now());
      this.#durations.push(durationMs);
      this.#margins.push(marginMs);
    });
    subscribe("nats-leader:suspended", () => {
      this.#suspensions += 1;
    });
    subscribe("tracing:nats-leader:term:end", () => {
      this.#lost += 1;
    });
    this.#delay.enable();
  }

  begin(): void {
    // The interval to the last renewal before counts, too.
    this.#renewals = this.#renewals.slice(-1);
    [this.#margins, this.#durations] = [[], []];
    [this.#suspensions, this.#lost] = [0, 0];
    this.#delay.reset();
    this.#cpu = process.cpuUsage();
    this.#startedMs = performance.now();
  }

  report(): Measured {
    const { user, system } = process.cpuUsage(this.#cpu);
    const tookMs = performance.now() - this.#startedMs;
    const intervals = this.#renewals.slice(1).map((at, index) => at - (this.#renewals[index] ?? at));
    // nanoseconds, with the resolution of the timer in them
    const delay = (ns: number): number => round(Math.max(0, ns / 1e6 - RESOLUTION_MS));
    return {
      type: "measured",
      renewals: intervals.length,
      lateRenewals: intervals.filter((ms) => ms >= MISSED_HEARTBEAT * renewIntervalMs).length,
      longestIntervalMs: round(Math.max(0, ...intervals)),
      slowestRenewalMs: round(Math.max(0, ...this.#durations)),
      leastMarginMs: round(Math.min(...this.#margins)),
      suspensions: this.#suspensions,
      lostTerms: this.#lost,
      loopDelay: {
        p50: delay(this.#delay.percentile(50)),
        p99: delay(this.#delay.percentile(99)),
        max: delay(this.#delay.max),
      },
      cpuPercent: Math.round((user + system) / 10 / tookMs),
    };
  }
}

const meter = new Meter();
process.on("message", ({ do: what }: HttpCommand) => {
  if (what === "begin") meter.begin();
  else if (what === "report") process.send?.(meter.report());
  else void end();
});
await node.start();
await node.campaign();
process.send?.({ type: "ready", port: door.port, renewIntervalMs } satisfies Ready);

async function end(): Promise<void> {
  await door.close();
  await node.stop();
  process.exit();
}
