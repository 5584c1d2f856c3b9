/** What a consumer of a partition has to know of its stream. */
import { asObject, type CallOptions, callApi, type JsonObject } from "../api/js-api.ts";
import { RequestFailure } from "../api/request.ts";
import { numberOf } from "../bucket/stream-state.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";

export interface StreamFacts {
  /** Its creation time, as the server writes it: another one is another stream. */
  readonly created: string;
  /** Sequence of the first message that it has, or that it will have. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly replicas: number;
  /** `limits`, `interest` or `workqueue`. */
  readonly retention: string;
  /** Subjects that it stores; `null` for a stream that copies others. */
  readonly subjects: readonly string[] | null;
}

/** Asks the leader of the stream. Rejects as `callApi()` does. */
export async function readStream(
  monitor: ConnectionMonitor,
  stream: string,
  options: CallOptions,
): Promise<StreamFacts> {
  const answer = await callApi(monitor, `STREAM.INFO.${stream}`, {}, options);
  const facts = parseFacts(answer);
  if (facts !== null) return facts;
  throw new RequestFailure("failed", `$JS.API.STREAM.INFO.${stream}`, "the answer is not about a stream");
}

function parseFacts(answer: JsonObject): StreamFacts | null {
  const { created } = answer;
  const config = asObject(answer["config"]);
  const state = asObject(answer["state"]);
  if (typeof created !== "string" || config === null || state === null) return null;
  const { retention, subjects } = config;
  const copies = config["mirror"] !== undefined || config["sources"] !== undefined;
  return {
    created,
    // An empty stream that has had messages says 0, or the next sequence.
    firstSequence:
      numberOf(state, "messages") === 0 ? numberOf(state, "last_seq") + 1 : numberOf(state, "first_seq"),
    lastSequence: numberOf(state, "last_seq"),
    replicas: numberOf(config, "num_replicas") || 1,
    retention: typeof retention === "string" ? retention : "limits",
    subjects: copies || !Array.isArray(subjects) ? null : subjects.filter((one) => typeof one === "string"),
  };
}
