/** GETs JSON from monitoring ports over connections that are kept open. */

import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { messageOf } from "../../errors.ts";
import { type JsonObject, parseObject } from "../../nats/api/js-api.ts";

/**
 * Documents of servers have a value for each 33 bytes or more. One with many small values takes much longer to parse and much more memory
 * than its size lets expect, so that a document may have a value for each 24 bytes of its limit.
 */
const BYTES_PER_VALUE = 24;
/** Comma, opening bracket, opening brace: at least one for each value but the first. */
const BEFORE_VALUE: ReadonlySet<number> = new Set([0x2c, 0x5b, 0x7b]);

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

  /**
   * The JSON object of the response with any status, since `/healthz` sends its error with 503. Rejects with one sentence, also if the
   * document is larger than `largestBytes`, or complete only after the time limit: then it is not parsed.
   */
  get(url: URL, largestBytes: number): Promise<JsonObject> {
    const deadline = performance.now() + this.#timeoutMs;
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
        const size = { bytes: 0, values: 0 };
        response.on("data", (chunk: Buffer) => {
          size.bytes += chunk.length;
          size.values += valuesIn(chunk);
          chunks.push(chunk);
          const excess = excessOf(size, largestBytes);
          if (excess === null) return;
          reject(new Error(`${shown(url)} is too large: ${excess}`));
          response.destroy();
        });
        response.on("error", fail);
        response.on("end", () => {
          if (performance.now() > deadline) return fail({ name: "TimeoutError" });
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

function valuesIn(chunk: Buffer): number {
  let count = 0;
  for (const byte of chunk) if (BEFORE_VALUE.has(byte)) count += 1;
  return count;
}

function excessOf(
  { bytes, values }: { readonly bytes: number; readonly values: number },
  largestBytes: number,
): string | null {
  const mostValues = Math.floor(largestBytes / BYTES_PER_VALUE);
  if (bytes > largestBytes) return `more than ${largestBytes} bytes`;
  return values > mostValues ? `more than ${mostValues} values` : null;
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
