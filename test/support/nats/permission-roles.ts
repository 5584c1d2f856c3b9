/** The roles of `examples/permissions` on a real server. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { NodeOptions } from "../../../src/index.ts";
import { type NatsServer, startNatsServer } from "../../../src/testing.ts";
import { atEnd } from "../at-end.ts";

export const EXAMPLES: string = join(import.meta.dirname, "../../../examples/permissions");
export const CLUSTER = "billing";
export const STREAM = "KV_KV_CLUSTER_billing";

export const ROLES = {
  node: "_INBOX_node",
  node_a: "_INBOX_node_a",
  observer: "_INBOX_observer",
  operator: "_INBOX_operator",
  application: "_INBOX_application",
} as const;
export type Role = keyof typeof ROLES;

const secret = (role: string): string => `secret-of-${role}`;

/** The `accounts` block of the example, its includes and variables resolved. */
export function accountsConfig(): string {
  const text = readFileSync(join(EXAMPLES, "nats-server.conf"), "utf8");
  return text
    .slice(text.indexOf("accounts {"))
    .replace(
      /include "([\w-]+\.conf)"/g,
      (_, file: string) => `\n${readFileSync(join(EXAMPLES, file), "utf8")}\n`,
    )
    .replace(/\$([A-Z_]+)_PASSWORD/g, (_, role: string) => JSON.stringify(secret(role.toLowerCase())));
}

export function startSecured(version?: string): Promise<NatsServer> {
  return startNatsServer({ config: accountsConfig(), ...(version === undefined ? {} : { version }) });
}

/** The options of a node with this role. */
export function login(
  server: NatsServer,
  role: Role,
): Pick<NodeOptions, "servers" | "user" | "pass" | "inboxPrefix"> {
  return { servers: server.url, user: role, pass: secret(role), inboxPrefix: ROLES[role] };
}

/** A connection that records what the server refuses it. */
export class RoleConnection {
  readonly connection: NatsConnection;
  readonly #refusals: string[] = [];

  constructor(connection: NatsConnection) {
    this.connection = connection;
    void (async () => {
      for await (const status of connection.status()) {
        if (status.type === "error") this.#refusals.push(status.error.message);
      }
    })();
  }

  /** Those of these subjects that this role may publish to. Publishes empty messages. */
  async mayPublish(subjects: readonly string[], data = ""): Promise<string[]> {
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

export async function connectAs(server: NatsServer, role: Role): Promise<RoleConnection> {
  const connection = await connect({
    servers: server.url,
    user: role,
    pass: secret(role),
    inboxPrefix: ROLES[role],
  });
  atEnd(() => connection.close());
  return new RoleConnection(connection);
}
