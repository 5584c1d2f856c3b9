/** Publish acknowledgements of JetStream. */
import { asObject, type JsonObject, parseAnswer } from "../../nats/api/js-api.ts";
import { RequestFailure } from "../../nats/api/request.ts";

/** JetStream error 10164: another write under the same condition is in flight. The refused write has no effect. */
export const IN_FLIGHT = 10164;

/** JetStream's acknowledgement of a stored write. */
export interface PubAck {
  readonly sequence: number;
  readonly duplicate: boolean;
  /** Number of messages in the atomic batch; 1 for a single write. */
  readonly count: number;
}

/** Shared: creating a decoder takes about a third of the time to decode an acknowledgement. */
const decoder = new TextDecoder();

/** Throws `JsApiError` for a refusal, `RequestFailure` for an answer that is not an acknowledgement of this stream. */
export function parsePubAck(data: Uint8Array, stream: string, subject: string): PubAck {
  const { stream: from, seq, duplicate, count, error } = parseJson(data);
  if (from !== stream || typeof seq !== "number" || seq < 1 || error !== undefined) {
    parseAnswer(data, subject); // throws the server's error
    throw new RequestFailure(
      "failed",
      subject,
      `the answer is not an acknowledgement of stream ${stream}: ${decoder.decode(data)}`,
    );
  }
  return {
    sequence: seq,
    duplicate: duplicate === true,
    count: typeof count === "number" ? count : 1,
  };
}

function parseJson(data: Uint8Array): JsonObject {
  try {
    return asObject(JSON.parse(decoder.decode(data))) ?? {};
  } catch {
    return {};
  }
}
