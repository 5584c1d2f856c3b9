/** The HTTP server of a process that is configured: with the metrics of what it runs. Loaded only where a configuration has one. */
import { httpToken } from "../config/file/http.ts";
import type { HttpConfig } from "../config/file/types.ts";
import type { Mount } from "../http/options.ts";
import { type HttpServer, startHttpServer } from "../http/server.ts";
import type { Sources } from "../http/views.ts";
import type { Logger } from "../log/logger.ts";
import { type PrometheusMetrics, prometheusMetrics } from "../telemetry/prometheus.ts";

export interface ProcessDoorOptions extends Sources {
  readonly http: HttpConfig;
  readonly mounts?: Readonly<Record<string, Mount>> | undefined;
  readonly logger: Logger | false | undefined;
}

export class ProcessDoor {
  readonly #server: HttpServer;
  readonly #metrics: PrometheusMetrics;

  private constructor(server: HttpServer, metrics: PrometheusMetrics) {
    this.#server = server;
    this.#metrics = metrics;
  }

  /** @throws ClusterError `LISTEN_FAILED`; `INVALID_CONFIG` for a token that cannot be read or used. */
  static async open({ http, ...options }: ProcessDoorOptions): Promise<ProcessDoor> {
    const { listen, hosts } = http;
    const metrics = prometheusMetrics();
    const server = await startHttpServer({
      ...options,
      listen,
      hosts,
      token: httpToken(http),
      metrics: (accept) => metrics.text(accept),
    });
    return new ProcessDoor(server, metrics);
  }

  /** Counts what this node or member does from now on. Call it before its start. Returns the end of that. */
  observe(owner: object): () => void {
    return this.#metrics.observe(owner);
  }

  close(): Promise<void> {
    return this.#server.close();
  }
}
