/** Reads servers through the system account, also those whose monitoring port is unreachable from here. */
import { asError } from "../../errors.ts";
import type { JsonObject } from "../../nats/api/js-api.ts";
import { RequestFailure } from "../../nats/api/request.ts";
import { connectNats, type NatsLink, type NatsOptions } from "../../nats/connection/connection.ts";
import { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import type { ClockBook } from "../clocks/clock-book.ts";
import type { ConnectionFacts, ServerFacts } from "../facts.ts";
import { askServers, type Question, type ServerAnswer } from "./ask-servers.ts";
import { textIn } from "./json.ts";
import { NOTHING_FOUND, type SourceFacts } from "./monitoring-source.ts";
import {
  CLOSED_OPTIONS,
  type Document,
  type Documents,
  eachStream,
  JSZ_OPTIONS,
  OPEN_OPTIONS,
  readServer,
  unknownServer,
} from "./read-server.ts";

const PING = "$SYS.REQ.SERVER.PING";
/** In NATS requests, closed connections have the number 1. */
const QUESTIONS: Readonly<Record<Document, { readonly ask: string; readonly body?: object }>> = {
  varz: { ask: "VARZ" },
  jsz: { ask: "JSZ", body: JSZ_OPTIONS },
  routez: { ask: "ROUTEZ" },
  gatewayz: { ask: "GATEWAYZ" },
  healthz: { ask: "HEALTHZ" },
  connz: { ask: "CONNZ", body: OPEN_OPTIONS },
  closedz: { ask: "CONNZ", body: { ...CLOSED_OPTIONS, state: 1 } },
};
const DOCUMENTS = Object.keys(QUESTIONS) as readonly Document[];

export class SystemSource {
  readonly #options: NatsOptions;
  readonly #timeoutMs: number;
  readonly #book: ClockBook;
  #link: NatsLink | null = null;
  #monitor: ConnectionMonitor | null = null;
  #connecting: Promise<ConnectionMonitor> | null = null;
  #count = 0;

  constructor(options: NatsOptions, timeoutMs: number, book: ClockBook) {
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    this.#book = book;
  }

  async read(): Promise<SourceFacts & { readonly connection: ConnectionFacts }> {
    try {
      const monitor = await this.#connect();
      const found = await this.#settled(monitor, await this.#round(monitor, {}));
      this.#count = found.servers.filter(({ error }) => error === null).length;
      const connection = { server: monitor.connection.info?.server_name ?? null, problem: null };
      return { ...found, connection };
    } catch (thrown) {
      return { ...NOTHING_FOUND, connection: { server: null, problem: problemOf(thrown) } };
    }
  }

  /**
   * One document of every server that answers, by the server's name. Waits for `expected` servers if that is above 0, and at most for the
   * time limit. Rejects without a connection.
   */
  async documents(document: Document, expected: number): Promise<ReadonlyMap<string, JsonObject>> {
    const monitor = await this.#connect();
    const { ask, body } = QUESTIONS[document];
    const answers = await askServers(monitor, this.#book, {
      subject: `${PING}.${ask}`,
      timeoutMs: this.#timeoutMs,
      ...(body === undefined ? {} : { body }),
      ...(expected === 0 ? {} : { expected }),
    });
    return new Map(answers.map(({ name, data }) => [name, data]));
  }

  async clocks(): Promise<void> {
    if (this.#monitor?.connected !== true || this.#count === 0) return;
    const question = { subject: PING, timeoutMs: this.#timeoutMs, expected: this.#count };
    await askServers(this.#monitor, this.#book, question).catch(() => {});
  }

  async close(): Promise<void> {
    await this.#connecting?.catch(() => {});
    this.#monitor?.release();
    await this.#link?.close();
  }

  /** One connection for all questions, also for those that are asked before it exists. A failure is not kept. */
  #connect(): Promise<ConnectionMonitor> {
    this.#connecting ??= this.#open().catch((error: unknown) => {
      this.#connecting = null;
      throw error;
    });
    return this.#connecting;
  }

  async #open(): Promise<ConnectionMonitor> {
    this.#link = await connectNats(this.#options, { clusterId: "system", nodeId: "doctor" });
    this.#monitor = ConnectionMonitor.acquire(this.#link.connection);
    return this.#monitor;
  }

  /** A server that others know and that has not answered counts as down only after the whole `timeoutMs`. */
  async #settled(monitor: ConnectionMonitor, first: SourceFacts): Promise<SourceFacts> {
    if (silentIn(first).length === 0) return first;
    const expected = first.servers.length + silentIn(first).length;
    const second = await this.#round(monitor, { expected, patient: () => true });
    const error = `no answer to the system account within ${this.#timeoutMs} ms, although other servers have routes to it`;
    const silent = silentIn(second).map((name): ServerFacts => ({ ...unknownServer(name, "system"), error }));
    return { ...second, servers: [...second.servers, ...silent] };
  }

  async #round(
    monitor: ConnectionMonitor,
    options: Pick<Question, "expected" | "patient">,
  ): Promise<SourceFacts> {
    return factsFrom(await Promise.all(DOCUMENTS.map((document) => this.#ask(monitor, document, options))));
  }

  /** Only `varz` is required: without it a server is known only by name. */
  #ask(
    monitor: ConnectionMonitor,
    document: Document,
    options: Pick<Question, "expected" | "patient">,
  ): Promise<ServerAnswer[]> {
    const { ask, body } = QUESTIONS[document];
    const asking = askServers(monitor, this.#book, {
      subject: `${PING}.${ask}`,
      timeoutMs: this.#timeoutMs,
      ...(body === undefined ? {} : { body }),
      ...options,
    });
    return document === "varz" ? asking : asking.catch(() => []);
  }
}

/** Servers to which others have routes and which did not answer. */
function silentIn({ servers, ids }: SourceFacts): string[] {
  const routed = new Set(servers.flatMap(({ routes }) => (routes ?? []).map((one) => ids.get(one) ?? one)));
  for (const { name } of servers) routed.delete(name);
  return [...routed].sort();
}

/** `answers`: in the order of `DOCUMENTS`. */
function factsFrom(answers: readonly (readonly ServerAnswer[])[]): SourceFacts {
  const all = answers.flat();
  const ids = new Map(
    all.flatMap(({ server, name }) =>
      textIn(server, "id") === null ? [] : [[String(server["id"]), name] as const],
    ),
  );
  const of = (document: Document, name: string): JsonObject | null =>
    answers[DOCUMENTS.indexOf(document)]?.find((answer) => answer.name === name)?.data ?? null;
  const names = [...new Set(all.map(({ name }) => name))];
  const servers = names.map((name): ServerFacts => {
    const documents = Object.fromEntries(DOCUMENTS.map((document) => [document, of(document, name)]));
    const server = readServer(documents as unknown as Documents, "system");
    return server ?? { ...unknownServer(name, "system"), error: "no answer to the system account in time" };
  });
  const streams = names.flatMap((name) => {
    const jsz = of("jsz", name);
    return jsz === null ? [] : eachStream(jsz);
  });
  return { servers, ids, streams };
}

function problemOf(thrown: unknown): string {
  if (thrown instanceof RequestFailure && thrown.kind === "no-responders") {
    return `no server answers on ${PING}.VARZ: this user does not belong to the system account`;
  }
  return asError(thrown).message;
}
