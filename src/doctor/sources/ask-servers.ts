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
  /** While it returns true, wait for further answers until `timeoutMs`. Called after each answer. */
  readonly patient?: (found: readonly ServerAnswer[]) => boolean;
}

/** Each answer also gives a clock sample. Rejects with a `RequestFailure`: denied, no responders, disconnected. */
export async function askServers(
  monitor: ConnectionMonitor,
  book: ClockBook,
  question: Question,
): Promise<ServerAnswer[]> {
  const { subject, body, timeoutMs, expected = Number.POSITIVE_INFINITY } = question;
  const asked = askedNow();
  const found = new Map<string, ServerAnswer>();
  const stallMs = (): number =>
    question.patient?.([...found.values()]) === true ? Number.POSITIVE_INFINITY : STALL_MS;
  const request = body === undefined ? "" : jsonBody(body);
  for await (const data of answersTo(monitor.connection, subject, request, { timeoutMs, stallMs })) {
    const json = parseObject(data);
    const server = objectIn(json, "server");
    const name = textIn(server, "name");
    if (json === null || server === null || name === null) continue;
    book.server(name, asked, timeIn(server, "time"));
    found.set(name, { name, server, data: objectIn(json, "data") ?? {}, asked });
    if (found.size >= expected) break;
  }
  return [...found.values()];
}
