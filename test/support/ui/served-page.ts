/** The page of `nats-leader ui` on a server of its own, and a reader of its event stream. Both end when the test ends. */
import { waitFor } from "../../../scripts/shared/wait.ts";
import { type HttpServer, startHttpServer } from "../../../src/http/server.ts";
import type { Logger } from "../../../src/log/logger.ts";
import type { Update } from "../../../src/ui/model/types.ts";
import { Ui, type UiOptions } from "../../../src/ui/server/ui.ts";
import { atEnd } from "../at-end.ts";

export interface LoggedLine {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

export interface ServedPage {
  readonly page: Ui;
  readonly server: HttpServer;
  /** With the slash. */
  readonly url: string;
  readonly log: readonly LoggedLine[];
}

export async function servePage(servers: string, options: Partial<UiOptions> = {}): Promise<ServedPage> {
  const log: LoggedLine[] = [];
  const line = (fields: object, message = ""): void => {
    log.push({ fields: fields as LoggedLine["fields"], message });
  };
  const logger: Logger = { debug: line, info: line, warn: line, error: line };
  const page = new Ui({
    nodeOptions: { clusterId: "any", servers },
    timeoutMs: 2_000,
    control: false,
    version: "0.0.0",
    logger,
    ...options,
  });
  const server = await startHttpServer({
    listen: "127.0.0.1:0",
    mounts: { "/ui/": page },
    logger: false,
  });
  atEnd(async () => {
    await page.close();
    await server.close();
  });
  return { page, server, url: `${server.url}/ui/`, log };
}

/** What a browser has of the page: the values of all keys. */
export class Viewer {
  readonly values: Map<string, unknown> = new Map();
  /** Id of the last event. */
  lastId = "";
  events = 0;
  fulls = 0;
  /** The stream has ended. */
  ended = false;
  readonly #ending = new AbortController();

  /** Resolves when the first event has arrived. */
  static async open(url: string, topic?: string, lastEventId?: string): Promise<Viewer> {
    const viewer = new Viewer();
    atEnd(() => viewer.close());
    const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
    const query = topic === undefined ? "" : `?show=${topic}`;
    const response = await fetch(`${url}events${query}`, { headers, signal: viewer.#ending.signal });
    if (response.body === null || response.status !== 200) throw new Error(`status ${response.status}`);
    void viewer.#read(response.body);
    await waitFor(() => viewer.events > 0);
    return viewer;
  }

  /** The value of a key, once it is as wanted. */
  async until<T>(key: string, isWanted: (value: T) => boolean): Promise<T> {
    const found = await waitFor(
      () => {
        const value = this.values.get(key) as T | undefined;
        return value !== undefined && isWanted(value) ? { value } : null;
      },
      { message: () => `${key}, which is ${JSON.stringify(this.values.get(key))?.slice(0, 2_000)}` },
    );
    return found.value;
  }

  close(): void {
    this.#ending.abort();
  }

  async #read(body: ReadableStream<Uint8Array>): Promise<void> {
    let text = "";
    const decoder = new TextDecoder();
    try {
      for await (const part of body) {
        text += decoder.decode(part, { stream: true });
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          this.#take(text.slice(0, end));
          text = text.slice(end + 2);
        }
      }
    } catch {
      // Closed by this test, or by the server.
    }
    this.ended = true;
  }

  #take(event: string): void {
    const [id = "", data = ""] = event.split("\n");
    const update = JSON.parse(data.slice("data: ".length)) as Update;
    if (update.full) this.values.clear();
    for (const [key, value] of Object.entries(update.set)) this.values.set(key, value);
    for (const key of update.gone) this.values.delete(key);
    this.lastId = id.slice("id: ".length);
    this.events += 1;
    if (update.full) this.fulls += 1;
  }
}
