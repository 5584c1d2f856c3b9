/** Servers by their monitoring ports. Their documents say everything, and nobody has to log in. */
import { asError } from "../../errors.ts";
import type { JsonObject } from "../../nats/api/js-api.ts";
import { askedNow } from "../clocks/clock.ts";
import type { ClockBook } from "../clocks/clock-book.ts";
import type { ServerFacts } from "../facts.ts";
import type { HttpJson } from "./http-json.ts";
import { textIn, timeIn } from "./json.ts";
import { eachStream, type FoundStream, JSZ_OPTIONS, readServer, unknownServer } from "./read-server.ts";

/** What one source has seen. */
export interface Sighting {
  readonly servers: readonly ServerFacts[];
  /** Server ids to names. */
  readonly ids: ReadonlyMap<string, string>;
  /** Streams of all accounts, with their configuration. */
  readonly streams: readonly FoundStream[];
}

export const NOTHING_SEEN: Sighting = { servers: [], ids: new Map(), streams: [] };

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

  async look(): Promise<Sighting> {
    const seen = await Promise.all(this.#urls.map((url) => this.#lookAt(url)));
    await this.clocks();
    return {
      servers: seen.map(({ server }) => server),
      ids: new Map(seen.flatMap(({ id, server }) => (id === null ? [] : [[id, server.name] as const]))),
      streams: seen.flatMap(({ streams }) => streams),
    };
  }

  /** Once more at every clock. The gateways' document is the smallest with the time in it. */
  async clocks(): Promise<void> {
    await Promise.all(
      this.#urls.map(async (url) => {
        const name = this.#names.get(url);
        if (name === undefined) return;
        const asked = askedNow();
        const answer = await this.#http.get(endpoint(url, "gatewayz")).catch(() => null);
        if (answer !== null) this.#book.server(name, asked, timeIn(answer, "now"));
      }),
    );
  }

  close(): void {
    this.#http.close();
  }

  async #lookAt(
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
      varz = await this.#http.get(endpoint(url, "varz"));
    } catch (thrown) {
      return { server: failed(asError(thrown).message), id: null, streams: [] };
    }
    const get = (document: string): Promise<JsonObject | null> =>
      this.#http.get(endpoint(url, document)).catch(() => null);
    // Over HTTP the consumers are called by another name.
    const options = Object.keys(JSZ_OPTIONS).map((name) => (name === "consumer" ? "consumers" : name));
    const jszQuery = options.map((name) => `${name}=true`).join("&");
    const [jsz, routez, gatewayz, healthz] = await Promise.all([
      get(`jsz?${jszQuery}`),
      get("routez"),
      get("gatewayz"),
      get("healthz"),
    ]);
    const server = readServer({ varz, jsz, routez, gatewayz, healthz }, "monitoring");
    if (server === null) {
      const error = `what answers at ${shown} is not a nats-server's monitoring port`;
      return { server: failed(error), id: null, streams: [] };
    }
    this.#names.set(url, server.name);
    const streams = jsz === null ? [] : eachStream(jsz);
    return { server: { ...server, url: shown }, id: textIn(varz, "server_id"), streams };
  }
}

/** A monitoring port behind a path (`http_base_path`) keeps it. */
function endpoint(url: URL, document: string): URL {
  return new URL(document, url.pathname.endsWith("/") ? url : `${url.href}/`);
}
