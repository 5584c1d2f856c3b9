/** What a server says about its connections: which account is ours, and whether a connection is gone. */
import { createHash } from "node:crypto";
import type { SessionBinding } from "../../election/types.ts";
import { asObject, type JsonObject, parseObject } from "../api/js-api.ts";
import { classify, jsonBody, RequestFailure } from "../api/request.ts";
import { CONNECTIONS_PING } from "../names.ts";
import type { ConnectionMonitor } from "./connection-monitor.ts";

const ACCOUNT_TIMEOUT_MS = 1000;
const PRESENCE = /\.presence_([0-9a-f]{12})_/;

/** Name of a presence consumer. It says in which account it is: see `isConnectionGone`. */
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
 * A short hash of the name of this connection's account. Asked once per connection. Rejects with a `RequestFailure`;
 * `denied` when the user may not ask, and then it could not have a death confirmed either.
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
    const why = connections === null ? `no answer within ${ACCOUNT_TIMEOUT_MS} ms` : "we are not listed";
    throw new RequestFailure("timeout", CONNECTIONS_PING, `the server does not tell our account: ${why}`);
  }
  // The global account is the one that is left out.
  const account = typeof own["account"] === "string" ? own["account"] : "$G";
  return createHash("sha256").update(account).digest("hex").slice(0, 12);
}

/**
 * True only if the very server named in the binding answers that it has no such connection. Every server of the NATS
 * cluster answers; the others' answers mean nothing, since none of them ever had it. No answer, a refused request, an
 * answer that can't be read: false. Never rejects.
 *
 * A server lists connections of the asker's account only (since 2.11 or so): asked from another account, a leader that
 * is well looks gone. So the account must be the holder's, which the presence's name tells. A binding without presence
 * is never confirmed: its holder doesn't suspend itself when it is disconnected.
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
    // `state: 0` is "open". A closed connection is listed in its own account for a while, in `$G` never.
    const connections = await ask(monitor, serverId, { cid: clientId, state: 0 }, timeoutMs);
    if (connections === null || (await tag) !== holdersTag) return false;
    // An entry without an id can't be told apart from the one in question.
    return connections.every(({ cid }) => typeof cid === "number" && cid !== clientId);
  } catch {
    return false;
  }
}

/** The connections that this server lists; `null` when it gave no valid answer in time. */
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
  // Without its own id in it the server answered before it looked: an account it doesn't know, for one.
  if (data === null || data["server_id"] !== serverId || !Array.isArray(data["connections"])) return null;
  return data["connections"].map((connection: unknown) => asObject(connection) ?? {});
}
