/** A request to the HTTP server. Without the token nothing but health is answered, and nothing is under the name of another site. */
import fc from "fast-check";
import type { Answer } from "../../../src/http/answer.ts";
import { type Asked, Door } from "../../../src/http/door.ts";
import { isMount } from "../../../src/http/handler.ts";
import { type FuzzTarget, fill } from "../target.ts";

const TOKEN = "0123456789abcdef";
const mounts = { "/ui/": { handle: () => new Response() } };
const guarded = new Door({ token: TOKEN, mounts });
const local = new Door({ hosts: [], mounts });

const ROUTES = ["/livez", "/readyz", "/leader", "/status", "/metrics", "/ui/", "/ui", "/"];
const OPEN = ["/livez", "/readyz"];
const ANY_HOST = [...OPEN, "/leader"];
const STATUSES = [200, 308, 400, 401, 403, 404, 405, 421, 503];

interface Input extends Omit<Asked, "header"> {
  readonly accept: string | null;
  readonly authorization: string | null;
  readonly origin: string | null;
}

const text = fc.oneof(fc.string({ unit: "binary" }), fc.webPath(), fc.webQueryParameters());
const path = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...ROUTES) },
  fc.tuple(fc.constantFrom(...ROUTES), text).map(([route, more]) => route + more),
  text,
);
const authorization = fc.oneof(
  fc.constant(null),
  fc.constantFrom(
    "Bearer ",
    "Basic ",
    "bearer",
    `Bearer ${TOKEN}`.slice(0, -1),
    `Bearer ${TOKEN}x`,
    "Basic Og==",
  ),
  text,
);
const asked: fc.Arbitrary<Input> = fc.record({
  method: fc.oneof(
    { weight: 8, arbitrary: fc.constant("GET") },
    fc.constantFrom("HEAD", "POST", "get", ""),
    text,
  ),
  path,
  search: fc.oneof(
    fc.constant(""),
    text.map((more) => `?${more}`),
    text.map((more) => `?resource=${more}&cluster=`),
  ),
  host: fc.oneof(fc.constantFrom("127.0.0.1:9465", "evil.example", "[::1]", ""), fc.domain(), text),
  accept: fc.option(text),
  authorization,
  origin: fc.option(text),
});

function answerOf(door: Door, { accept, authorization, origin, ...rest }: Input): Answer | "mount" | null {
  const headers = { accept, authorization, origin };
  const request: Asked = { ...rest, header: (name) => headers[name] };
  const reply = door.reply(request);
  if (reply instanceof Promise) return null;
  return isMount(reply) ? "mount" : reply;
}

function check(door: Door, input: Input): string[] {
  const answer = answerOf(door, input);
  const { path, host, method } = input;
  const isGranted = answer === "mount" || answer === null || answer.status === 200;
  if (isGranted && !["GET", "HEAD"].includes(method)) throw new Error(`${method} ${path} is answered`);
  if (isGranted && door === guarded && !OPEN.includes(path))
    throw new Error(`${path} is answered without the token`);
  if (isGranted && door === local && !ANY_HOST.includes(path) && /\.example(:\d*)?$/.test(host))
    throw new Error(`${path} is answered to ${host}`);
  if (answer === null || answer === "mount") return [];
  if (!STATUSES.includes(answer.status)) throw new Error(`${path}: status ${answer.status}`);
  const { error, reason } = answer.body === "" ? {} : JSON.parse(answer.body);
  return [error, reason].filter((line) => typeof line === "string");
}

export const target: FuzzTarget<Input> = {
  name: "HTTP request",
  inputs: asked,
  show: (input) => [...check(guarded, input), ...check(local, input)],
  grown: (piece, size) => ({
    method: "GET",
    path: "/leader",
    search: `?resource=${fill(piece, size)}`,
    host: fill(piece, size),
    accept: fill(piece, size),
    authorization: `Basic ${fill(piece, size)}`,
    origin: fill(piece, size),
  }),
  pieces: [" ", "&resource=", "bearer ", ":", "[", "."],
};
