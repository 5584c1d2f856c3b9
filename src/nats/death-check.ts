/** Asking the server that held a connection whether it is gone. */
import type { Msg } from "@nats-io/transport-node";
import type { SessionBinding } from "../election/types.ts";
import type { ConnectionMonitor } from "./connection-monitor.ts";
import { asObject, type JsonObject, parseObject } from "./js-api.ts";
import { CONNECTIONS_PING } from "./names.ts";
import { jsonBody } from "./request.ts";

/**
 * True only if the very server named in the binding answers that it has no such connection. Every server of the NATS
 * cluster answers; the others' answers mean nothing, since none of them ever had it. No answer, a refused request, an
 * answer that can't be read: false. Never rejects.
 *
 * A server lists connections of the asker's account only. The holder is in the same account as the asker, because
 * the asker heard of its presence consumer's end on a subject of that account.
 */
export async function isConnectionGone(
  monitor: ConnectionMonitor,
  binding: SessionBinding,
  timeoutMs: number,
): Promise<boolean> {
  if (!monitor.connected || timeoutMs < 1) return false;
  // `state: 0` is "open". A closed connection is listed in its own account for a while, in `$G` never.
  const body = jsonBody({ cid: binding.clientId, state: 0 });
  const maxWait = Math.ceil(timeoutMs);
  try {
    const answers = await monitor.connection.requestMany(CONNECTIONS_PING, body, {
      maxWait,
      strategy: "timer",
    });
    for await (const answer of answers) {
      const gone = verdict(answer, binding);
      if (gone !== null) return gone;
    }
  } catch {
    // nobody answers, or the user may not ask: no verdict
  }
  return false;
}

/** `null`: not an answer of that server, or none that can be read. */
function verdict(answer: Msg, binding: SessionBinding): boolean | null {
  const json = parseObject(answer.data);
  if (asObject(json?.["server"])?.["id"] !== binding.serverId) return null;
  const data = asObject(json?.["data"]);
  // Without its own id in it the server answered before it looked: an account it doesn't know, for one.
  if (data === null || data["server_id"] !== binding.serverId) return false;
  const { connections } = data;
  if (!Array.isArray(connections)) return false;
  return !connections.some((connection: unknown) => hasId(asObject(connection), binding.clientId));
}

function hasId(connection: JsonObject | null, clientId: number): boolean {
  // An entry without an id can't be told apart from the one in question.
  return connection === null || connection["cid"] === undefined || connection["cid"] === clientId;
}
