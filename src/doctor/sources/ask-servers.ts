/** A question that every server of a NATS system answers for itself: `$SYS.REQ...PING...`. */

import { type JsonObject, parseObject } from "../../nats/api/js-api.ts";
import { classify, jsonBody } from "../../nats/api/request.ts";
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import { type Asked, askedNow } from "../clocks/clock.ts";
import type { ClockBook } from "../clocks/clock-book.ts";
import { objectIn, textIn, timeIn } from "./json.ts";

/** Nobody has answered for this long: everybody has. A look takes longer than this anyway. */
const STALL_MS = 750;

export interface ServerAnswer {
  readonly name: string;
  /** What every answer says of its server: name, id, version, cluster, time. */
  readonly server: JsonObject;
  readonly data: JsonObject;
  readonly asked: Asked;
}

export interface Question {
  readonly subject: string;
  readonly body?: object;
  readonly timeoutMs: number;
  /** After so many answers nobody else is waited for. */
  readonly expected?: number;
  /** Until `timeoutMs`, however long nobody answers. */
  readonly patient?: boolean;
}

/** Each answer is a look at a clock, too. Rejects with a `RequestFailure`: denied, no responders, disconnected. */
export async function askServers(
  monitor: ConnectionMonitor,
  book: ClockBook,
  question: Question,
): Promise<ServerAnswer[]> {
  const { subject, body, timeoutMs, expected = Number.POSITIVE_INFINITY } = question;
  const asked = askedNow();
  const found = new Map<string, ServerAnswer>();
  try {
    const answers = await monitor.connection.requestMany(subject, body === undefined ? "" : jsonBody(body), {
      strategy: question.patient === true ? "timer" : "stall",
      stall: STALL_MS,
      maxWait: Math.ceil(timeoutMs),
    });
    for await (const answer of answers) {
      const json = parseObject(answer.data);
      const server = objectIn(json, "server");
      const name = textIn(server, "name");
      if (json === null || server === null || name === null) continue;
      book.server(name, asked, timeIn(server, "time"));
      found.set(name, { name, server, data: objectIn(json, "data") ?? {}, asked });
      if (found.size >= expected) break;
    }
  } catch (thrown) {
    throw classify(subject, timeoutMs, thrown);
  }
  return [...found.values()];
}
