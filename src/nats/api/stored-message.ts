/** Reading one stored message with `STREAM.MSG.GET`, which the stream leader answers. */
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { asObject, type CallOptions, callApi, isJsError, JsCode, type JsonObject } from "./js-api.ts";
import { RequestFailure } from "./request.ts";

/** A message as the stream holds it. */
export interface StoredMessage {
  readonly sequence: number;
  readonly data: Uint8Array;
  /** Header names with their first values. */
  readonly headers: ReadonlyMap<string, string>;
  /** When the server stored it, in Unix milliseconds of the server's clock; `null` if the answer does not contain it. */
  readonly storedAt: number | null;
}

/** Which message: the newest one on a subject, the one at a sequence, or the first one on a subject from a sequence on. */
export type MessageQuery =
  | { readonly last_by_subj: string }
  | { readonly seq: number; readonly next_by_subj?: string };

/** `null`: there is no such message. Rejects like `callApi`, also if there is no such stream. */
export async function getMessage(
  monitor: ConnectionMonitor,
  stream: string,
  query: MessageQuery,
  options: CallOptions,
): Promise<StoredMessage | null> {
  const name = `STREAM.MSG.GET.${stream}`;
  try {
    const message = parseStoredMessage(await callApi(monitor, name, query, options));
    if (message === null)
      throw new RequestFailure("failed", `$JS.API.${name}`, "the answer is not a message");
    return message;
  } catch (thrown) {
    if (isJsError(thrown, JsCode.noMessageFound)) return null;
    throw thrown;
  }
}

/** The message in a `STREAM.MSG.GET` answer, in which payload and headers are base64; `null` if there is none. */
export function parseStoredMessage(answer: JsonObject): StoredMessage | null {
  const message = asObject(answer["message"]);
  const sequence = message?.["seq"];
  if (message === null || typeof sequence !== "number" || !Number.isSafeInteger(sequence) || sequence < 1) {
    return null;
  }
  const { data, hdrs, time } = message;
  const storedAt = typeof time === "string" ? Date.parse(time) : Number.NaN;
  return {
    sequence,
    data: base64(data),
    headers: parseHeaders(base64(hdrs)),
    storedAt: Number.isNaN(storedAt) ? null : storedAt,
  };
}

/** Header names with their first values. A line that is not a header is skipped; nothing makes it throw. */
export function parseHeaders(bytes: Uint8Array): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const lines = new TextDecoder().decode(bytes).split("\r\n");
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const name = line.slice(0, colon);
    if (!found.has(name)) found.set(name, line.slice(colon + 1).trim());
  }
  return found;
}

function base64(value: unknown): Uint8Array {
  return typeof value === "string" ? Buffer.from(value, "base64") : new Uint8Array(0);
}
