/** Who answers, and what is said about connections of other accounts. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { asObject, parseObject } from "../../../src/nats/api/js-api.ts";
import { isAtLeast } from "../../../src/nats/api/server-version.ts";
import { inboxOf } from "../../../src/nats/connection/inbox.ts";
import { ACCOUNT_PING, CONNECTIONS_PING } from "../../../src/nats/names.ts";
import {
  accountQuestion,
  type ConnzAnswer,
  connzQuestion,
  decodeConnzAnswer,
  GLOBAL_ACCOUNT,
} from "../../../src/nats/presence/connz-answer.ts";
import { freePort } from "../../../src/testing/server/run/ports.ts";
import { startNatsCluster, startNatsServer } from "../../../src/testing.ts";
import { waitFor } from "../../shared/wait.ts";
import {
  Asker,
  asked,
  type ConnzFact,
  isOldest,
  type Notes,
  type Subject,
  TWO_ACCOUNTS,
  withServer,
} from "./fact.ts";
import { RawClient } from "./raw-client.ts";

const QUESTIONS = 20;
/** After so long without all answers a question is asked again. */
const UNANSWERED_MS = 500;

interface Asked {
  readonly subject: string;
  readonly body: Uint8Array | string;
}

/** All answers to one question, or to several that are sent at once, as they arrive. */
class Question {
  readonly answers: Uint8Array[] = [];
  readonly #end: () => void;

  constructor(connection: NatsConnection, asked: Uint8Array | string | readonly Asked[]) {
    const inbox = inboxOf(connection);
    const subscription = connection.subscribe(inbox, {
      callback: (error, { data }) => {
        if (error === null) this.answers.push(data);
      },
    });
    const all = Array.isArray(asked) ? asked : [{ subject: CONNECTIONS_PING, body: asked }];
    for (const { subject, body } of all) connection.publish(subject, body, { reply: inbox });
    this.#end = () => subscription.unsubscribe();
  }

  get servers(): readonly unknown[] {
    return this.answers.map((answer) => asObject(parseObject(answer)?.["server"])?.["id"]);
  }

  kinds(subject: Subject): readonly ConnzAnswer["kind"][] {
    return this.answers.map((answer) => decodeConnzAnswer(answer, asked(subject)).kind);
  }

  async received(count: number, timeoutMs?: number): Promise<this> {
    await waitFor(() => this.answers.length >= count, {
      intervalMs: 1,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      message: () => `${count} answers; there are ${this.answers.length}`,
    });
    return this;
  }

  end(): void {
    this.#end();
  }
}

async function checkAnotherAccount(version: string, notes: Notes): Promise<void> {
  await withServer(version, notes, {}, async ({ server, hold }) => {
    const { holder, subject } = await hold();
    const connection = await connect({ servers: server.url, user: "b", pass: "p", noAsyncTraces: true });
    const stranger = new Asker(connection, notes);
    const asOwn = { ...subject, account: "B" };
    try {
      const open = await stranger.open(subject);
      notes.saw(`another account: an open connection is ${open.kind}`);
      notes.expect(open.kind === "absent" || open.kind === "open", `asked by another account: ${open.kind}`);
      const own = await stranger.open(asOwn);
      notes.expect(own.kind !== "open", "a connection of another account is taken for one of the asker's");
      holder.end();
      await waitFor(async () => (await stranger.open(subject)).kind === "absent", { intervalMs: 1 });
      for (let time = 0; time < QUESTIONS; time += 1) {
        const closed = await stranger.closed(subject);
        notes.expect(closed.kind === "absent", "another account is shown a closed connection");
        notes.saw(`another account: a closed connection is ${closed.kind}`);
      }
    } finally {
      await connection.close();
    }
  });
}

const FILTERS: readonly (readonly [object, string, (version: string) => string])[] = [
  [{}, "no filter", () => "both"],
  [{ server_name: "c-1" }, "the name of the first server", () => "the first"],
  [{ server_name: "c-" }, "a part of both names", () => "both"],
  [
    { server_name: "c-", exact_match: true },
    "a part of both names, exactly",
    (version) => (exact(version) ? "none" : "both"),
  ],
  [{ server_name: "elsewhere" }, "another name", () => "none"],
  [{ server_id: "elsewhere" }, "another server's id", () => "both"],
  [{ tags: ["one"] }, "the tag of the first server", () => "the first"],
  [{ tags: ["elsewhere"] }, "an unknown tag", () => "none"],
];

/** Whether a server has `exact_match`, which came with 2.12. */
function exact(version: string): boolean {
  return isAtLeast(version, "2.12.0");
}

/** A server answers questions in the order in which it receives them: once it has answered the last, it will not answer the first. */
async function checkFilters(version: string, notes: Notes): Promise<void> {
  await using cluster = await startNatsCluster({
    version,
    size: 2,
    name: "c",
    jetstream: false,
    config: (index) => `${TWO_ACCOUNTS}\nserver_tags: [${index === 0 ? "one" : "two"}]`,
  });
  const [first, second] = cluster.servers;
  if (first === undefined || second === undefined) throw new Error("bug: a cluster of two");
  const connection = await connect({ servers: second.url, user: "a", pass: "p", noAsyncTraces: true });
  const holder = await RawClient.open(first, { user: "a", pass: "p" });
  const subject = { serverId: holder.serverId, clientId: holder.clientId, account: "A" };
  try {
    for (const [filter, what, wanted] of FILTERS) {
      const question = new Question(
        connection,
        JSON.stringify({ cid: subject.clientId, auth: true, ...filter }),
      );
      const last = await new Question(connection, connzQuestion(subject.clientId, 0)).received(2);
      notes.questions += 2;
      const ids = new Set(question.servers);
      const byFirst = ids.has(subject.serverId);
      const who = ids.size === 2 ? "both" : ids.size === 0 ? "none" : byFirst ? "the first" : "the second";
      notes.expect(who === wanted(version), `${what}: ${who} answers, not ${wanted(version)}`);
      notes.saw(`${what}: ${who} answers`);
      notes.expect(
        [...last.kinds(subject)].sort().join() === "foreign,open",
        `the servers of a cluster answer ${last.kinds(subject)}`,
      );
      question.end();
      last.end();
    }
  } finally {
    holder.close();
    await connection.close();
  }
}

/** A holder in the account LEAF of a leaf node, which is bound to the hub's account A, as is another account of the leaf node. */
async function checkLeaf(version: string, notes: Notes): Promise<void> {
  const port = await freePort("127.0.0.1");
  // 2.9 refuses a second account of one leaf node on one account of the hub.
  const bound = isOldest(version) ? ["LEAF"] : ["OTHER", "LEAF"];
  await using hub = await startNatsServer({
    version,
    jetstream: false,
    config: `${TWO_ACCOUNTS}\nleafnodes { listen: "127.0.0.1:${port}" }`,
  });
  const remotes = bound.map((account) => `{ url: "nats-leaf://a:p@127.0.0.1:${port}", account: ${account} }`);
  await using leaf = await startNatsServer({
    version,
    jetstream: false,
    config: `accounts { LEAF { users: [{ user: l, password: p }] }, OTHER { users: [{ user: o, password: p }] } }
      leafnodes { remotes: [${remotes.join(", ")}] }`,
  });
  const connection = await connect({ servers: hub.url, user: "a", pass: "p", noAsyncTraces: true });
  const holder = await RawClient.open(leaf, { user: "l", pass: "p" });
  const subject = { serverId: holder.serverId, clientId: holder.clientId, account: "LEAF" };
  const answers = 1 + bound.length;
  const question = (state: 0 | 1): Question => {
    notes.questions += 1;
    return new Question(connection, connzQuestion(subject.clientId, state));
  };
  try {
    // A question that was asked before the leaf node had connected all its accounts is never answered by all.
    await waitFor(async () => {
      const one = question(0);
      const isAnswered = await one.received(answers, UNANSWERED_MS).then(
        () => true,
        () => false,
      );
      one.end();
      return isAnswered;
    });
    const asked: Question[] = [];
    for (let time = 0; time < QUESTIONS; time += 1) {
      const one = await question(0).received(answers);
      asked.push(one);
      const kinds = one.kinds(subject);
      notes.saw(`leaf: ${kinds.filter((kind) => kind !== "foreign").join(", then ")}`);
      notes.expect(kinds.includes("open"), "no answer of the leaf node lists the open connection");
      const bySameName = one.kinds({ ...subject, account: "A" });
      notes.expect(
        !bySameName.includes("open"),
        "an account of a leaf node has the name of the hub's account to which it is bound",
      );
      const closed = await question(1).received(answers);
      asked.push(closed);
      notes.expect(!closed.kinds(subject).includes("closed"), "an open connection of a leaf node is closed");
    }
    for (const one of asked) {
      notes.expect(one.answers.length === answers, `${one.answers.length} answers instead of ${answers}`);
      one.end();
    }
    holder.end();
    await waitFor(async () => {
      const closed = await question(1).received(answers);
      return closed.kinds(subject).includes("closed");
    });
    notes.saw("leaf: a closed connection is listed as closed");
  } finally {
    holder.close();
    await connection.close();
  }
}

/** The answers of another server about its account come in the order of the questions, with the one about a connection between them. */
async function checkAccount(version: string, notes: Notes): Promise<void> {
  await using cluster = await startNatsCluster({ version, size: 2, jetstream: false });
  const [first, second] = cluster.servers;
  if (first === undefined || second === undefined) throw new Error("bug: a cluster of two");
  const connection = await connect({ servers: second.url, noAsyncTraces: true });
  const holder = await RawClient.open(first);
  const subject = { serverId: holder.serverId, clientId: holder.clientId, account: GLOBAL_ACCOUNT };
  const account = { subject: ACCOUNT_PING, body: accountQuestion() };
  const about = { subject: CONNECTIONS_PING, body: connzQuestion(subject.clientId, 0) };
  const orders = async (wanted: string): Promise<void> => {
    const question = await new Question(connection, [account, about, account]).received(6);
    const kinds = question.kinds(subject).filter((kind) => kind !== "foreign");
    question.end();
    notes.questions += 1;
    notes.saw(`$G: ${kinds.join(", ")}`);
    notes.expect(kinds.join() === wanted, `$G: the other server answers ${kinds}`);
  };
  try {
    for (let time = 0; time < QUESTIONS; time += 1) await orders("account,open,account");
    holder.end();
    await waitFor(async () => {
      const one = await new Question(connection, about.body).received(2);
      one.end();
      return !one.kinds(subject).includes("open");
    });
    for (let time = 0; time < QUESTIONS; time += 1) await orders("account,absent,account");
  } finally {
    holder.close();
    await connection.close();
  }
}

export const ANSWERERS: readonly ConnzFact[] = [
  {
    name: "a server names the account for which it answers, in the order of the questions",
    fake: "In $G: asked for its account before and after the question about a connection, a server answers in this order.",
    must: () => ["$G: account, open, account", "$G: account, absent, account"],
    check: checkAccount,
  },
  {
    name: "another account is shown no closed connection",
    fake: "Asked in another account: absent (2.15.1), or open with the name of its account (2.12 and older); never closed.",
    must: (version) => [
      "another account: a closed connection is absent",
      `another account: an open connection is ${isAtLeast(version, "2.15.0") ? "absent" : "open"}`,
    ],
    check: checkAnotherAccount,
  },
  {
    name: "every server answers unless a filter excludes it",
    fake: "Each server of the cluster answers every question, in any order. `server_name` and `tags` narrow it down; `server_id` does not.",
    must: (version) => FILTERS.map(([, what, wanted]) => `${what}: ${wanted(version)} answers`),
    check: checkFilters,
  },
  {
    name: "a leaf node answers once for each of its accounts, in any order",
    fake: "Several answers of one server to one question: one lists the connection, the others may (2.10 to 2.12) or may not (2.15.1). The account has the name that it has on the leaf node.",
    must: () => ["leaf: a closed connection is listed as closed"],
    check: checkLeaf,
  },
];
