/** A door that listens, and what a client gets from it. It closes when the test ends. */
import { type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import { type HttpServer, type HttpServerOptions, startHttpServer } from "../../../src/http.ts";
import { atEnd } from "../at-end.ts";

export async function openDoor(options: HttpServerOptions): Promise<HttpServer> {
  const server = await startHttpServer({ listen: "127.0.0.1:0", logger: false, ...options });
  atEnd(() => server.close());
  return server;
}

export interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** Empty if the body is no JSON. */
  readonly json: Readonly<Record<string, unknown>>;
}

export interface GetOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** One request on a connection of its own. */
export function get(url: string, { method = "GET", headers = {}, body }: GetOptions = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const sent = request(url, { method, headers: { ...length, ...headers }, agent: false }, (response) => {
      void textOf(response).then((text) => {
        const { statusCode: status = 0, headers } = response;
        resolve({ status, headers, text, json: jsonOf(headers, text) });
      }, reject);
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

function jsonOf(headers: IncomingHttpHeaders, text: string): Got["json"] {
  return headers["content-type"] === "application/json" && text !== "" ? JSON.parse(text) : {};
}

async function textOf(response: IncomingMessage): Promise<string> {
  response.setEncoding("utf8");
  let text = "";
  for await (const chunk of response) text += chunk;
  return text;
}
