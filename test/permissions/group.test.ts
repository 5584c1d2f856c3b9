/** The permissions of a group on a real server: each cell of the table in docs/security.md, and members that use nothing else. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { deferred, within } from "../../scripts/shared/wait.ts";
import { classify } from "../../src/nats/api/request.ts";
import {
  GROUP_PERMISSION_ROLES,
  type GroupPermissionRole,
  permissionsFor,
} from "../../src/nats/permissions.ts";
import { OLDEST_NATS_VERSION, PINNED_NATS_VERSION, startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { startMember } from "../support/nats/group-member.ts";
import { EXAMPLES, RoleConnection } from "../support/nats/permission-roles.ts";
import { useForAll } from "../support/use-server.ts";

const GROUP = "orders";
const STREAM = `KV_GROUP_${GROUP}`;
const KEYS = `$KV.GROUP_${GROUP}`;
const CREATE = `$JS.API.CONSUMER.CREATE.${STREAM}`;

type Json = Record<string, unknown>;

const fileOf = (role: string): string => readFileSync(join(EXAMPLES, `group-${role}.conf`), "utf8");

const CONFIG = `accounts { A { jetstream: enabled, users: [
  { user: witness, password: p }
  ${GROUP_PERMISSION_ROLES.map((role) => `{ user: ${role}, password: p, permissions {\n${fileOf(role)}\n} }`).join("\n")}
] } }`;

test.each(GROUP_PERMISSION_ROLES)("group-%s.conf has the subjects of permissionsFor()", (role) => {
  const { publish, subscribe, inboxPrefix } = permissionsFor({ groupId: GROUP, role });
  const listed = [...fileOf(role).matchAll(/^ {4}"([^"]+)"/gm)].map(([, subject]) => subject);
  expect(listed).toEqual([...publish, ...subscribe]);
  expect(inboxPrefix).toBe(`_INBOX_group_${role}`);
});

test.each([
  { groupId: "a.>" },
  { groupId: "a", role: "root" as "member" },
  { groupId: "a", inboxPrefix: "x.>" },
])("permissionsFor() refuses %j", (options) => {
  expect(() => permissionsFor(options)).toThrow(expect.objectContaining({ code: "INVALID_CONFIG" }));
});

test("permissionsFor() of a member may include the creation of the bucket, and names the domain of another site", () => {
  const { publish } = permissionsFor({ groupId: GROUP, createBucket: true, domain: "hub" });
  expect(publish).toContain(`$JS.hub.API.STREAM.CREATE.${STREAM}`);
  expect(publish).toContain(`$JS.hub.API.$KV.GROUP_${GROUP}.owner.*`);
});

/** The answer to a request; `null`: the server denies it to this user. */
async function ask(connection: NatsConnection, subject: string, body: unknown = ""): Promise<Json | null> {
  const data = typeof body === "string" ? body : JSON.stringify(body);
  try {
    return (await connection.request(subject, data, { timeout: 5000 })).json<Json>();
  } catch (thrown) {
    const { kind } = classify(subject, 5000, thrown);
    if (kind === "denied") return null;
    if (kind === "no-responders") return {};
    throw thrown;
  }
}

interface Actor {
  readonly role: GroupPermissionRole;
  readonly own: RoleConnection;
  readonly witness: NatsConnection;
}

const isAllowed = (answers: readonly (Json | null)[]): boolean => answers.some((answer) => answer !== null);

function bucket(description: string): Json {
  return {
    name: STREAM,
    subjects: [`${KEYS}.>`],
    max_msgs_per_subject: 1,
    discard: "new",
    deny_delete: true,
    deny_purge: true,
    republish: { src: `${KEYS}.>`, dest: `nats_leader.group.${GROUP}.>` },
    description,
  };
}

/** Resolves with whether a message arrives on the subject, seen by the witness, after what `act` does; `false` if that is denied. */
async function arrives(
  witness: NatsConnection,
  subject: string,
  act: () => Promise<boolean>,
): Promise<boolean> {
  const arrived = deferred();
  const subscription = witness.subscribe(subject, { callback: () => arrived.resolve() });
  await witness.flush();
  const isSent = await act();
  if (isSent) await within(arrived.promise);
  subscription.unsubscribe();
  return isSent;
}

/** The label of a row, and how a program tries what it says. */
const ATTEMPTS: Record<string, (actor: Actor) => Promise<boolean>> = {
  "create the bucket, and give it any configuration": async ({ role, own, witness }) => {
    const description = `changed by ${role}`;
    await ask(own.connection, `$JS.API.STREAM.CREATE.${STREAM}`, bucket(description));
    await ask(own.connection, `$JS.API.STREAM.UPDATE.${STREAM}`, bucket(description));
    const { config } = (await ask(witness, `$JS.API.STREAM.INFO.${STREAM}`)) as { config: Json };
    return config["description"] === description;
  },
  // The server rejects a body that is not empty before any effect.
  "delete the bucket": async ({ own }) =>
    isAllowed([await ask(own.connection, `$JS.API.STREAM.DELETE.${STREAM}`, "not empty")]),
  "delete or purge messages of the bucket": async ({ own }) =>
    isAllowed([
      await ask(own.connection, `$JS.API.STREAM.PURGE.${STREAM}`, "not JSON"),
      await ask(own.connection, `$JS.API.STREAM.MSG.DELETE.${STREAM}`, "not JSON"),
    ]),
  "claim a resource, end a session, write the plan": async ({ own }) => {
    const keys = ["owner.x", "session.x", "coordinator", "plan"].map((key) => `${KEYS}.${key}`);
    const allowed = await own.mayPublish(keys, "garbage");
    return allowed.length === keys.length;
  },
  "read who owns what": async ({ own }) => {
    const subject = `$JS.API.STREAM.MSG.GET.${STREAM}`;
    return (
      (await ask(own.connection, subject, { last_by_subj: `${KEYS}.owner.r` }))?.["message"] !== undefined
    );
  },
  "read all keys at once": async ({ role, own }) => {
    const name = `all_${role}`;
    const config = { name, deliver_policy: "all", ack_policy: "none", filter_subject: `${KEYS}.>` };
    const made = await ask(own.connection, `${CREATE}.${name}.${KEYS}.>`, { stream_name: STREAM, config });
    const next = await own.mayPublish([`$JS.API.CONSUMER.MSG.NEXT.${STREAM}.${name}`]);
    return made !== null && made["error"] === undefined && next.length > 0;
  },
  "hear of every change": async ({ own }) =>
    (await own.maySubscribe([`nats_leader.group.${GROUP}.>`])).length > 0,
  "detect a crashed member within milliseconds": async ({ role, own }) => {
    const inbox = `_INBOX_group_${role}.deliver`;
    const filter = `${KEYS}.presence.x`;
    const subscription = own.connection.subscribe(inbox, { callback: () => {} });
    const config = { name: `p_${role}`, deliver_subject: inbox, ack_policy: "none", filter_subject: filter };
    const made = await ask(own.connection, `${CREATE}.p_${role}.${filter}`, { stream_name: STREAM, config });
    const asked = await ask(own.connection, "$SYS.REQ.ACCOUNT.PING.CONNZ", { cid: 1 });
    const heard = await own.maySubscribe([`$JS.EVENT.ADVISORY.CONSUMER.DELETED.${STREAM}.x`]);
    subscription.unsubscribe();
    return made !== null && made["error"] === undefined && asked !== null && heard.length > 0;
  },
  "have a server send its responses to any subject": ({ own, witness }) =>
    arrives(witness, "elsewhere.reply", async () => {
      const subject = `$JS.API.STREAM.INFO.${STREAM}`;
      own.connection.publish(subject, "", { reply: "elsewhere.reply" });
      return (await own.mayPublish([subject])).length > 0;
    }),
  "have a consumer send records of the group to any subject": ({ role, own, witness }) =>
    arrives(witness, "elsewhere.records", async () => {
      const name = `records_${role}`;
      const config = {
        name,
        deliver_subject: "elsewhere.records",
        deliver_policy: "all",
        ack_policy: "none",
        filter_subject: `${KEYS}.>`,
      };
      const tails = [`${name}.${KEYS}.>`, `${name}.${KEYS}.owner.r`, name];
      const answers = await Promise.all(
        tails.map((tail) => ask(own.connection, `${CREATE}.${tail}`, { stream_name: STREAM, config })),
      );
      return answers.some((answer) => answer !== null && answer["error"] === undefined);
    }),
  "send beats in the name of another member": async ({ own }) =>
    (await own.mayPublish(["nats_leader.beat.NSERVER.7"])).length > 0,
  "publish hints or advisories": async ({ own }) => {
    const subjects = [
      `nats_leader.group.${GROUP}.owner.r`,
      `$JS.EVENT.ADVISORY.STREAM.DELETED.${STREAM}`,
      `$JS.EVENT.ADVISORY.CONSUMER.DELETED.${STREAM}.x`,
    ];
    return (await own.mayPublish(subjects)).length > 0;
  },
  "read responses to another user": async ({ role, own }) => {
    const others = GROUP_PERMISSION_ROLES.filter((other) => other !== role);
    const subjects = ["_INBOX.>", ...others.map((other) => `_INBOX_group_${other}.>`)];
    return (await own.maySubscribe(subjects)).length > 0;
  },
  "lead a cluster with the same id": async ({ own }) => {
    const subjects = [`$KV.KV_CLUSTER_${GROUP}.leader`, `$JS.API.STREAM.CREATE.KV_KV_CLUSTER_${GROUP}`];
    return (await own.mayPublish(subjects)).length > 0;
  },
  "use subjects that neither the role nor this table names": async ({ own }) => {
    const subjects = [
      "app.x",
      "$JS.API.STREAM.NAMES",
      `${KEYS}.other`,
      `${KEYS}.owner.a.b`,
      "$SYS.REQ.USER.INFO",
    ];
    const allowed = [
      ...(await own.mayPublish(subjects)),
      ...(await own.maySubscribe(["app.>", ">", "$SYS.>"])),
    ];
    return allowed.length > 0;
  },
};

/** The rows of the table as the document has them. */
function documented(): Record<string, boolean[]> {
  const text = readFileSync(join(EXAMPLES, "../../docs/security.md"), "utf8");
  const [, section = ""] = text.split("\n## Groups\n");
  const rows = [...(section.split("\n## ")[0]?.matchAll(/^\| (.*) \|$/gm) ?? [])].slice(1);
  return Object.fromEntries(
    rows.map(([, row = ""]) => {
      const [label = "", ...cells] = row.split("|").map((cell) => cell.trim());
      return [label, cells.map((cell) => cell === "yes")];
    }),
  );
}

describe.each([PINNED_NATS_VERSION, OLDEST_NATS_VERSION])("on nats-server %s", (version) => {
  const server = useForAll(() => startNatsServer({ config: CONFIG, version }));
  const login = (user: string, inboxPrefix = "_INBOX") =>
    connect({ servers: server.url, user, pass: "p", inboxPrefix });

  async function actors(): Promise<Actor[]> {
    const witness = await login("witness");
    atEnd(() => witness.close());
    await ask(witness, `$JS.API.STREAM.CREATE.${STREAM}`, bucket("by the witness"));
    return Promise.all(
      // In the order of the columns.
      (["administrator", "member", "observer"] as const).map(async (role) => {
        const connection = await login(role, `_INBOX_group_${role}`);
        atEnd(() => connection.close());
        return { role, own: new RoleConnection(connection), witness };
      }),
    );
  }

  test("members with no other permissions share resources and replace one that has left", async () => {
    const admin = await login("administrator", "_INBOX_group_administrator");
    atEnd(() => admin.close());
    await ask(admin, `$JS.API.STREAM.DELETE.${STREAM}`);
    const made = await ask(admin, `$JS.API.STREAM.CREATE.${STREAM}`, bucket(""));
    expect(made?.["error"]).toBeUndefined();
    const resources = ["r", "s", "t", "u"];
    const options = { groupId: GROUP, resources, config: { silenceMs: 2_000 } };
    const nats = { user: "member", pass: "p", inboxPrefix: "_INBOX_group_member" };
    const [a, b] = await Promise.all(
      ["a", "b"].map((memberId) => startMember([server.url], { ...options, memberId, nats })),
    );
    atEnd(() => Promise.all([a?.stop(), b?.stop()]));
    await expect.poll(() => [a?.held(), b?.held()]).toEqual([2, 2]);
    await a?.stop();
    await expect.poll(() => b?.held()).toBe(4);
    expect([...(a?.warnings ?? ["none"]), ...(b?.warnings ?? ["none"])]).toEqual([]);
  });

  test("each role can do what docs/security.md says, and nothing else of its table", async () => {
    const all = await actors();
    const found: Record<string, boolean[]> = {};
    for (const [label, attempt] of Object.entries(ATTEMPTS)) {
      const cells: boolean[] = [];
      for (const actor of all) {
        await ask(actor.witness, `${KEYS}.owner.r`, "something to read");
        cells.push(await attempt(actor));
      }
      found[label] = cells;
    }
    expect(found).toEqual(documented());
  });
});
