/** CONNZ and STATZ: what a server is asked about one connection, and what its answer says. Pure; the sender decides what follows from it. */
import { createHash } from "node:crypto";
import { asObject, type JsonObject, parseObject } from "../api/js-api.ts";
import { jsonBody } from "../api/request.ts";

/** Answers about one connection have less than 2 KB, and some more with the JWT of its user. */
const MAX_ANSWER_BYTES = 65_536;
/** A server's time, such as "2026-11-29T19:31:17.998607329Z". */
const SERVER_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/** The account of clients without one. A server omits its name, and lists none of its closed connections. */
export const GLOBAL_ACCOUNT = "$G";

/** A short hash of an account's name, for records and names that others can read. */
export function tagOf(account: string): string {
  return createHash("sha256").update(account).digest("hex").slice(0, 12);
}

/** `state` in a question. 2.9 does not list an open connection in answer to a question about both, which is 2. */
export const ConnzState = { open: 0, closed: 1 } as const;

/** The connection in question. */
export interface AskedConnection {
  readonly serverId: string;
  readonly clientId: number;
  /** `tagOf` its account. */
  readonly accountTag: string;
}

/** What one answer says about the connection in question. */
export type ConnzAnswer =
  /** It is open. `inMsgs`: the messages that the server has received on it. A veto, whatever other answers say. */
  | { readonly kind: "open"; readonly inMsgs: number }
  /** It is listed with the time at which it was closed. */
  | { readonly kind: "closed" }
  /**
   * The server does not list it. Evidence only in `$G`, and only of a question about open connections: an answer for another
   * account has the same form, and nats-server 2.15.1 omits an open connection in one of several thousand answers.
   */
  | { readonly kind: "absent" }
  /** An answer to `accountQuestion()`. It is for the account of the connection, or for another one that is bound to it. */
  | { readonly kind: "account"; readonly isAsked: boolean }
  /** The answer is another server's, or about a connection of another account. It says nothing. */
  | { readonly kind: "foreign" }
  /** No answer to this question. It says nothing. */
  | { readonly kind: "malformed" };

const ABSENT: ConnzAnswer = { kind: "absent" };
const CLOSED: ConnzAnswer = { kind: "closed" };
const FOREIGN: ConnzAnswer = { kind: "foreign" };
const MALFORMED: ConnzAnswer = { kind: "malformed" };

/** The body of a question about one connection. `auth` makes the server name the account in its answer. */
export function connzQuestion(
  clientId: number,
  state: (typeof ConnzState)[keyof typeof ConnzState],
): Uint8Array {
  return jsonBody({ cid: clientId, state, auth: true });
}

/** The body of the question for which account a server answers. Without the option a server without clients of it does not. */
export function accountQuestion(): Uint8Array {
  return jsonBody({ include_unused: true });
}

/** Decodes an answer to `connzQuestion` or `accountQuestion`. Never throws. */
export function decodeConnzAnswer(answer: Uint8Array, asked: AskedConnection): ConnzAnswer {
  if (answer.byteLength > MAX_ANSWER_BYTES) return MALFORMED;
  const json = parseObject(answer);
  const serverId = asObject(json?.["server"])?.["id"];
  if (typeof serverId !== "string") return MALFORMED;
  if (serverId !== asked.serverId) return FOREIGN;
  const data = asObject(json?.["data"]);
  // A server that does not know the account answers with its id and an error, without connections.
  if (data === null || data["server_id"] !== serverId) return MALFORMED;
  if (Array.isArray(data["account_statz"])) return decodeAccount(data["account_statz"], asked.accountTag);
  if (!Array.isArray(data["connections"])) return MALFORMED;
  const connections: readonly unknown[] = data["connections"];
  if (connections.length === 0) return ABSENT;
  const entry = asObject(connections[0]);
  // An answer about one connection has at most one entry. A longer list may be cut off, and absence from it proves nothing.
  if (connections.length > 1 || entry === null || entry["cid"] !== asked.clientId) return MALFORMED;
  return decodeEntry(entry, asked.accountTag);
}

function decodeEntry(entry: JsonObject, accountTag: string): ConnzAnswer {
  const { account = GLOBAL_ACCOUNT, stop, in_msgs: inMsgs } = entry;
  if (typeof account !== "string") return MALFORMED;
  if (tagOf(account) !== accountTag) return FOREIGN;
  if (stop !== undefined) return typeof stop === "string" && SERVER_TIME.test(stop) ? CLOSED : MALFORMED;
  return isCount(inMsgs) ? { kind: "open", inMsgs } : MALFORMED;
}

function decodeAccount(accounts: readonly unknown[], accountTag: string): ConnzAnswer {
  const name = asObject(accounts[0])?.["acc"];
  if (accounts.length !== 1 || typeof name !== "string") return MALFORMED;
  return { kind: "account", isAsked: tagOf(name) === accountTag };
}

/** Above the safe integers two counts could differ and be decoded to one number. */
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
