/** `/health` and `/metrics` of one instance, on a free port of 127.0.0.1. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { PrometheusMetrics } from "nats-leader/prometheus";
import { type Meters, metricsOf } from "./meters.ts";

export interface HealthOptions {
  readonly instance: string;
  readonly number: number;
  readonly meters: Meters;
  /** The metrics of the member of the group: owned resources, moves, renewals. */
  readonly member: PrometheusMetrics;
  readonly isConnected: () => boolean;
  readonly isStopping: () => boolean;
}

export interface Health {
  readonly url: string;
  close(): void;
}

export async function serveHealth(options: HealthOptions): Promise<Health> {
  const { instance, number, meters, member } = options;
  const registry = metricsOf(meters, options);
  const metrics = async (): Promise<string> => `${await registry.metrics()}
${(await member.text()).body}`;
  const server = createServer((request, response) => {
    const path = request.url?.split("?")[0];
    if (path === "/metrics") {
      response.setHeader("content-type", registry.contentType);
      metrics().then(
        (text) => response.end(text),
        (error: unknown) =>
          response.writeHead(500).end(`${(error as Error).message}
`),
      );
      return;
    }
    if (path !== "/health") {
      response.writeHead(404).end("/health or /metrics\n");
      return;
    }
    const { status, code } = statusOf(options);
    response.writeHead(code, { "content-type": "application/json" });
    const partitions = [...meters.partitions].map(([partition, meter]) => ({
      partition,
      epoch: meter.epoch,
      position: meter.position,
      lag: meter.lag,
      paused: meter.paused,
      failing: meter.failing,
    }));
    response.end(
      `${JSON.stringify({ instanceId: instance, instanceNumber: number, status, connected: options.isConnected(), partitions })}\n`,
    );
  });
  const port = await listen(server);
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** An instance without a partition is well: there may be more instances than partitions. */
function statusOf({ meters, isConnected, isStopping }: HealthOptions): {
  readonly status: string;
  readonly code: number;
} {
  if (isStopping()) return { status: "stopping", code: 503 };
  if (!isConnected()) return { status: "no connection to NATS", code: 503 };
  const failing = [...meters.partitions.values()].some((meter) => meter.failing !== null);
  return failing ? { status: "failing", code: 503 } : { status: "ok", code: 200 };
}

function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}
