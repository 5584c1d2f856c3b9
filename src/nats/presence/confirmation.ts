/** Confirmation: the server that held a connection is asked whether the connection is closed. */
import { createHash } from "node:crypto";
import type { SessionBinding } from "../../election/types.ts";
import { asObject, type JsonObject, parseObject } from "../api/js-api.ts";
import { classify, jsonBody, RequestFailure } from "../api/request.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { CONNECTIONS_PING } from "../names.ts";

const ACCOUNT_TIMEOUT_MS = 1000;
const PRESENCE = /\.presence_([0-9a-f]{12})_/;

/** Name of a presence consumer. It contains the tag of its account, which `isConnectionGone` compares. */
export function presenceName(accountTag: string, id: string, count: number): string {
  return `presence_${accountTag}_${id}_${count}`;
}

interface Known {
  readonly serverId: string;
  readonly clientId: number;
  readonly tag: Promise<string>;
}

const tags = new WeakMap<ConnectionMonitor, Known>();

/**
 * A short hash of the name of this connection's account, requested once per connection. Rejects with a `RequestFailure`; its kind
 * is `denied` if the user may not send the request, and could therefore not confirm a death either.
 */
export async function accountTag(monitor: ConnectionMonitor): Promise<string> {
  const { endpoint } = monitor;
  if (endpoint === null) throw new RequestFailure("disconnected", CONNECTIONS_PING, "not connected");
  const { serverId, clientId } = endpoint;
  const known = tags.get(monitor);
  if (known?.serverId === serverId && known.clientId === clientId) return known.tag;
  const tag = askForAccount(monitor, serverId, clientId);
  tags.set(monitor, { serverId, clientId, tag });
  tag.catch(() => {
    if (tags.get(monitor)?.tag === tag) tags.delete(monitor);
  });
  return tag;
}

async function askForAccount(
  monitor: ConnectionMonitor,
  serverId: string,
  clientId: number,
): Promise<string> {
  const connections = await ask(monitor, serverId, { cid: clientId, auth: true }, ACCOUNT_TIMEOUT_MS);
  const own = connections?.find((connection) => connection["cid"] === clientId);
  if (own === undefined) {
    const why =
      connections === null ? `no answer within ${ACCOUNT_TIMEOUT_MS} ms` : "this connection is not listed";
    throw new RequestFailure(
      "timeout",
      CONNECTIONS_PING,
      `the server does not report the account of this connection: ${why}`,
    );
  }
  // A server omits the name of the global account.
  const account = typeof own["account"] === "string" ? own["account"] : "$G";
  return createHash("sha256").update(account).digest("hex").slice(0, 12);
}

/**
 * True only if the server named in the binding answers that it has no such connection. Every server of the NATS cluster answers;
 * the other answers are ignored, because none of those servers ever held the connection. False without an answer, with a denied
 * request, and with an answer that cannot be decoded. Never rejects.
 *
 * A server lists connections of the requester's account only (since about 2.11): from another account, the connection of a live
 * leader is not listed. Therefore the account must be the holder's, whose tag is part of the presence name. The death of a
 * holder without presence is never confirmed, because such a holder does not suspend its term when it is disconnected.
 */
export async function isConnectionGone(
  monitor: ConnectionMonitor,
  binding: SessionBinding,
  timeoutMs: number,
): Promise<boolean> {
  const holdersTag = PRESENCE.exec(binding.presence ?? "")?.[1];
  if (holdersTag === undefined || !monitor.connected || timeoutMs < 1) return false;
  const { serverId, clientId } = binding;
  try {
    const tag = accountTag(monitor);
    tag.catch(() => {});
    // `state: 0` lists open connections only. A closed one stays listed for a while, except in `$G`.
    const connections = await ask(monitor, serverId, { cid: clientId, state: 0 }, timeoutMs);
    if (connections === null || (await tag) !== holdersTag) return false;
    // An entry without an id may be the connection in question.
    return connections.every(({ cid }) => typeof cid === "number" && cid !== clientId);
  } catch {
    return false;
  }
}

/** The connections that this server lists; `null` without a valid answer in time. */
async function ask(
  monitor: ConnectionMonitor,
  serverId: string,
  query: JsonObject,
  timeoutMs: number,
): Promise<JsonObject[] | null> {
  try {
    const answers = await monitor.connection.requestMany(CONNECTIONS_PING, jsonBody(query), {
      maxWait: Math.ceil(timeoutMs),
      strategy: "timer",
    });
    for await (const answer of answers) {
      const json = parseObject(answer.data);
      if (asObject(json?.["server"])?.["id"] === serverId) return connectionsIn(json, serverId);
    }
    return null;
  } catch (thrown) {
    throw classify(CONNECTIONS_PING, timeoutMs, thrown);
  }
}

function connectionsIn(json: JsonObject | null, serverId: string): JsonObject[] | null {
  const data = asObject(json?.["data"]);
  // An answer without the server's id contains no connection list: for example, the server does not know the account.
  if (data === null || data["server_id"] !== serverId || !Array.isArray(data["connections"])) return null;
  return data["connections"].map((connection: unknown) => asObject(connection) ?? {});
}
