/** Confirmation: the server that held a connection is asked whether the connection is closed. */
import type { SessionBinding } from "../../election/types.ts";
import { asObject, type JsonObject, parseObject } from "../api/js-api.ts";
import { classify, jsonBody, RequestFailure } from "../api/request.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { inboxOf } from "../connection/inbox.ts";
import { CONNECTIONS_PING } from "../names.ts";
import { GLOBAL_ACCOUNT, tagOf } from "./connz-answer.ts";

const ACCOUNT_TIMEOUT_MS = 1000;
/** How long after an answer that decides nothing the server is asked again; doubled each time. */
const ASK_AGAIN_MS = 2;
/** How long the answer for another account of a leaf node may come after one that does not list the connection. */
const OTHER_ANSWER_MS = 5;
/** `state` in a request. 2.9 does not list an open connection in answer to a request for both, which is 2. */
const OPEN = 0;
const CLOSED = 1;
const PRESENCE = /\.presence_([0-9a-f]{12})_/;

/** Name of a presence consumer. It contains the tag of its account, which `isConnectionGone` compares. */
export function presenceName(accountTag: string, id: string, count: number): string {
  return `presence_${accountTag}_${id}_${count}`;
}

const GLOBAL_TAG = tagOf(GLOBAL_ACCOUNT);

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
  let answered = false;
  try {
    const answers = await monitor.connection.requestMany(
      CONNECTIONS_PING,
      jsonBody({ cid: clientId, auth: true }),
      { maxWait: ACCOUNT_TIMEOUT_MS, strategy: "timer" },
    );
    // A leaf node answers once for each of its accounts that is bound to the account of the request.
    for await (const { data } of answers) {
      const connections = connectionsIn(data, serverId);
      answered ||= connections !== null;
      const own = connections?.find(({ cid }) => cid === clientId);
      if (own === undefined) continue;
      return tagOf(typeof own["account"] === "string" ? own["account"] : GLOBAL_ACCOUNT);
    }
  } catch (thrown) {
    throw classify(CONNECTIONS_PING, ACCOUNT_TIMEOUT_MS, thrown);
  }
  const why = answered ? "this connection is not listed" : `no answer within ${ACCOUNT_TIMEOUT_MS} ms`;
  throw new RequestFailure(
    "timeout",
    CONNECTIONS_PING,
    `the server does not report the account of this connection: ${why}`,
  );
}

/**
 * True only if the server named in the binding answers that this connection is closed. Every server of the NATS cluster answers;
 * the other answers are ignored, because none of those servers ever held the connection. False without a clear answer, with a
 * denied request, and with an answer that cannot be decoded. Never rejects.
 *
 * Absence from a list proves nothing: a leaf node answers once for each account that is bound to the account of the request, and
 * nats-server 2.15.1 omits an open connection in one of several thousand answers. Therefore a closed connection must be listed as
 * such, with the time at which it was closed. The server does so within milliseconds, and is asked again until then. An answer that
 * lists the connection as open ends the inquiry. In the account `$G` servers list no closed connections: there, and only there, absence
 * from the open connections counts, if no answer of the same server lists the connection within 5 ms.
 *
 * A server lists closed connections of the requester's account only; 2.15.1 open ones, too, while 2.12.15 and older list an open one of
 * any account. Therefore the account must be the holder's, whose tag is part of the presence name. The death of a holder without
 * presence is never confirmed, because such a holder does not suspend its term when it is disconnected.
 */
export async function isConnectionGone(
  monitor: ConnectionMonitor,
  binding: SessionBinding,
  timeoutMs: number,
): Promise<boolean> {
  const holdersTag = PRESENCE.exec(binding.presence ?? "")?.[1];
  if (holdersTag === undefined || !monitor.connected || timeoutMs < 1) return false;
  const sameAccount = accountTag(monitor).then(
    (tag) => tag === holdersTag,
    () => false,
  );
  try {
    return (
      (await inquire(monitor, binding, holdersTag === GLOBAL_TAG, timeoutMs, sameAccount)) &&
      (await sameAccount)
    );
  } catch {
    return false; // The connection is being closed.
  }
}

/** Asks until an answer decides, the time is over, or the inquiry has become useless. */
function inquire(
  monitor: ConnectionMonitor,
  { serverId, clientId }: SessionBinding,
  absenceCounts: boolean,
  timeoutMs: number,
  useful: Promise<boolean>,
): Promise<boolean> {
  const { connection } = monitor;
  const states = absenceCounts ? [OPEN] : [OPEN, CLOSED];
  return new Promise((resolve) => {
    const inbox = inboxOf(connection);
    let delayMs = ASK_AGAIN_MS;
    let again: NodeJS.Timeout | undefined;
    let absent: NodeJS.Timeout | undefined;
    const ask = (): void => {
      again = undefined;
      try {
        if (!monitor.connected) return;
        for (const state of states)
          connection.publish(CONNECTIONS_PING, jsonBody({ cid: clientId, state }), { reply: inbox });
      } catch {
        settle(false);
      }
    };
    const askAgain = (): void => {
      if (again !== undefined) return;
      again = setTimeout(ask, delayMs);
      delayMs *= 2;
    };
    // One subscription for all questions: an answer to an earlier one counts, however late.
    const answers = connection.subscribe(inbox, {
      callback: (error, { data }) => {
        if (error !== null) return settle(false);
        switch (stateOf(clientId, connectionsIn(data, serverId))) {
          case "open":
            return settle(false);
          case "closed":
            return settle(true);
          case "absent":
            if (!absenceCounts) return askAgain();
            // The own server answers for the own account first.
            if (serverId === monitor.endpoint?.serverId) return settle(true);
            absent ??= setTimeout(() => settle(true), OTHER_ANSWER_MS);
            return;
          case "unknown":
            return;
        }
      },
    });
    const limit = setTimeout(() => settle(false), timeoutMs);
    const settle = (gone: boolean): void => {
      clearTimeout(limit);
      clearTimeout(again);
      clearTimeout(absent);
      answers.unsubscribe();
      resolve(gone);
    };
    void useful.then((is) => is || settle(false));
    ask();
  });
}

function stateOf(
  clientId: number,
  connections: readonly JsonObject[] | null,
): "open" | "closed" | "absent" | "unknown" {
  if (connections === null) return "unknown";
  const own = connections.find(({ cid }) => cid === clientId);
  if (own !== undefined) return typeof own["stop"] === "string" ? "closed" : "open";
  // An entry without an id may be the connection in question.
  return connections.every(({ cid }) => typeof cid === "number") ? "absent" : "unknown";
}

/** The connections that this server lists; `null` in every other answer. */
function connectionsIn(answer: Uint8Array, serverId: string): JsonObject[] | null {
  const json = parseObject(answer);
  if (asObject(json?.["server"])?.["id"] !== serverId) return null;
  const data = asObject(json?.["data"]);
  // An answer without the server's id contains no connection list: for example, the server does not know the account.
  if (data === null || data["server_id"] !== serverId || !Array.isArray(data["connections"])) return null;
  return data["connections"].map((connection: unknown) => asObject(connection) ?? {});
}
