/** The door for every server that speaks `Request` and `Response`. */
import { type Answer, jsonAnswer, toResponse } from "./answer.ts";
import { Door, type Reply } from "./door.ts";
import type { HandlerOptions } from "./options.ts";

/** @param from - The address of the client, for mounts that log it. */
export type Handler = (request: Request, from?: string) => Promise<Response>;

/** `nodeListener` answers most requests of these handlers without a `Request`. */
const doors = new WeakMap<Handler, Door>();

/**
 * Answers `/livez`, `/readyz`, `/leader`, `/status`, `/metrics` and what is mounted; every other path with 404. docs/http.md describes
 * the answers. Never rejects.
 *
 * @throws ClusterError `INVALID_CONFIG`
 * @example
 * ```ts
 * const handler = createHandler({ nodes: [node], basePath: "/ops" });
 * app.all("/ops/*", (c) => handler(c.req.raw)); // Hono
 * ```
 */
export function createHandler(options: HandlerOptions): Handler {
  const door = new Door(options);
  const handler: Handler = async (request, from) => {
    const { method, headers } = request;
    try {
      const { pathname, search, host } = new URL(request.url);
      const header = (name: string): string | null => headers.get(name);
      const reply = door.reply({ method, path: pathname, search, host, header }, from);
      return isMount(reply)
        ? await reply.mount.handle(request, from ?? null)
        : toResponse(await reply, method);
    } catch (error) {
      return toResponse(door.failure(error), method);
    }
  };
  doors.set(handler, door);
  return handler;
}

export function doorOf(handler: Handler): Door | undefined {
  return doors.get(handler);
}

export function isMount(reply: Reply): reply is Extract<Reply, { mount: unknown }> {
  return "mount" in reply;
}

/** For a request that `Request` refuses: a method that it does not know, or a host that is none. */
export function badRequest(error: string): Answer {
  return jsonAnswer(400, { error });
}
