/** Reads servers through their monitoring ports, which have all documents and need no login. */
import { asError } from "../../errors.ts";
import type { JsonObject } from "../../nats/api/js-api.ts";
import { askedNow } from "../clocks/clock.ts";
import type { ClockBook } from "../clocks/clock-book.ts";
import type { ServerFacts } from "../facts.ts";
import type { HttpJson } from "./http-json.ts";
import { textIn, timeIn } from "./json.ts";
import {
  CLOSED_OPTIONS,
  type Document,
  eachStream,
  type FoundStream,
  JSZ_OPTIONS,
  OPEN_OPTIONS,
  readServer,
  unknownServer,
} from "./read-server.ts";

/** What one source found out. */
export interface SourceFacts {
  readonly servers: readonly ServerFacts[];
  /** From server ids to names. */
  readonly ids: ReadonlyMap<string, string>;
  /** Streams of all accounts, with their configuration. */
  readonly streams: readonly FoundStream[];
}

export const NOTHING_FOUND: SourceFacts = { servers: [], ids: new Map(), streams: [] };

/** The HTTP parameter has another name than the field of the NATS request. */
const JSZ_QUERY = Object.keys(JSZ_OPTIONS)
  .map((name) => `${name === "consumer" ? "consumers" : name}=true`)
  .join("&");

export const PATHS: Readonly<Record<Document, string>> = {
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
export const LARGEST_BYTES: Readonly<Record<Document, number>> = {
  varz: 4 * MIB,
  jsz: 48 * MIB,
  routez: 4 * MIB,
  gatewayz: 4 * MIB,
  healthz: MIB,
  connz: 4 * MIB,
  closedz: 4 * MIB,
};

export class MonitoringSource {
  readonly #urls: readonly URL[];
  readonly #http: HttpJson;
  readonly #book: ClockBook;
  readonly #names = new Map<URL, string>();

  constructor(urls: readonly URL[], http: HttpJson, book: ClockBook) {
    this.#urls = urls;
    this.#http = http;
    this.#book = book;
  }

  async read(): Promise<SourceFacts> {
    const ports = await Promise.all(this.#urls.map((url) => this.#readPort(url)));
    await this.clocks();
    return {
      servers: ports.map(({ server }) => server),
      ids: new Map(ports.flatMap(({ id, server }) => (id === null ? [] : [[id, server.name] as const]))),
      streams: ports.flatMap(({ streams }) => streams),
    };
  }

  /** Samples every clock again, by the smallest document that has the time. */
  async clocks(): Promise<void> {
    await Promise.all(
      this.#urls.map(async (url) => {
        const name = this.#names.get(url);
        if (name === undefined) return;
        const asked = askedNow();
        const answer = await this.#get(url, "gatewayz").catch(() => null);
        if (answer !== null) this.#book.server(name, asked, timeIn(answer, "now"));
      }),
    );
  }

  close(): void {
    this.#http.close();
  }

  #get(url: URL, document: Document): Promise<JsonObject> {
    return this.#http.get(endpoint(url, PATHS[document]), LARGEST_BYTES[document]);
  }

  async #readPort(
    url: URL,
  ): Promise<{ server: ServerFacts; id: string | null; streams: readonly FoundStream[] }> {
    const shown = `${url.protocol}//${url.host}`;
    const failed = (error: string): ServerFacts => ({
      ...unknownServer(this.#names.get(url) ?? shown, "monitoring"),
      url: shown,
      error,
    });
    let varz: JsonObject;
    try {
      varz = await this.#get(url, "varz");
    } catch (thrown) {
      return { server: failed(asError(thrown).message), id: null, streams: [] };
    }
    const get = (document: Document): Promise<JsonObject | null> =>
      this.#get(url, document).catch(() => null);
    const [jsz, routez, gatewayz, healthz, connz, closedz] = await Promise.all([
      get("jsz"),
      get("routez"),
      get("gatewayz"),
      get("healthz"),
      get("connz"),
      get("closedz"),
    ]);
    const documents = { varz, jsz, routez, gatewayz, healthz, connz, closedz };
    const server = readServer(documents, "monitoring");
    if (server === null) {
      const error = `${shown} is not the monitoring port of a nats-server`;
      return { server: failed(error), id: null, streams: [] };
    }
    this.#names.set(url, server.name);
    const streams = jsz === null ? [] : eachStream(jsz);
    return { server: { ...server, url: shown }, id: textIn(varz, "server_id"), streams };
  }
}

/** Keeps the path of the URL (`http_base_path`). */
export function endpoint(url: URL, document: string): URL {
  return new URL(document, url.pathname.endsWith("/") ? url : `${url.href}/`);
}
