/** Publish acknowledgements, decoded once for each write. */
import { parseAnswer } from "../../nats/api/js-api.ts";
import { RequestFailure } from "../../nats/api/request.ts";

/** JetStream error 10164: another write under the same condition is in flight. Nothing was written by this one. */
export const IN_FLIGHT = 10164;

/** What JetStream says of a write that it stored. */
export interface PubAck {
  readonly sequence: number;
  readonly duplicate: boolean;
  /** Of an atomic batch. */
  readonly count: number;
}

const decoder = new TextDecoder();

/** Throws `JsApiError` for a refusal, `RequestFailure` for an answer of somebody else. */
export function parsePubAck(data: Uint8Array, stream: string, subject: string): PubAck {
  const answer = parseJson(data);
  const { seq } = answer ?? {};
  if (answer?.stream !== stream || typeof seq !== "number" || seq < 1 || answer.error !== undefined) {
    parseAnswer(data, subject); // throws what the server says is wrong
    throw new RequestFailure(
      "failed",
      subject,
      `the answer is not stream ${stream}'s: ${decoder.decode(data)}`,
    );
  }
  const { count } = answer;
  return {
    sequence: seq,
    duplicate: answer.duplicate === true,
    count: typeof count === "number" ? count : 1,
  };
}

interface Answer {
  readonly stream?: unknown;
  readonly seq?: unknown;
  readonly duplicate?: unknown;
  readonly count?: unknown;
  readonly error?: unknown;
}

function parseJson(data: Uint8Array): Answer | null {
  try {
    return JSON.parse(decoder.decode(data)) as Answer | null;
  } catch {
    return null;
  }
}
