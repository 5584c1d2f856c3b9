/** GETs JSON from monitoring ports over connections that are kept open. */

import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { messageOf } from "../../errors.ts";
import { type JsonObject, parseObject } from "../../nats/api/js-api.ts";

/** Enough for `/jsz` of a server with many thousands of streams. */
const LARGEST_BYTES = 64 * 1024 * 1024;

/** Each value is the path of a file or the PEM text. */
export interface HttpTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export class HttpJson {
  readonly #timeoutMs: number;
  readonly #plain = new http.Agent({ keepAlive: true });
  readonly #secure: https.Agent;

  constructor(timeoutMs: number, tls: HttpTls = {}) {
    this.#timeoutMs = timeoutMs;
    const pem = (text: string | undefined): string | undefined =>
      text === undefined || text.includes("-----BEGIN") ? text : readFileSync(text, "utf8");
    this.#secure = new https.Agent({
      keepAlive: true,
      ca: pem(tls.ca),
      cert: pem(tls.cert),
      key: pem(tls.key),
    });
  }

  /** The JSON object of the response with any status, since `/healthz` sends its error with 503. Rejects with one sentence. */
  get(url: URL): Promise<JsonObject> {
    const secure = url.protocol === "https:";
    const options = {
      agent: secure ? this.#secure : this.#plain,
      signal: AbortSignal.timeout(this.#timeoutMs),
      headers: { accept: "application/json" },
    };
    return new Promise((resolve, reject) => {
      const fail = (thrown: unknown): void =>
        reject(new Error(`no answer from ${shown(url)}: ${reasonOf(thrown, this.#timeoutMs)}`));
      const asked = (secure ? https : http).get(url, options, (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          chunks.push(chunk);
          if (bytes > LARGEST_BYTES) response.destroy(new Error(`more than ${LARGEST_BYTES} bytes`));
        });
        response.on("error", fail);
        response.on("end", () => {
          const json = parseObject(Buffer.concat(chunks));
          if (json !== null) resolve(json);
          else fail(new Error(`status ${response.statusCode} without a JSON object`));
        });
      });
      asked.on("error", fail);
    });
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

/** Without user and password. */
function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

function reasonOf(thrown: unknown, timeoutMs: number): string {
  const { name, code } = thrown as { readonly name?: string; readonly code?: string };
  if (name === "AbortError" || name === "TimeoutError" || code === "ABORT_ERR")
    return `none within ${timeoutMs} ms`;
  return messageOf(thrown) || String(code ?? name);
}
