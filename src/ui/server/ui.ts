/**
 * The live page as a handler of requests below one path. Everything that it shows is on one board; a viewer gets the board, then its
 * changes. It is read-only unless `control` is set.
 */
import { randomBytes } from "node:crypto";
import type { NodeOptions } from "../../config/resolve.ts";
import type { Logger } from "../../log/logger.ts";
import { isId } from "../../nats/identity.ts";
import { AccountWatch } from "../watch/account-watch.ts";
import { type Assets, indexHtml, loadAssets } from "./assets.ts";
import { Board } from "./board.ts";
import { Control, controlDenied, logRefusal } from "./control.ts";
import { eventStream } from "./event-stream.ts";

export interface UiOptions {
  readonly nodeOptions: NodeOptions;
  /** Time limit of each answer, in milliseconds. */
  readonly timeoutMs: number;
  /** Shown even if they are not found. */
  readonly clusters?: readonly string[];
  readonly groups?: readonly string[];
  /** Whether the page may change something. */
  readonly control: boolean;
  readonly version: string;
  readonly logger: Logger;
  /** @default 32 */
  readonly maxViewers?: number;
}

/** The address of a client that is not known. */
const UNKNOWN = "unknown";
const MAX_VIEWERS = 32;
const KEEP_ALIVE_MS = 5_000;
/** Without a viewer for this long, a page that began with its first viewer disconnects from NATS. */
const LINGER_MS = 60_000;

const CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join("; ");

const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": CSP,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=()",
};

/** Proxies such as nginx must not gather events. */
const EVENTS_HEADERS = { "content-type": "text/event-stream", "x-accel-buffering": "no" };

/** What the page of an account needs. A mount of the HTTP server. */
export class Ui {
  /** Also without control, so that requests for it get the reason, and are logged. */
  readonly methods: readonly string[] = ["POST"];
  readonly #o: UiOptions;
  readonly #board = new Board();
  readonly #closing = new AbortController();
  readonly #token: string | null;
  readonly #control: Control | null;
  #assets: Promise<Assets> | null = null;
  #watch: AccountWatch | null = null;
  #viewers = 0;
  #linger: NodeJS.Timeout | null = null;
  #keeps = false;

  constructor(options: UiOptions) {
    this.#o = options;
    this.#token = options.control ? randomBytes(24).toString("base64url") : null;
    this.#control =
      this.#token === null
        ? null
        : new Control({
            client: () => this.#watch?.client ?? null,
            token: this.#token,
            logger: options.logger,
          });
  }

  /**
   * Connects now, and stays connected without viewers. Otherwise that happens with the first viewer.
   *
   * @throws ClusterError if the first attempt fails; `close()` is due then, too.
   */
  async start(): Promise<void> {
    this.#keeps = true;
    await this.#watching().started;
  }

  /**
   * Answers a request to the page, its files, `events` and `control`: by the last part of its path.
   *
   * @param from - The address of the client, for the log.
   */
  async handle(request: Request, from: string | null): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const name = pathname.slice(pathname.lastIndexOf("/") + 1);
    const response = await this.#route(request, name, searchParams, from ?? UNKNOWN);
    for (const [header, value] of Object.entries(HEADERS)) response.headers.set(header, value);
    if (!response.headers.has("cache-control")) response.headers.set("cache-control", "no-store");
    return response;
  }

  /** Logs a request that was to change something, and was refused before it reached the page. */
  refused(reason: string, from: string | null): void {
    logRefusal(this.#o.logger, reason, from ?? UNKNOWN);
  }

  /** Ends all streams and the connection. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    if (this.#linger !== null) clearTimeout(this.#linger);
    const watch = this.#watch;
    this.#watch = null;
    await watch?.close();
  }

  async #route(request: Request, name: string, search: URLSearchParams, from: string): Promise<Response> {
    const { method } = request;
    if (name === "control") {
      if (method !== "POST") return notAllowed("POST");
      if (this.#control === null) return controlDenied(this.#o.logger, from);
      return this.#control.answer(request, from);
    }
    if (method !== "GET" && method !== "HEAD") {
      this.refused("only GET, HEAD are answered here", from);
      return notAllowed("GET, HEAD");
    }
    if (name === "events") {
      // Without its body, nothing would end the stream.
      if (method === "HEAD") return new Response(null, { headers: EVENTS_HEADERS });
      return this.#events(request, search.get("show"));
    }
    if (name === "") {
      const type = { "content-type": "text/html; charset=utf-8" };
      return new Response(indexHtml(this.#token), { headers: type });
    }
    this.#assets ??= loadAssets();
    const asset = (await this.#assets).get(name);
    if (asset === undefined) return new Response("there is no such page\n", { status: 404 });
    const headers = { "content-type": asset.contentType, etag: asset.etag, "cache-control": "no-cache" };
    if (request.headers.get("if-none-match") === asset.etag)
      return new Response(null, { status: 304, headers });
    return new Response(asset.body, { headers });
  }

  #events(request: Request, show: string | null): Response {
    const { maxViewers = MAX_VIEWERS } = this.#o;
    if (this.#closing.signal.aborted) return new Response("the server stops\n", { status: 503 });
    if (this.#viewers >= maxViewers) {
      const text = `${maxViewers} viewers are connected, which is the limit\n`;
      return new Response(text, { status: 503, headers: { "retry-after": "10" } });
    }
    this.#viewers += 1;
    if (this.#linger !== null) clearTimeout(this.#linger);
    const { watch } = this.#watching();
    watch.refresh();
    const body = eventStream({
      board: this.#board,
      topic: topicOf(show),
      lastEventId: request.headers.get("last-event-id"),
      keepAliveMs: KEEP_ALIVE_MS,
      signal: AbortSignal.any([this.#closing.signal, request.signal]),
      onEnd: () => this.#left(),
    });
    return new Response(body, { headers: EVENTS_HEADERS });
  }

  #left(): void {
    this.#viewers -= 1;
    if (this.#viewers > 0 || this.#keeps || this.#closing.signal.aborted) return;
    this.#linger = setTimeout(() => {
      const watch = this.#watch;
      this.#watch = null;
      void watch?.close();
    }, LINGER_MS);
    this.#linger.unref();
  }

  #watching(): { readonly watch: AccountWatch; readonly started: Promise<void> } {
    if (this.#watch !== null) return { watch: this.#watch, started: Promise.resolve() };
    const { nodeOptions, timeoutMs, clusters = [], groups = [], control, version } = this.#o;
    const watch = new AccountWatch({
      nodeOptions,
      timeoutMs,
      clusters,
      groups,
      board: this.#board,
      viewed: () => this.#viewers > 0,
      control,
      version,
    });
    this.#watch = watch;
    const started = watch.start();
    // The page shows why, and it is tried again.
    started.catch(() => {});
    return { watch, started };
  }
}

/** `cluster/ID` or `group/ID`. */
function topicOf(show: string | null): string | null {
  const [kind, id] = show?.split("/") ?? [];
  return (kind === "cluster" || kind === "group") && isId(id) ? `${kind}/${id}` : null;
}

function notAllowed(allow: string): Response {
  return new Response(`only ${allow}\n`, { status: 405, headers: { allow } });
}
