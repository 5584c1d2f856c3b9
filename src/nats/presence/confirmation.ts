/** Confirmation: the server that held a connection is asked whether it is closed, and how much it has received on it. */
import type { HolderAnswer, SessionBinding } from "../../election/types.ts";
import { asObject, type JsonObject, parseObject } from "../api/js-api.ts";
import { classify, jsonBody, RequestFailure } from "../api/request.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { sendNow } from "../connection/internals.ts";
import { ACCOUNT_PING, CONNECTIONS_PING } from "../names.ts";
import type { AnswerInbox } from "./answer-inbox.ts";
import {
  type AskedConnection,
  accountQuestion,
  ConnzState,
  connzQuestion,
  decodeConnzAnswer,
  GLOBAL_ACCOUNT,
  tagOf,
} from "./connz-answer.ts";

const ACCOUNT_TIMEOUT_MS = 1000;
/** How long after an answer that decides nothing the server is asked again; doubled each time. */
const ASK_AGAIN_MS = 2;
const PRESENCE = /\.presence_([0-9a-f]{12})_/;

/** Name of a presence consumer. It contains the tag of its account, which `askAbout` compares. */
export function presenceName(accountTag: string, id: string, count: number): string {
  return `presence_${accountTag}_${id}_${count}`;
}

const GLOBAL_TAG = tagOf(GLOBAL_ACCOUNT);

const NONE: HolderAnswer = { kind: "none" };
const CLOSED: HolderAnswer = { kind: "closed" };

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

export interface InquiryContext {
  readonly timeoutMs: number;
  /** Number of beats of the connection that were heard so far. */
  readonly heard: () => number;
  readonly inbox: AnswerInbox;
  /** The connection may have ended, and from here nothing can prove it. */
  readonly onUnprovable?: (why: string) => void;
}

/** Completes "a crash of the holder is noticed only when its lease has expired:". */
const UNNAMED_ACCOUNT = `its server does not answer for the account ${GLOBAL_ACCOUNT}, of which servers list no closed connections; allow this user to publish to "${ACCOUNT_PING}", check the links of leaf nodes, or use a named account`;
const IN_ANOTHER_ACCOUNT =
  "its account has another name on its server than that of this process here; give the accounts on both sides one name";

/**
 * Asks the server named in the binding about that connection, after this call. Every server of the NATS cluster answers; the other
 * answers are ignored, because none of those servers ever held the connection. Answers "none" if there is no clear answer, if the request
 * is denied, or if an answer cannot be decoded. Never rejects.
 *
 * Absence from a list proves nothing: a leaf node answers once for each account that is bound to the account of the request, and
 * nats-server 2.15.1 omits an open connection in one of several thousand answers. Therefore a closed connection must be listed as
 * such, with the time at which it was closed. The server does so within milliseconds, and is asked again until then. The first answer
 * that lists the connection decides. In the account `$G` servers list no closed connections: there, and only there, absence
 * from the open connections counts, and it must be an answer for `$G`: while the link of a leaf node for `$G` is down, it answers for
 * its other account alone. So another server than that of this connection is asked for which account it answers, before and after the
 * question about the connection. Requests and answers for one account travel on one path, in order: when the second answer for `$G`
 * arrives, that about the connection in `$G` has arrived. (Measured: 1 800 times each on a cluster of three, 2.15.1 and 2.9.10; always in this order.)
 *
 * A server lists closed connections of the requester's account only; 2.15.1 open ones, too, while 2.12.15 and older list an open one of
 * any account. Therefore the account must be the holder's, whose tag is part of the presence name and of the promise of silence. A
 * holder that names neither is not asked about: it does not suspend its term.
 *
 * A beat of the connection that is heard before the answer proves that it was open. "Open" is then not worth reporting, and after
 * "closed" the server is asked once more: the beat may have been under way for longer than the answer.
 */
export async function askAbout(
  monitor: ConnectionMonitor,
  binding: SessionBinding,
  { timeoutMs, heard, inbox, onUnprovable }: InquiryContext,
): Promise<HolderAnswer> {
  const holdersTag = tagIn(binding);
  if (holdersTag === null || !monitor.connected || timeoutMs < 1) return NONE;
  let known: Promise<boolean> | null = null;
  const sameAccount = (): Promise<boolean> => {
    known ??= accountTag(monitor).then(
      (tag) => tag === holdersTag,
      () => false,
    );
    return known;
  };
  const asked = { serverId: binding.serverId, clientId: binding.clientId, accountTag: holdersTag };
  const until = performance.now() + timeoutMs;
  try {
    for (let leftMs = timeoutMs; leftMs > 0; leftMs = until - performance.now()) {
      const before = heard();
      const asking = { asked, inbox, timeoutMs: leftMs, useful: sameAccount, onUnprovable };
      const answer = await ask(monitor, asking);
      if (!(await sameAccount())) return NONE;
      if (heard() === before) return answer;
      if (answer.kind !== "closed") return NONE;
    }
  } catch {
    // The connection is being closed.
  }
  return NONE;
}

/** Why a question about this holder would lead to nothing; `null` if it would not, or if that is not known. Never rejects. */
export async function whyUnprovable(
  monitor: ConnectionMonitor,
  binding: SessionBinding,
): Promise<string | null> {
  const holdersTag = tagIn(binding);
  if (holdersTag === null) return null;
  const tag = await accountTag(monitor).catch(() => holdersTag);
  return tag === holdersTag ? null : IN_ANOTHER_ACCOUNT;
}

/** The tag of the holder's account, if its record names one. */
function tagIn({ presence, silence }: SessionBinding): string | null {
  const ofPresence = PRESENCE.exec(presence ?? "")?.[1];
  const ofSilence = silence?.account;
  if (ofPresence !== undefined && ofSilence !== undefined && ofPresence !== ofSilence) return null;
  return ofPresence ?? ofSilence ?? null;
}

interface Asking {
  readonly asked: AskedConnection;
  readonly inbox: AnswerInbox;
  readonly timeoutMs: number;
  /** Called once the question has been sent. */
  readonly useful: () => Promise<boolean>;
  readonly onUnprovable: ((why: string) => void) | undefined;
}

/** Asks until an answer decides, the time is over, or the inquiry has become useless. */
function ask(monitor: ConnectionMonitor, asking: Asking): Promise<HolderAnswer> {
  const { asked, inbox, timeoutMs, useful, onUnprovable } = asking;
  const { connection } = monitor;
  const absenceCounts = asked.accountTag === GLOBAL_TAG;
  const states = absenceCounts ? [ConnzState.open] : [ConnzState.open, ConnzState.closed];
  const isOwnServer = asked.serverId === monitor.endpoint?.serverId;
  const account = absenceCounts && !isOwnServer ? [{ subject: ACCOUNT_PING, body: accountQuestion() }] : [];
  const about = states.map((state) => ({
    subject: CONNECTIONS_PING,
    body: connzQuestion(asked.clientId, state),
  }));
  const questions = [...account, ...about, ...account];
  return new Promise((resolve) => {
    let delayMs = ASK_AGAIN_MS;
    let again: NodeJS.Timeout | undefined;
    let isSettled = false;
    // What has been answered, in this order, where absence counts.
    let absence: "unanswered" | "account" | "absent" = "unanswered";
    let isUnprovable = false;
    const send = (): void => {
      again = undefined;
      try {
        if (!monitor.connected) return;
        for (const { subject, body } of questions) connection.publish(subject, body, { reply });
        sendNow(connection);
      } catch {
        settle(NONE);
      }
    };
    const sendAgain = (): void => {
      if (again !== undefined) return;
      again = setTimeout(send, delayMs);
      delayMs *= 2;
    };
    // One reply subject for all questions: an answer to an earlier one counts, however late.
    const { reply, end } = inbox.add((received) => {
      if (received instanceof Error) return settle(NONE);
      const answer = decodeConnzAnswer(received.data, asked);
      switch (answer.kind) {
        case "open":
        case "closed":
          return settle(answer);
        case "absent":
          if (!absenceCounts) return sendAgain();
          // The own server answers for the own account first.
          if (isOwnServer) return settle(CLOSED);
          if (absence === "unanswered") isUnprovable = true;
          else absence = "absent";
          return;
        case "account":
          if (!answer.isAsked) return;
          if (absence === "absent") return settle(CLOSED);
          absence = "account";
          return;
        case "foreign":
        case "malformed":
          return;
        default:
          answer satisfies never;
      }
    });
    let limit: NodeJS.Timeout | undefined;
    const settle = (answer: HolderAnswer): void => {
      isSettled = true;
      clearTimeout(limit);
      clearTimeout(again);
      resolve(answer);
      end();
    };
    // First: between a crash and the next term, the rest takes as long as the server needs for its answer.
    send();
    if (isSettled) return;
    limit = setTimeout(() => {
      if (isUnprovable && absence === "unanswered") onUnprovable?.(UNNAMED_ACCOUNT);
      settle(NONE);
    }, timeoutMs);
    void useful().then((is) => is || settle(NONE));
  });
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
