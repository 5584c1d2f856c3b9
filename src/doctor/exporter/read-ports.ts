/** Reads the documents of servers through their monitoring ports: all at the same time, so that one time limit holds for everything. */
import { asError } from "../../errors.ts";
import type { JsonObject } from "../../nats/api/js-api.ts";
import type { HttpJson } from "../sources/http-json.ts";
import { textIn } from "../sources/json.ts";
import { endpoint, LARGEST_BYTES, PATHS } from "../sources/monitoring-source.ts";
import type { Document } from "../sources/read-server.ts";
import type { SourceReading } from "./one-per-server.ts";

export class PortReader {
  readonly #urls: readonly URL[];
  readonly #http: HttpJson;
  /** What each port said when it last answered. */
  readonly #known = new Map<URL, { readonly name: string; readonly id: string | null }>();

  constructor(urls: readonly URL[], http: HttpJson) {
    this.#urls = urls;
    this.#http = http;
  }

  read(): Promise<SourceReading[]> {
    return Promise.all(this.#urls.map((url) => this.#readPort(url)));
  }

  close(): void {
    this.#http.close();
  }

  async #readPort(url: URL): Promise<SourceReading> {
    const started = performance.now();
    let error: string | null = null;
    const unread: string[] = [];
    const get = async (document: Document): Promise<JsonObject | null> => {
      try {
        return await this.#http.get(endpoint(url, PATHS[document]), LARGEST_BYTES[document]);
      } catch (thrown) {
        const { message } = asError(thrown);
        if (document === "varz") error = message;
        else unread.push(message);
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
    if (name !== null) this.#known.set(url, { name, id: textIn(varz, "server_id") });
    else error ??= `${shown} is not the monitoring port of a nats-server`;
    const known = this.#known.get(url);
    return {
      source: shown,
      server: known?.name ?? shown,
      serverId: known?.id ?? null,
      error,
      unread: error === null ? unread : [],
      tookMs: performance.now() - started,
      documents: { varz, jsz, routez, gatewayz, healthz, connz, closedz },
    };
  }
}
