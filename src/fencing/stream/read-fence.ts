/** Reads of a fence and of its stream's configuration. All of them are answered by the stream's leader. */
import { ClusterError } from "../../errors.ts";
import { asObject, callApi, type JsonObject } from "../../nats/api/js-api.ts";
import { serverVersion } from "../../nats/api/server-version.ts";
import { getMessage } from "../../nats/api/stored-message.ts";
import { findStream } from "../../nats/api/streams.ts";
import { decodeLane, decodeRoot, type LaneRecord, type RootRecord } from "../fence-record.ts";
import type { GuardedStream } from "./guarded-stream.ts";
import { rootSubject } from "./names.ts";
import { fenceProblems, streamFacts } from "./stream-check.ts";

type Source = Pick<GuardedStream, "monitor" | "stream" | "fence" | "timeoutMs">;

/** `null`: there is no message. `record: null`: the message is not the record of its subject. */
export type Found<T> = { readonly sequence: number; readonly record: T | null } | null;

export async function findRoot(on: Source, signal?: AbortSignal): Promise<Found<RootRecord>> {
  const query = { last_by_subj: rootSubject(on.fence) };
  const message = await getMessage(on.monitor, on.stream, query, callOptions(on, signal));
  return message === null ? null : { sequence: message.sequence, record: decodeRoot(message) };
}

/** `null`: the fence is vacant. Rejects with `STREAM_INCOMPATIBLE` if the message is not a root. */
export async function readRoot(on: Source): Promise<RootRecord | null> {
  const found = await findRoot(on);
  if (found === null || found.record !== null) return found?.record ?? null;
  throw new ClusterError(
    "STREAM_INCOMPATIBLE",
    `message ${found.sequence} on ${rootSubject(on.fence)} in stream ${on.stream} is not the record of a fence: another client has written it; the next term that opens the fence replaces it`,
  );
}

export async function readLane(
  on: Source,
  subject: string,
  signal?: AbortSignal,
): Promise<Found<LaneRecord>> {
  const message = await getMessage(on.monitor, on.stream, { last_by_subj: subject }, callOptions(on, signal));
  return message === null ? null : { sequence: message.sequence, record: decodeLane(message) };
}

/** All subjects of the fence that have a message. */
export async function fenceSubjects(on: Source, signal?: AbortSignal): Promise<readonly string[]> {
  const found = new Set<string>();
  for (;;) {
    const body = { subjects_filter: `${on.fence}.>`, offset: found.size };
    const info = await callApi(on.monitor, `STREAM.INFO.${on.stream}`, body, callOptions(on, signal));
    const before = found.size;
    for (const subject of Object.keys(asObject(asObject(info["state"])?.["subjects"]) ?? {}))
      found.add(subject);
    const total = info["total"];
    if (found.size === before || typeof total !== "number" || found.size >= total) return [...found];
  }
}

/** Reads the configuration of the stream again, and checks that the fence still holds on it. */
export async function inspect(on: GuardedStream, signal?: AbortSignal): Promise<void> {
  const info = await findStream(on.monitor, on.stream, callOptions(on, signal));
  if (info === null) throw new ClusterError("STREAM_INCOMPATIBLE", `${on.what} does not exist any more`);
  on.config = checkedFacts(on, asObject(info["config"]) ?? {});
}

/** Throws `STREAM_INCOMPATIBLE` for a stream on which the fence does not hold. */
export function checkedFacts(
  on: Pick<GuardedStream, "monitor" | "what" | "fence">,
  config: JsonObject,
): GuardedStream["config"] {
  const problems = fenceProblems(config, on.fence);
  if (problems.length === 0) return streamFacts(serverVersion(on.monitor.connection), config);
  throw new ClusterError(
    "STREAM_INCOMPATIBLE",
    `${on.what} cannot have the fence ${on.fence}: ${problems.join("; ")}`,
  );
}

function callOptions(
  on: Source,
  signal: AbortSignal | undefined,
): { timeoutMs: number; signal?: AbortSignal } {
  return { timeoutMs: on.timeoutMs, ...(signal === undefined ? {} : { signal }) };
}
