/** A Fetch handler as a listener of `node:http`: for the own server, and for frameworks on it. */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { type ClientAddress, createRequestListener } from "@remix-run/node-fetch-server";
import { type Answer, toResponse } from "./answer.ts";
import type { Asked, Door } from "./door.ts";
import { badRequest, doorOf, type Handler, isMount } from "./handler.ts";

/**
 * For servers and frameworks that have `(request, response)` of `node:http`: Express, Nest, Fastify (`reply.hijack()`).
 *
 * @param handler - From `createHandler()`, or any other.
 * @example
 * ```ts
 * app.use("/ops", nodeListener(createHandler({ nodes: [node] }))); // Express
 * ```
 */
export function nodeListener(handler: Handler): RequestListener {
  const door = doorOf(handler);
  const viaFetch = createRequestListener(
    (request: Request, { address }: ClientAddress) => handler(request, address),
    {
      onError: () => toResponse(UNREADABLE, "GET"),
    },
  );
  return (request, response) => {
    // What is no path, such as the URL of a proxy request, would become part of the host name.
    if (request.url?.startsWith("/") !== true) return send(response, NO_PATH);
    if (door === undefined) return viaFetch(request, response);
    answer(door, request, response, viaFetch);
  };
}

const NO_PATH = badRequest("the target of the request must be a path");
const UNREADABLE = badRequest("the method or the host of the request is not valid");

/** A `Request` is made for mounts only: with its `Response` it takes several times as long as the answer of `/leader`. */
function answer(
  door: Door,
  request: IncomingMessage,
  response: ServerResponse,
  viaFetch: RequestListener,
): void {
  try {
    const reply = door.reply(askedBy(request), request.socket.remoteAddress);
    if (isMount(reply)) return viaFetch(request, response);
    if (!(reply instanceof Promise)) return send(response, reply);
    reply.then(
      (later) => send(response, later),
      (error: unknown) => send(response, door.failure(error)),
    );
  } catch (error) {
    send(response, door.failure(error));
  }
}

function askedBy({ method = "", url = "/", headers }: IncomingMessage): Asked {
  const at = url.indexOf("?");
  return {
    method,
    path: at < 0 ? url : url.slice(0, at),
    search: at < 0 ? "" : url.slice(at),
    host: headers.host?.toLowerCase() ?? "",
    header: (name) => headers[name] ?? null,
  };
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  if (response.destroyed) return;
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(body) });
  response.end(response.req.method === "HEAD" ? undefined : body);
}
