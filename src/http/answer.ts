/** What the door answers: plain data, made of values. */
import { redactText } from "../log/redact.ts";

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Health and leadership are true at the moment of the answer only. */
const COMMON_HEADERS = { "cache-control": "no-store", "x-content-type-options": "nosniff" } as const;

export function textAnswer(
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return { status, body, headers: { "content-type": contentType, ...COMMON_HEADERS, ...headers } };
}

/** Secrets with a recognisable form are hidden in every text of the value. */
export function jsonAnswer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): Answer {
  return textAnswer(status, "application/json", `${JSON.stringify(value, withoutSecrets)}\n`, headers);
}

function withoutSecrets(_name: string, value: unknown): unknown {
  return typeof value === "string" ? redactText(value) : value;
}

export function toResponse({ status, body, headers }: Answer, method: string): Response {
  const withLength = { ...headers, "content-length": String(Buffer.byteLength(body)) };
  return new Response(method === "HEAD" ? null : body, { status, headers: withLength });
}
