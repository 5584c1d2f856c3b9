/** Reads the documents of servers through their monitoring ports: all at the same time, so that one time limit holds for everything. */
import { asError } from "../../errors.ts";
import type { JsonObject } from "../../nats/api/js-api.ts";
import type { HttpJson } from "./http-json.ts";
import { textIn } from "./json.ts";
import {
  CLOSED_OPTIONS,
  type Document,
  JSZ_OPTIONS,
  OPEN_OPTIONS,
  type SourceReading,
} from "./read-server.ts";

/** The HTTP parameter has another name than the field of the NATS request. */
const JSZ_QUERY = Object.keys(JSZ_OPTIONS)
  .map((name) => `${name === "consumer" ? "consumers" : name}=true`)
  .join("&");

const PATHS: Readonly<Record<Document, string>> = {
  varz: "varz",
  jsz: `jsz?${JSZ_QUERY}`,
  routez: "routez",
  gatewayz: "gatewayz",
  healthz: "healthz",
  connz: `connz?sort=${OPEN_OPTIONS.sort}&limit=${OPEN_OPTIONS.limit}`,
  closedz: `connz?state=closed&sort=${CLOSED_OPTIONS.sort}&limit=${CLOSED_OPTIONS.limit}`,
};

const MIB = 1024 * 1024;

/**
 * Limits of the documents. A stream with three replicas takes 2 kB of `/jsz`, its consumer 1.9 kB: 48 MiB have room for 10 000 streams with
 * a consumer each. The others grow with servers, or list at most 256 connections, each less than 2 kB.
 */
const LARGEST_BYTES: Readonly<Record<Document, number>> = {
  varz: 4 * MIB,
  jsz: 48 * MIB,
  routez: 4 * MIB,
  gatewayz: 4 * MIB,
  healthz: MIB,
  connz: 4 * MIB,
  closedz: 4 * MIB,
};

/** What a port returned when it last answered. */
interface Known {
  readonly name: string;
  readonly id: string | null;
}

export class MonitoringPorts {
  readonly #urls: readonly URL[];
  readonly #http: HttpJson;
  readonly #known = new Map<URL, Known>();

  constructor(urls: readonly URL[], http: HttpJson) {
    this.#urls = urls;
    this.#http = http;
  }

  /** One reading per port, in the order of the ports. */
  read(): Promise<SourceReading[]> {
    return Promise.all(this.#urls.map((url) => this.#readPort(url)));
  }

  /** One document of a port. Rejects with the reason, in one sentence. */
  get(url: URL, document: Document): Promise<JsonObject> {
    return this.#http.get(endpoint(url, PATHS[document]), LARGEST_BYTES[document]);
  }

  /** The ports that have answered, with the names of their servers. */
  named(): { readonly url: URL; readonly name: string }[] {
    return [...this.#known].map(([url, { name }]) => ({ url, name }));
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
        return await this.get(url, document);
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

/** Keeps the path of the URL (`http_base_path`). */
function endpoint(url: URL, document: string): URL {
  return new URL(document, url.pathname.endsWith("/") ? url : `${url.href}/`);
}
