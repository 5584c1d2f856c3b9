/**
 * The door as a server of its own. It shares its event loop with the election, so a client gets little of it: few connections, short
 * headers, short time limits, one request at a time, no bodies.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import {
  addressText,
  isLoopback,
  LISTEN_RULE,
  type ListenAddress,
  parseListenAddress,
} from "../config/listen.ts";
import { listenError } from "../config/listen-error.ts";
import { asError, ClusterError } from "../errors.ts";
import { createLogger, type Logger } from "../log/logger.ts";
import { createHandler } from "./handler.ts";
import { nodeListener } from "./node-listener.ts";
import type { HandlerOptions } from "./options.ts";

export interface HttpServerOptions extends HandlerOptions {
  /**
   * Address and port: `127.0.0.1:9465`, `[::1]:9465`, `0.0.0.0:9465`; a port alone is on 127.0.0.1. Port 0: a free one. A warning is
   * logged if other machines can reach it and no token is required.
   *
   * @default "127.0.0.1:9465"
   */
  readonly listen?: string | undefined;
  /**
   * As in `HandlerOptions`, but without it only addresses, `localhost` and, for reading, names without a dot are allowed. With a
   * token, every name is.
   *
   * @default []
   */
  readonly hosts?: readonly string[] | undefined;
  /**
   * Most connections at a time; 1 to 10000. Others are closed at once.
   *
   * @default 128
   */
  readonly maxConnections?: number | undefined;
  /**
   * Destination of the log; `false` disables it.
   *
   * @default JSON lines on stderr
   */
  readonly logger?: Logger | false | undefined;
}

export const DEFAULT_LISTEN = "127.0.0.1:9465";

const DEFAULT_MAX_CONNECTIONS = 128;
/** Requests have a handful of short headers; a token may have 1 KiB. */
const MAX_HEADER_BYTES = 8 * 1024;
const MAX_HEADERS = 64;
/** One request with its headers, and with a short body for a mount. Up to 64 KiB arrive at once, and are 2 000 requests if they are meant so. */
const MAX_CHUNK_BYTES = 12 * 1024;
/** From the first byte of a request to the end of its headers, and to its end. */
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 10_000;
/** How often the two limits above are checked: Node's default is 30 s. */
const CHECK_EVERY_MS = 1_000;
/** Without a byte in either direction: a client that does not read. Streams have to send something more often. */
const IDLE_TIMEOUT_MS = 60_000;
const BACKLOG = 128;
/** How long answers that are being sent may take when the server closes. */
const CLOSE_GRACE_MS = 200;

/** A server that listens. */
export interface HttpServer extends AsyncDisposable {
  /** `127.0.0.1:9465`, with the port that was chosen. */
  readonly address: string;
  /** `http://127.0.0.1:9465`, and the base path. */
  readonly url: string;
  readonly port: number;
  /** Ends all connections, streams too. Resolves within a second. Idempotent. */
  close(): Promise<void>;
}

/**
 * Listens, and answers with `createHandler(options)`.
 *
 * @throws ClusterError `INVALID_CONFIG`; `LISTEN_FAILED` if the address is in use, is not of this machine, or may not be used.
 * @example
 * ```ts
 * await using server = await startHttpServer({ nodes: [node], listen: "127.0.0.1:9465" });
 * ```
 */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { listen = DEFAULT_LISTEN, token, maxConnections = DEFAULT_MAX_CONNECTIONS, basePath = "" } = options;
  const wanted = typeof listen === "string" ? parseListenAddress(listen) : null;
  if (wanted === null)
    throw new ClusterError("INVALID_CONFIG", `listen ${JSON.stringify(listen)} must be ${LISTEN_RULE}`);
  if (!Number.isInteger(maxConnections) || maxConnections < 1 || maxConnections > 10_000)
    throw new ClusterError(
      "INVALID_CONFIG",
      `maxConnections ${maxConnections} must be a whole number from 1 to 10000`,
    );
  const logger = createLogger({ logger: options.logger });
  const onError = (error: unknown): void => {
    options.onError?.(error);
    logger.error({ event: "http-failed", err: asError(error) }, "an HTTP request could not be answered");
  };
  const hosts = options.hosts ?? (token === undefined ? [] : undefined);
  const server = makeServer(nodeListener(createHandler({ ...options, hosts, onError })), maxConnections);
  const { host, port } = await bind(server, wanted);
  const address = addressText({ host: wanted.host, port });
  const url = `http://${address}${basePath}`;
  logger.info({ event: "http-listening", url }, `HTTP server at ${url}`);
  if (!isLoopback(host) && token === undefined)
    logger.warn(
      { event: "http-exposed", url },
      `other machines can reach ${address}, and no token is required: they see who leads, the status and the metrics; set a token, or listen on 127.0.0.1`,
    );
  // Errors of the listening socket, such as too many open files while accepting: the server goes on.
  server.on("error", onError);
  let closed: Promise<void> | null = null;
  const close = (): Promise<void> => {
    closed ??= closeServer(server);
    return closed;
  };
  return { address, url, port, close, [Symbol.asyncDispose]: close };
}

type Listener = ReturnType<typeof nodeListener>;

function makeServer(listener: Listener, maxConnections: number): Server {
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_EVERY_MS,
    noDelay: true,
  });
  server.maxConnections = maxConnections;
  server.maxHeadersCount = MAX_HEADERS;
  server.timeout = IDLE_TIMEOUT_MS;
  server.on("connection", limitChunks);
  const answer = oneAtATime(listener);
  server.on("request", answer);
  // A client that waits to be asked for its body gets the answer.
  server.on("checkContinue", answer);
  return server;
}

/**
 * Ends a connection on which more than a request arrives at once, before it is parsed: the parser makes an object of each request in a
 * chunk, whatever becomes of the first.
 */
function limitChunks(socket: Socket): void {
  const push = socket.push.bind(socket);
  socket.push = (chunk: Buffer | null, encoding?: BufferEncoding): boolean => {
    if (chunk === null || chunk.length <= MAX_CHUNK_BYTES) return push(chunk, encoding);
    socket.destroy();
    return false;
  };
  // Without a listener the parser reads from the socket by itself, past `push`.
  socket.on("data", () => {});
}

/** Ends a connection that sends requests without waiting for answers, and one whose request has a body that was not read. */
function oneAtATime(listener: Listener): Listener {
  const busy = new WeakSet<Socket>();
  return (request: IncomingMessage, response: ServerResponse<IncomingMessage> & { req: IncomingMessage }) => {
    const { socket } = request;
    if (socket.destroyed) return;
    if (busy.has(socket)) {
      socket.destroy();
      return;
    }
    busy.add(socket);
    response.once("close", () => {
      busy.delete(socket);
      if (hasBody(request) && !request.readableEnded) socket.destroySoon();
    });
    if (hasBody(request)) response.setHeader("connection", "close");
    listener(request, response);
  };
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

async function bind(server: Server, { host, port }: ListenAddress): Promise<{ host: string; port: number }> {
  await new Promise<void>((resolve, reject) => {
    const failed = (error: Error): void => reject(listenError(addressText({ host, port }), error));
    server.once("error", failed);
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.off("error", failed);
      resolve();
    });
  });
  const bound = server.address() as AddressInfo;
  return { host: bound.address, port: bound.port };
}

async function closeServer(server: Server): Promise<void> {
  const ended = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await ended;
  clearTimeout(timer);
}
