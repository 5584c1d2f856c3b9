/**
 * Requests of operators to a member: `drain`, `rejoin` and `move` (docs/wire.md). The response is `{"ok":true}`, or
 * `{"ok":false,"error":"..."}`; it says that the member has begun, and the bucket shows when it is done.
 */
import type { Msg, NatsConnection } from "@nats-io/transport-node";
import { messageOf } from "../../errors.ts";
import type { MemberHandlers } from "../../group/backend.ts";
import { grantHint } from "../api/grant-hint.ts";
import { parseObject } from "../api/js-api.ts";
import { jsonBody } from "../api/request.ts";
import { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { memberControlSubject, memberRepliesTo, takesResponses } from "../names.ts";

export interface ControlOptions {
  readonly groupId: string;
  readonly memberId: string;
  /** Requests cannot be answered: a permission is missing. */
  readonly onWarning: (message: string, error: Error) => void;
}

/** Answers requests until the result is called. */
export function serveControl(
  connection: NatsConnection,
  { groupId, memberId, onWarning }: ControlOptions,
  handlers: MemberHandlers,
): () => void {
  const subject = memberControlSubject(groupId, memberId, "*");
  const monitor = ConnectionMonitor.acquire(connection);
  let isWarned = false;
  const unlisten = monitor.listen((change) => {
    if (change.type !== "denied") return;
    const { error, subject: denied } = change;
    if (denied === subject) {
      const todo = grantHint("subscribe", subject);
      onWarning(`operators cannot drain this member or move resources: ${error.message}; ${todo}`, error);
    } else if (!isWarned && denied.startsWith(`${memberRepliesTo(groupId)}.`)) {
      // Each request has a reply subject of its own.
      isWarned = true;
      const todo = `allow this user to publish to "${memberRepliesTo(groupId)}.>"`;
      onWarning(`operators get no answer from this member: ${error.message}; ${todo}`, error);
    }
  });
  const subscription = connection.subscribe(subject, {
    callback: (error, message) => {
      if (error === null) answer(message, handlers);
    },
  });
  return () => {
    unlisten();
    monitor.release();
    subscription.unsubscribe();
  };
}

function answer(message: Msg, handlers: MemberHandlers): void {
  const { reply, subject } = message;
  if (reply === undefined || reply === "" || !takesResponses(reply)) return;
  message.respond(jsonBody(outcomeOf(subject.split(".").at(-1) ?? "", message.data, handlers)));
}

function outcomeOf(what: string, data: Uint8Array, handlers: MemberHandlers): object {
  try {
    carryOut(what, data, handlers);
    return { ok: true };
  } catch (error) {
    return { ok: false, error: messageOf(error) };
  }
}

function carryOut(what: string, data: Uint8Array, handlers: MemberHandlers): void {
  switch (what) {
    case "drain":
      return handlers.drain();
    case "rejoin":
      return handlers.rejoin();
    case "move": {
      const { resource, to } = parseObject(data) ?? {};
      if (typeof resource !== "string" || typeof to !== "string")
        throw new Error("the request must be a JSON object with resource and to");
      return handlers.move(resource, to);
    }
    default:
      throw new Error("no such request");
  }
}
