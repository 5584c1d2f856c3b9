/** Sends a request that every server of a NATS system answers: `$SYS.REQ...PING...`. */

import { type JsonObject, parseObject } from "../../nats/api/js-api.ts";
import { jsonBody } from "../../nats/api/request.ts";
import { answersTo } from "../../nats/api/request-many.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { type Asked, askedNow } from "../clocks/clock.ts";
import type { ClockBook } from "../clocks/clock-book.ts";
import { objectIn, textIn, timeIn } from "./json.ts";

/** After this time without an answer, all servers count as having answered. An examination takes longer than this anyway. */
const STALL_MS = 750;

export interface ServerAnswer {
  readonly name: string;
  /** The part that all answers have: name, id, version, cluster and time of the server. */
  readonly server: JsonObject;
  readonly data: JsonObject;
  readonly asked: Asked;
}

export interface Question {
  readonly subject: string;
  readonly body?: object;
  readonly timeoutMs: number;
  /** Stop waiting after this number of answers. */
  readonly expected?: number;
  /** While it returns true, the question is asked again until `timeoutMs`. */
  readonly patient?: (found: readonly ServerAnswer[]) => boolean;
}

/**
 * Each answer also gives a clock sample. Rejects with a `RequestFailure`: denied, no responders, disconnected. While an answer may be missing
 * the question is asked again, with twice the patience each time: in a cluster that has just started, a server passes it only to those of which it
 * has learned that they listen.
 */
export async function askServers(
  monitor: ConnectionMonitor,
  book: ClockBook,
  question: Question,
): Promise<ServerAnswer[]> {
  const { subject, body, timeoutMs, expected = Number.POSITIVE_INFINITY } = question;
  const found = new Map<string, ServerAnswer>();
  const request = body === undefined ? "" : jsonBody(body);
  const deadline = performance.now() + timeoutMs;
  const ask = async (stallMs: number): Promise<void> => {
    const asked = askedNow();
    const limits = { timeoutMs: deadline - performance.now(), stallMs };
    for await (const data of answersTo(monitor.connection, subject, request, limits)) {
      const json = parseObject(data);
      const server = objectIn(json, "server");
      const name = textIn(server, "name");
      if (json === null || server === null || name === null) continue;
      book.server(name, asked, timeIn(server, "time"));
      found.set(name, { name, server, data: objectIn(json, "data") ?? {}, asked });
      if (found.size >= expected) return;
    }
  };
  const mayBeMissing = (): boolean => question.patient?.([...found.values()]) === true;
  await ask(STALL_MS);
  for (let stallMs = 2 * STALL_MS; mayBeMissing() && performance.now() < deadline; stallMs *= 2) {
    try {
      await ask(stallMs);
    } catch {
      break;
    }
  }
  return [...found.values()];
}
