/** The roles of `examples/permissions` on a real server. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { newStreamConfig } from "../../../src/nats/lease/stream-config.ts";
import { type NatsServer, startNatsServer } from "../../../src/testing.ts";
import { atEnd } from "../at-end.ts";

export const EXAMPLES: string = join(import.meta.dirname, "../../../examples/permissions");
export const CLUSTER = "billing";
export const STREAM = "KV_KV_CLUSTER_billing";
const HISTORY = {
  name: `LEADER_HISTORY_${CLUSTER}`,
  subjects: [`nats_leader.history.${CLUSTER}`],
  num_replicas: 1,
};

export const ROLES = {
  administrator: "_INBOX_administrator",
  creator: "_INBOX_creator",
  node: "_INBOX_node",
  node_a: "_INBOX_node_a",
  observer: "_INBOX_observer",
  observer_w: "_INBOX_observer_w",
  operator: "_INBOX_operator",
  application: "_INBOX_application",
} as const;
/** The inbox prefix of a client that sends requests to nodes by `connection.request()`. */
export const ASKING_NODES: string = `cluster_${CLUSTER}.reply.client`;
export type Role = keyof typeof ROLES;

const secret = (role: string): string => `secret-of-${role}`;

/** Further users of the account. */
const MORE_USERS = `
      { user: creator, password: $CREATOR_PASSWORD, permissions { include "creating-node.conf" } }
      { user: observer_w, password: $OBSERVER_W_PASSWORD, permissions { include "observing-node.conf" } }`;

/** The `accounts` block of the example and more users, its includes and variables resolved. */
export function accountsConfig(file: string = "nats-server.conf"): string {
  const text = readFileSync(join(EXAMPLES, file), "utf8");
  return text
    .slice(text.indexOf("accounts {"))
    .replace("users: [", () => `users: [${MORE_USERS}`)
    .replace(
      /include "([\w-]+\.conf)"/g,
      (_, file: string) => `\n${readFileSync(join(EXAMPLES, file), "utf8")}\n`,
    )
    .replace(/\$([A-Z_]+)_PASSWORD/g, (_, role: string) => JSON.stringify(secret(role.toLowerCase())));
}

/** A user without permissions, who sees what happens. Not one of the roles. */
const WITNESS = "witness";

/** A server with the users of the example and the bucket, which the administrator has created. */
export async function startSecured(version?: string, file?: string): Promise<NatsServer> {
  const witness = `{ user: ${WITNESS}, password: ${JSON.stringify(secret(WITNESS))} }`;
  const config = accountsConfig(file).replace(/users: \[/, `users: [\n${witness}`);
  const server = await startNatsServer({ config, ...(version === undefined ? {} : { version }) });
  const connection = await connect({ ...login(server, "administrator") });
  for (const stream of [newStreamConfig(CLUSTER, 1, 0), HISTORY]) {
    const answer = await connection.request(
      `$JS.API.STREAM.CREATE.${stream["name"]}`,
      JSON.stringify(stream),
    );
    if (answer.json<{ error?: object }>().error !== undefined) throw new Error(answer.string());
  }
  await connection.close();
  return server;
}

/** The options of a node with this role. */
export function login(
  server: Pick<NatsServer, "url">,
  role: Role,
): { servers: string; user: string; pass: string; inboxPrefix: string } {
  return { servers: server.url, user: role, pass: secret(role), inboxPrefix: ROLES[role] };
}

/** A connection that records what the server refuses it. */
export class RoleConnection {
  readonly connection: NatsConnection;
  readonly #refusals: string[] = [];
  /** Subjects that this user publishes to and hears. */
  #echoes: readonly string[] = [];

  constructor(connection: NatsConnection) {
    this.connection = connection;
    void (async () => {
      for await (const status of connection.status()) {
        if (status.type === "error") this.#refusals.push(status.error.message);
      }
    })();
  }

  /** Subscribes, until the connection is closed, to those of the subjects that the role may also publish to. */
  async hearItself(subjects: readonly string[]): Promise<void> {
    const echoes = await this.maySubscribe(await this.mayPublish(subjects));
    for (const subject of echoes) this.connection.subscribe(subject, { callback: () => {} });
    this.#echoes = echoes;
  }

  /**
   * Sends itself messages whose reply subjects are these. A server with `allow_responses` for this user lets it publish to them from
   * now on.
   */
  async echo(replies: readonly string[]): Promise<void> {
    for (const echo of this.#echoes)
      for (const reply of replies) this.connection.publish(echo, "", { reply });
    await this.connection.flush();
  }

  /** Those of these subjects that this role may publish to. Publishes empty messages. */
  async mayPublish(subjects: readonly string[], data = ""): Promise<string[]> {
    await this.echo(subjects);
    for (const subject of subjects) this.connection.publish(subject, data);
    return this.#allowed(subjects, "Publish");
  }

  async maySubscribe(subjects: readonly string[]): Promise<string[]> {
    const subscriptions = subjects.map((subject) =>
      this.connection.subscribe(subject, { callback: () => {} }),
    );
    const allowed = await this.#allowed(subjects, "Subscription");
    for (const subscription of subscriptions) subscription.unsubscribe();
    return allowed;
  }

  /** The server reports a refusal before it answers the ping of a flush. */
  async #allowed(subjects: readonly string[], what: string): Promise<string[]> {
    const before = this.#refusals.length;
    await this.connection.flush();
    await new Promise((resolve) => setImmediate(resolve));
    const refused = this.#refusals.slice(before);
    return subjects.filter((subject) => !refused.some((text) => text.includes(`${what} to "${subject}"`)));
  }
}

/** A connection of the user without permissions. The caller closes it. */
export function openWitness(server: NatsServer): Promise<NatsConnection> {
  return connect({ servers: server.url, user: WITNESS, pass: secret(WITNESS), inboxPrefix: ASKING_NODES });
}

/** The caller closes the connection. */
export async function openAs(
  server: Pick<NatsServer, "url">,
  role: Role,
  inboxPrefix: string = ROLES[role],
): Promise<RoleConnection> {
  return new RoleConnection(await connect({ ...login(server, role), inboxPrefix }));
}

/** As `openAs`, until the end of the test. */
export async function connectAs(
  server: Pick<NatsServer, "url">,
  role: Role,
  inboxPrefix?: string,
): Promise<RoleConnection> {
  const own = await openAs(server, role, inboxPrefix);
  atEnd(() => own.connection.close());
  return own;
}
