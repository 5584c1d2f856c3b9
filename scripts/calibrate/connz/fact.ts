/** What a fact about CONNZ is: something that servers do, with what the simulator's fake must be able to do because of it. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { asObject, type JsonObject, parseObject } from "../../../src/nats/api/js-api.ts";
import { CONNECTIONS_PING } from "../../../src/nats/names.ts";
import {
  type AskedConnection,
  type ConnzAnswer,
  ConnzState,
  connzQuestion,
  decodeConnzAnswer,
  tagOf,
} from "../../../src/nats/presence/connz-answer.ts";
import { type NatsServer, startNatsServer } from "../../../src/testing.ts";
import { RawClient } from "./raw-client.ts";

export interface ConnzFact {
  readonly name: string;
  /** What the fake must be able to do. */
  readonly fake: string;
  /** Outcomes that must occur on this version, or the check proves nothing. */
  readonly must: (version: string) => readonly string[];
  readonly check: (version: string, notes: Notes) => Promise<void>;
}

/** What the check of a fact has found. */
export class Notes {
  readonly outcomes: Record<string, number> = {};
  readonly violations: string[] = [];
  questions = 0;

  saw(outcome: string): void {
    this.outcomes[outcome] = (this.outcomes[outcome] ?? 0) + 1;
  }

  /** Notes a violation unless it holds. */
  expect(holds: boolean, otherwise: string): void {
    if (!holds && !this.violations.includes(otherwise)) this.violations.push(otherwise);
  }
}

/** A connection as a record names it, with the name of its account. */
export interface Subject {
  readonly serverId: string;
  readonly clientId: number;
  readonly account: string;
}

const ANSWER_MS = 30_000;
const RELOADING_MS = 2000;

/** Asks a single server. */
export class Asker {
  readonly #connection: NatsConnection;
  readonly #notes: Notes;

  constructor(connection: NatsConnection, notes: Notes) {
    this.#connection = connection;
    this.#notes = notes;
  }

  open(subject: Subject): Promise<ConnzAnswer> {
    return this.#ask(subject, ConnzState.open);
  }

  closed(subject: Subject): Promise<ConnzAnswer> {
    return this.#ask(subject, ConnzState.closed);
  }

  /** As `open` and `closed` while a server may not answer. */
  async kind(
    subject: Subject,
    state: "open" | "closed",
  ): Promise<ConnzAnswer | { readonly kind: "no-answer" }> {
    return this.#ask(subject, ConnzState[state], RELOADING_MS).catch(() => ({ kind: "no-answer" }));
  }

  /** The entries in the first answer to a request with this body. */
  async entries(body: object): Promise<readonly JsonObject[]> {
    this.#notes.questions += 1;
    const { data } = await this.#connection.request(CONNECTIONS_PING, JSON.stringify(body), {
      timeout: ANSWER_MS,
    });
    const list = asObject(parseObject(data)?.["data"])?.["connections"];
    return Array.isArray(list) ? list.map((entry: unknown) => asObject(entry) ?? {}) : [];
  }

  /** The count of an open connection. */
  async inMsgs(subject: Subject): Promise<number> {
    const answer = await this.open(subject);
    if (answer.kind === "open") return answer.inMsgs;
    this.#notes.expect(false, `an open connection is ${answer.kind}`);
    return Number.NaN;
  }

  async #ask(subject: Subject, state: 0 | 1, timeout = ANSWER_MS): Promise<ConnzAnswer> {
    this.#notes.questions += 1;
    const question = connzQuestion(subject.clientId, state);
    const { data } = await this.#connection.request(CONNECTIONS_PING, question, { timeout });
    return decodeConnzAnswer(data, asked(subject));
  }
}

export function asked({ serverId, clientId, account }: Subject): AskedConnection {
  return { serverId, clientId, accountTag: tagOf(account) };
}

/** 2.9 differs from the others. */
export function isOldest(version: string): boolean {
  return version.startsWith("2.9.");
}

/** Two accounts, and the system account. */
export const TWO_ACCOUNTS = `accounts {
  A { users: [{ user: a, password: p }, { user: denied, password: p, permissions: { publish: { deny: secret } } }] }
  B { users: [{ user: b, password: p }] }
  SYS { users: [{ user: s, password: p }] }
}
system_account: SYS`;

/** A single server, an asker in account A or in `$G`, and connections about which it asks. */
export interface ConnzWorld {
  readonly server: NatsServer;
  readonly asker: Asker;
  /** Opens a connection about which questions are asked. */
  hold(user?: string): Promise<{ readonly holder: RawClient; readonly subject: Subject }>;
  /** Opens a connection that only talks. */
  client(): Promise<RawClient>;
}

export async function withServer(
  version: string,
  notes: Notes,
  options: { readonly config?: string; readonly global?: boolean },
  run: (world: ConnzWorld) => Promise<void>,
): Promise<void> {
  const { global = false, config = global ? "" : TWO_ACCOUNTS } = options;
  await using server = await startNatsServer({ version, jetstream: false, config });
  const user = global ? {} : { user: "a", pass: "p" };
  const connection = await connect({ servers: server.url, noAsyncTraces: true, ...user });
  const opened: RawClient[] = [];
  const client = async (login: object = user): Promise<RawClient> => {
    const one = await RawClient.open(server, login);
    opened.push(one);
    return one;
  };
  try {
    await run({
      server,
      asker: new Asker(connection, notes),
      client: () => client(),
      hold: async (name) => {
        const holder = await client(name === undefined ? user : { user: name, pass: "p" });
        const { serverId, clientId } = holder;
        return { holder, subject: { serverId, clientId, account: global ? "$G" : "A" } };
      },
    });
  } finally {
    for (const one of opened) one.close();
    await connection.close();
  }
}
