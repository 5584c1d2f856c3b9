/** Reads the documents of servers through their monitoring ports: all at the same time, so that one time limit holds for everything. */
import { asError } from "../../errors.ts";
import type { JsonObject } from "../../nats/api/js-api.ts";
import type { HttpJson } from "../sources/http-json.ts";
import { textIn } from "../sources/json.ts";
import { endpoint, PATHS } from "../sources/monitoring-source.ts";
import type { Document } from "../sources/read-server.ts";
import type { ServerReading } from "./samples.ts";

export class PortReader {
  readonly #urls: readonly URL[];
  readonly #http: HttpJson;
  readonly #names = new Map<URL, string>();

  constructor(urls: readonly URL[], http: HttpJson) {
    this.#urls = urls;
    this.#http = http;
  }

  read(): Promise<ServerReading[]> {
    return Promise.all(this.#urls.map((url) => this.#readPort(url)));
  }

  close(): void {
    this.#http.close();
  }

  async #readPort(url: URL): Promise<ServerReading> {
    const started = performance.now();
    let error: string | null = null;
    const get = async (document: Document): Promise<JsonObject | null> => {
      try {
        return await this.#http.get(endpoint(url, PATHS[document]));
      } catch (thrown) {
        if (document === "varz") error = asError(thrown).message;
        return null;
      }
    };
    const [varz, jsz, routez, gatewayz, healthz, connz, closedz] = await Promise.all([
      get("varz"),
      get("jsz"),
      get("routez"),
      get("gatewayz"),
      get("healthz"),
      get("connz"),
      get("closedz"),
    ]);
    const shown = `${url.protocol}//${url.host}`;
    const name = textIn(varz, "server_name");
    if (name !== null) this.#names.set(url, name);
    else error ??= `${shown} is not the monitoring port of a nats-server`;
    return {
      server: this.#names.get(url) ?? shown,
      error,
      tookMs: performance.now() - started,
      documents: { varz, jsz, routez, gatewayz, healthz, connz, closedz },
    };
  }
}
