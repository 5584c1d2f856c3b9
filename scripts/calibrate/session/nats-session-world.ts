/** Real connections with real presence, through the real adapter. */
import type { NatsConnection } from "@nats-io/transport-node";
import type { SessionBinding } from "../../../src/election/types.ts";
import { consumerDeletedAdvisory } from "../../../src/nats/names.ts";
import { AnswerInbox } from "../../../src/nats/presence/answer-inbox.ts";
import { askAbout } from "../../../src/nats/presence/confirmation.ts";
import { type NatsSession, openSession } from "../../../src/nats/presence/session.ts";
import { confirmsDeath, watchPresence } from "../../shared/presence-questions.ts";
import type { TcpProxy } from "../../shared/proxy-types.ts";
import { startProxy } from "../../shared/tcp-proxy.ts";
import { waitFor } from "../../shared/wait.ts";
import { dial, type Lane } from "../nats-lane.ts";
import { type SessionWorld, twisted } from "./fake-session-world.ts";
import { ASKERS, type Asker, type Holder, type SessionStep } from "./session-script.ts";

const ANSWER_MS = 3000;
/** Timeout of an inquiry that gets no answer. */
const UNANSWERED_MS = 60;
const ADVISORY_TIMEOUT_MS = 10_000;

async function hasPresence(session: NatsSession): Promise<void> {
  await waitFor(() => session.binding?.presence !== undefined, {
    timeoutMs: ADVISORY_TIMEOUT_MS,
    message: "presence",
  });
}

/** One process behind a proxy that can break its connection. */
interface Client {
  readonly proxy: TcpProxy;
  readonly connection: NatsConnection;
  readonly session: NatsSession;
  /** Whether the script breaks its connection. */
  breaks: boolean;
}

export class NatsSessionWorld implements SessionWorld {
  readonly #lane: Lane;
  readonly #stream: string;
  readonly #holders = new Map<Holder, Client>();
  readonly #askers = new Map<Asker, Client>();
  readonly #seen: Readonly<Record<Asker, string[]>> = { p: [], q: [] };
  readonly #watched: Record<Asker, string | null> = { p: null, q: null };
  readonly #bindings: SessionBinding[] = [];
  /** The last known binding of each holder. */
  readonly #current = new Map<Holder, SessionBinding>();
  /** Presences whose deletion the server has announced. */
  readonly #ended = new Set<string>();
  #started = 0;
  #starved = false;

  private constructor(lane: Lane, stream: string) {
    this.#lane = lane;
    this.#stream = stream;
  }

  /** The stream must exist. */
  static async open(lane: Lane, stream: string): Promise<NatsSessionWorld> {
    const world = new NatsSessionWorld(lane, stream);
    const prefix = consumerDeletedAdvisory(`${stream}.`);
    lane.operator.subscribe(`${prefix}>`, {
      callback: (_error, message) =>
        void world.#ended.add(message.subject.slice(consumerDeletedAdvisory("").length)),
    });
    await lane.operator.flush();
    for (const asker of ASKERS) {
      const client = await world.#connect();
      world.#askers.set(asker, client);
      client.session.listen((event) => {
        if (event.type !== "presence-lost") return;
        const found = world.#bindings.findIndex(({ presence }) => presence === event.presence);
        world.#seen[asker].push(`the presence of binding ${found} is lost`);
      });
    }
    return world;
  }

  seen(asker: Asker): readonly string[] {
    return this.#seen[asker];
  }

  /** A connection broke because its pings were late on a busy machine. What follows is not comparable. */
  get starved(): boolean {
    return this.#starved;
  }

  async close(): Promise<void> {
    for (const client of [...this.#holders.values(), ...this.#askers.values()]) await end(client);
  }

  async run(step: SessionStep): Promise<string> {
    switch (step.do) {
      case "watch":
        await this.#watch(step.asker, step.binding === null ? null : this.#binding(step.binding));
        return "done";
      case "ask": {
        const binding = twisted(this.#binding(step.binding), step.twist);
        const unanswered = step.twist === "of another server" || step.twist === "without presence";
        const timeoutMs = unanswered ? UNANSWERED_MS : ANSWER_MS;
        return (await confirmsDeath(this.#asker(step.asker).session, binding, timeoutMs))
          ? "gone"
          : "not gone";
      }
      case "asker-drops":
        this.#asker(step.asker).breaks = true;
        await broken(this.#asker(step.asker));
        return "done";
      case "asker-returns":
        await this.#mended(this.#asker(step.asker));
        return "done";
      case "start":
        this.#holders.set(step.holder, await this.#connect());
        await this.#bound(step.holder);
        return "done";
      default:
        await this.#hold(step.do, step.holder);
        return "done";
    }
  }

  async #hold(what: Extract<SessionStep, { holder: Holder }>["do"], holder: Holder): Promise<void> {
    const client = this.#holder(holder);
    if (what === "return") {
      await this.#mended(client);
      return this.#bound(holder);
    }
    // A consumer that the server deleted is being recreated.
    if (what === "delete-consumer") await hasPresence(client.session);
    const binding = this.#current.get(holder) ?? null;
    const presence = client.session.binding?.presence ?? null;
    client.breaks = what !== "release" && what !== "delete-consumer";
    switch (what) {
      case "kill":
        client.proxy.refuse(true);
        client.proxy.cut();
        break;
      case "leave":
        await client.session.release();
        await client.connection.close();
        break;
      case "close":
        await client.connection.close();
        break;
      case "cut":
        client.proxy.cut();
        break;
      case "drop":
        await broken(client);
        break;
      case "release":
        await client.session.release();
        break;
      case "delete-consumer":
        await this.#deleteConsumer(presence);
        break;
      default:
        throw new Error(`bug: step ${what} is not handled`);
    }
    if (presence !== null) await this.#announced(presence);
    await this.#after(what, holder, client, binding);
  }

  /** Waits for the consequences of the step. */
  async #after(what: string, holder: Holder, client: Client, binding: SessionBinding | null): Promise<void> {
    if (what === "kill" || what === "leave" || what === "close") {
      this.#holders.delete(holder);
      await end(client);
      if (binding !== null) await this.#delisted(binding);
    }
    if (what === "cut") {
      await waitFor(
        () => client.session.binding?.clientId !== binding?.clientId && client.session.connected,
        {
          message: "another connection",
        },
      );
      client.breaks = false;
      await this.#bound(holder);
    }
    if (what === "release" || what === "delete-consumer") {
      for (const asker of ASKERS) {
        if (this.#watched[asker] === binding?.presence) await this.#watch(asker, null);
      }
    }
  }

  async #deleteConsumer(presence: string | null): Promise<void> {
    const { error } = await this.#lane.api(`CONSUMER.DELETE.${presence}`);
    if (error !== undefined) throw new Error(`CONSUMER.DELETE.${presence}: ${JSON.stringify(error)}`);
  }

  async #watch(asker: Asker, binding: SessionBinding | null): Promise<void> {
    const { session, connection } = this.#asker(asker);
    this.#watched[asker] = binding?.presence ?? null;
    watchPresence(session, this.#watched[asker]);
    if (session.connected) await connection.flush();
  }

  /** Waits for the advisory, and then for one round trip of each connected asker, so that it has received the advisory. */
  async #announced(presence: string): Promise<void> {
    await waitFor(() => this.#ended.has(presence), {
      timeoutMs: ADVISORY_TIMEOUT_MS,
      intervalMs: 1,
      message: `the advisory about presence ${presence}`,
    });
    for (const { session, connection } of this.#askers.values()) {
      if (session.connected) await connection.flush();
    }
  }

  /** Waits until the server no longer lists the connection: a clean close ends here before the server has noticed it. */
  async #delisted(binding: SessionBinding): Promise<void> {
    const monitor = this.#lane.monitors.operator;
    const inbox = new AnswerInbox(monitor.connection);
    const isClosed = async (): Promise<boolean> => {
      const options = { timeoutMs: ANSWER_MS, heard: () => 0, inbox };
      return (await askAbout(monitor, binding, options)).kind === "closed";
    };
    await waitFor(isClosed, {
      timeoutMs: ADVISORY_TIMEOUT_MS,
      intervalMs: 2,
      message: "the server to drop a closed connection from its list",
    });
    inbox.close();
  }

  async #bound(holder: Holder): Promise<void> {
    const { session } = this.#holder(holder);
    await session.usePresence(this.#stream);
    await hasPresence(session);
    if (session.binding === null) throw new Error("the connection broke before its presence was created");
    this.#bindings.push(session.binding);
    this.#current.set(holder, session.binding);
  }

  async #connect(): Promise<Client> {
    const { servers } = this.#lane.target;
    const server = servers[this.#started % servers.length];
    if (server === undefined) throw new Error("a calibration target needs a server");
    this.#started += 1;
    const proxy = await startProxy({ target: { port: server.port } });
    const connection = await dial(proxy.url);
    const client: Client = { proxy, connection, session: openSession(connection), breaks: false };
    client.session.listen(({ type }) => {
      if (type === "disconnected" && !client.breaks) this.#starved = true;
    });
    return client;
  }

  async #mended(client: Client): Promise<void> {
    client.proxy.refuse(false);
    await waitFor(() => client.session.connected, { message: "the connection to reopen" });
    await client.connection.flush();
    client.breaks = false;
  }

  #holder(holder: Holder): Client {
    const client = this.#holders.get(holder);
    if (client === undefined) throw new Error(`bug: the script has no holder ${holder}`);
    return client;
  }

  #asker(asker: Asker): Client {
    const client = this.#askers.get(asker);
    if (client === undefined) throw new Error(`bug: the script has no asker ${asker}`);
    return client;
  }

  #binding(index: number): SessionBinding {
    const binding = this.#bindings[index];
    if (binding === undefined) throw new Error(`bug: the script has no binding ${index}`);
    return binding;
  }
}

async function broken({ proxy, session }: Client): Promise<void> {
  proxy.refuse(true);
  proxy.cut();
  await waitFor(() => !session.connected, {
    intervalMs: 1,
    message: "the client to notice the broken connection",
  });
}

async function end({ proxy, connection, session }: Client): Promise<void> {
  proxy.refuse(true);
  proxy.cut();
  await session.release();
  await connection.close();
  await proxy.close();
}
