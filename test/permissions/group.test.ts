/** The permissions of a group on a real server: each cell of the table in docs/security.md, and members that use nothing else. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { deferred, within } from "../../scripts/shared/wait.ts";
import { permissionsText } from "../../src/cli/commands/permissions.ts";
import { classify } from "../../src/nats/api/request.ts";
import { serveControl } from "../../src/nats/group/member-control.ts";
import {
  GROUP_PERMISSION_ROLES,
  type GroupPermissionRole,
  permissionsFor,
} from "../../src/nats/permissions.ts";
import { OLDEST_NATS_VERSION, PINNED_NATS_VERSION, startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { runHere } from "../support/cli/run-here.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { EXAMPLES, RoleConnection } from "../support/nats/permission-roles.ts";
import { useForAll } from "../support/use-server.ts";

const GROUP = "orders";
const STREAM = `KV_GROUP_${GROUP}`;
const KEYS = `$KV.GROUP_${GROUP}`;
const CONTROL = `group_${GROUP}.control`;
const CREATE = `$JS.API.CONSUMER.CREATE.${STREAM}`;

type Json = Record<string, unknown>;

const fileOf = (role: string): string => readFileSync(join(EXAMPLES, `group-${role}.conf`), "utf8");

const CONFIG = `accounts { A { jetstream: enabled, users: [
  { user: witness, password: p }
  ${GROUP_PERMISSION_ROLES.map((role) => `{ user: ${role}, password: p, permissions {\n${fileOf(role)}\n} }`).join("\n")}
] } }`;

test.each(GROUP_PERMISSION_ROLES)("group-%s.conf is what `nats-leader permissions` prints", (role) => {
  expect(fileOf(role)).toBe(`${permissionsText({ groupId: GROUP, role })}\n`);
  const { publish, subscribe, inboxPrefix } = permissionsFor({ groupId: GROUP, role });
  const listed = [...fileOf(role).matchAll(/^ {4}"([^"]+)"/gm)].map(([, subject]) => subject);
  expect(listed).toEqual([...publish, ...subscribe]);
  expect(inboxPrefix).toBe(`_INBOX_group_${role}`);
});

test.each([
  { groupId: "a.>" },
  { groupId: "a", partitions: { stream: "T.*", subject: "t.>" } },
  { groupId: "a", partitions: { stream: "T", subject: "t..x" } },
  { groupId: "a", role: "observer" as const, partitions: { stream: "T", subject: "t.>" } },
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

test("permissionsFor() of a member may include what partitionConsumer() needs: the table of docs/security.md", () => {
  const partitions = { stream: "TICKS", subject: "ticks.>" };
  const { publish } = permissionsFor({ groupId: GROUP, partitions });
  const securityText = readFileSync(join(EXAMPLES, "../../docs/security.md"), "utf8");
  const section = securityText.slice(securityText.indexOf("### Partitions of a stream"));
  const listed = [...section.matchAll(/^\| publish \| `([^`]+)`/gm)].map(([, subject]) => subject);
  expect(listed.length).toBe(5);
  expect(publish.slice(-5)).toEqual(listed);
});

test("nats-leader permissions --group prints the sets of permissionsFor()", async () => {
  const here = (...args: string[]) => runHere(["permissions", ...args]);
  for (const role of GROUP_PERMISSION_ROLES) {
    const printed = await here(role, "--group", GROUP, "--domain", "hub", "--inbox-prefix", "_X", "--json");
    const options = { groupId: GROUP, role, domain: "hub", inboxPrefix: "_X" };
    expect(JSON.parse(printed.stdout)).toEqual(permissionsFor(options));
    expect((await here(role, "--group", GROUP)).stdout).toBe(fileOf(role));
  }
  const creator = await here("member", "--group", GROUP, "--bucket-creator", "--json");
  expect(JSON.parse(creator.stdout)).toEqual(permissionsFor({ groupId: GROUP, createBucket: true }));
});

test.each([
  [["member"], "pass the cluster id, or the id of a group with --group"],
  [["member", "--cluster-id", "x"], 'a cluster has no role "member": it has node, observer'],
  [["node", "--group", "x"], 'a group has no role "node": it has member, observer'],
  [["operator", "--group", "x", "--cluster-id", "x"], "--cluster-id and --group exclude each other"],
  [
    ["member", "--group", "x", "--node-id", "a", "--history"],
    "--node-id, --history has no effect with --group",
  ],
  [["member", "--group", "x", "--watch-consumer"], "--watch-consumer has no effect with --group"],
  [["operator", "--group", "x", "--bucket-creator"], '--bucket-creator has no effect for role "operator"'],
  [["member", "--group", "a.b"], 'groupId is "a.b"'],
])("nats-leader permissions %j is a usage error", async (args, message) => {
  const { code, stderr } = await runHere(["permissions", ...args]);
  expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
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
  /** Serves the control subjects of member `a` on the connection of the witness, and counts the requests that it has carried out. */
  readonly served: { count: number };
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

/** Whether the role can read all keys by a pull consumer. */
async function readsAll({ role, own }: Actor): Promise<boolean> {
  const name = `all_${role}`;
  const config = { name, deliver_policy: "all", ack_policy: "none", filter_subject: `${KEYS}.>` };
  const made = await ask(own.connection, `${CREATE}.${name}.${KEYS}.>`, { stream_name: STREAM, config });
  const next = await own.mayPublish([`$JS.API.CONSUMER.MSG.NEXT.${STREAM}.${name}`]);
  return made !== null && made["error"] === undefined && next.length > 0;
}

/** Whether the role can create a consumer that delivers the records of the group to this subject. */
async function consume({ connection }: RoleConnection, name: string, deliver: string): Promise<boolean> {
  const config = {
    name,
    deliver_subject: deliver,
    deliver_policy: "all",
    ack_policy: "none",
    filter_subject: `${KEYS}.>`,
    idle_heartbeat: 1e8,
  };
  const tails = [`${name}.${KEYS}.>`, `${name}.${KEYS}.owner.r`, name];
  const answers = await Promise.all(
    tails.map((tail) => ask(connection, `${CREATE}.${tail}`, { stream_name: STREAM, config })),
  );
  return answers.some((answer) => answer !== null && answer["error"] === undefined);
}

/** Whether the role can have a server send a response to this subject. */
async function misdirect(own: RoleConnection, reply: string): Promise<boolean> {
  const subject = `$JS.API.STREAM.INFO.${STREAM}`;
  own.connection.publish(subject, "", { reply });
  return (await own.mayPublish([subject])).length > 0;
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
  "read who owns what": async (actor) => {
    const body = { last_by_subj: `${KEYS}.owner.r` };
    const answer = await ask(actor.own.connection, `$JS.API.STREAM.MSG.GET.${STREAM}`, body);
    return answer?.["message"] !== undefined || readsAll(actor);
  },
  "read all keys at once": readsAll,
  "hear of every change": async ({ role, own }) => {
    const heard = await own.maySubscribe([`nats_leader.group.${GROUP}.>`]);
    const inbox = `_INBOX_group_${role}.changes`;
    const subscription = own.connection.subscribe(inbox, { callback: () => {} });
    const delivered = await consume(own, `changes_${role}`, inbox);
    subscription.unsubscribe();
    return heard.length > 0 || delivered;
  },
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
  "change the presence consumer of another member": async ({ role, own, witness }) => {
    const name = `presence_beside_${role}`;
    const filter = `${KEYS}.presence.y`;
    const deliver_subject = `_INBOX.presence_beside_${role}`;
    const subscription = witness.subscribe(deliver_subject, { callback: () => {} });
    const create = (connection: NatsConnection, more: Json): Promise<Json | null> => {
      const config = { name, deliver_subject, ack_policy: "none", filter_subject: filter, ...more };
      return ask(connection, `${CREATE}.${name}.${filter}`, { stream_name: STREAM, config });
    };
    await create(witness, { inactive_threshold: 60e9 });
    await create(own.connection, { inactive_threshold: 3600e9 });
    const deleted = await ask(own.connection, `$JS.API.CONSUMER.DELETE.${STREAM}.${name}`);
    const after = await ask(witness, `$JS.API.CONSUMER.INFO.${STREAM}.${name}`);
    subscription.unsubscribe();
    const unchanged = JSON.stringify(after).includes('"inactive_threshold":60000000000');
    return deleted !== null || !unchanged;
  },
  "make a member drain, rejoin or move a resource": async ({ own, witness, served }) => {
    served.count = 0;
    for (const what of ["drain", "rejoin", "move"]) {
      const reply = `group_${GROUP}.reply.client.x`;
      own.connection.publish(`${CONTROL}.a.${what}`, '{"resource":"r","to":"b"}', { reply });
    }
    await own.connection.flush();
    await witness.flush();
    return served.count > 0;
  },
  "order it through a reply subject or a consumer": async ({ role, own, witness, served }) => {
    const drain = `${CONTROL}.a.drain`;
    served.count = 0;
    await arrives(witness, drain, () => misdirect(own, drain));
    await arrives(witness, drain, () => consume(own, `order_by_${role}`, drain));
    await ask(witness, `$JS.API.CONSUMER.DELETE.${STREAM}.order_by_${role}`); // the member has handled everything before
    return served.count > 0;
  },
  "answer an operator's request, also in the name of another member": async ({ own }) => {
    const heard = await own.maySubscribe([`${CONTROL}.a.*`]);
    const sent = await own.mayPublish([`group_${GROUP}.reply.client.x`]);
    return heard.length > 0 || sent.length > 0;
  },
  "list the streams of the account": async ({ own }) =>
    isAllowed([await ask(own.connection, "$JS.API.STREAM.NAMES")]),
  "have a server send its responses to any subject": ({ own, witness }) =>
    arrives(witness, "elsewhere.reply", () => misdirect(own, "elsewhere.reply")),
  "have a consumer send records of the group to any subject": ({ role, own, witness }) =>
    arrives(witness, "elsewhere.records", () => consume(own, `records_${role}`, "elsewhere.records")),
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
    if (role !== "operator") subjects.push(`group_${GROUP}.reply.>`, `group_${GROUP}.reply.client.>`);
    return (await own.maySubscribe(subjects)).length > 0;
  },
  "lead a cluster with the same id": async ({ own }) => {
    const subjects = [`$KV.KV_CLUSTER_${GROUP}.leader`, `$JS.API.STREAM.CREATE.KV_KV_CLUSTER_${GROUP}`];
    return (await own.mayPublish(subjects)).length > 0;
  },
  "use subjects that neither the role nor this table names": async ({ own }) => {
    const subjects = [
      "app.x",
      "$JS.API.STREAM.LIST",
      `${CONTROL}.a.other`,
      `${KEYS}.other`,
      `${KEYS}.owner.a.b`,
      "$SYS.REQ.USER.INFO",
    ];
    const allowed = [
      ...(await own.mayPublish(subjects)),
      ...(await own.maySubscribe(["app.>", ">", "$SYS.>", `group_${GROUP}.>`])),
    ];
    return allowed.length > 0;
  },
};

/** The rows of the table as the document has them. */
function documented(): Record<string, boolean[]> {
  const text = readFileSync(join(EXAMPLES, "../../docs/security.md"), "utf8");
  const [, section = ""] = text.split("\n## Groups\n");
  const rows = [...(section.split(/\n##+ /)[0]?.matchAll(/^\| (.*) \|$/gm) ?? [])].slice(1);
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
    const served = { count: 0 };
    const carryOut = (): void => {
      served.count += 1;
    };
    const onWarning = (message: string): never => expect.unreachable(message);
    const member = { groupId: GROUP, memberId: "a", onWarning };
    atEnd(serveControl(witness, member, { drain: carryOut, rejoin: carryOut, move: carryOut }));
    return Promise.all(
      // In the order of the columns.
      (["administrator", "member", "observer", "operator"] as const).map(async (role) => {
        const connection = await login(role, `_INBOX_group_${role}`);
        atEnd(() => connection.close());
        return { role, own: new RoleConnection(connection), witness, served };
      }),
    );
  }

  /** A bucket that the administrator has created, and members with no other permissions. */
  async function twoMembers(): Promise<{ members: RealGroup; warnings: string[] }> {
    const admin = await login("administrator", "_INBOX_group_administrator");
    atEnd(() => admin.close());
    await ask(admin, `$JS.API.STREAM.DELETE.${STREAM}`);
    const made = await ask(admin, `$JS.API.STREAM.CREATE.${STREAM}`, bucket(""));
    expect(made?.["error"]).toBeUndefined();
    const nats = { user: "member", pass: "p", inboxPrefix: "_INBOX_group_member" };
    const members = new RealGroup(server.url, { groupId: GROUP, resources: 4, ...nats });
    const warnings: string[] = [];
    for (const id of ["a", "b"]) {
      const events = members.make(id).events();
      void (async () => {
        for await (const event of events)
          if (event.type === "warning") warnings.push(`${event.code}: ${event.message}`);
      })();
    }
    await Promise.all([...members.members.values()].map((member) => members.begin(member)));
    await members.untilShares({ a: 2, b: 2 });
    return { members, warnings };
  }

  /** A command of `nats-leader` with the credentials of a role. */
  const as = (role: GroupPermissionRole, ...args: readonly string[]) =>
    runHere([...args, "--nats-url", server.url], {
      NATS_LEADER_USER: role,
      NATS_LEADER_PASSWORD: "p",
      NATS_LEADER_INBOX_PREFIX: `_INBOX_group_${role}`,
    });

  test("members with no other permissions share resources and replace one that has left", async () => {
    const { members, warnings } = await twoMembers();
    await members.members.get("a")?.stop();
    await members.untilShares({ a: 0, b: 4 });
    expect(warnings).toEqual([]);
  });

  test("an operator with no other permissions can use every command about groups", async () => {
    const { members, warnings } = await twoMembers();
    const ok = { code: 0, stderr: "" };
    expect(await as("operator", "group", GROUP)).toMatchObject({
      ...ok,
      stdout: expect.stringContaining("4 owned"),
    });
    expect(await as("operator", "groups")).toMatchObject({ ...ok, stdout: expect.stringContaining(GROUP) });
    expect(await as("operator", "group", "plan", GROUP, "--without", "b")).toMatchObject({
      ...ok,
      stdout: expect.stringContaining("2 taken over at once"),
    });
    expect(await as("operator", "group", "drain", GROUP, "b")).toMatchObject(ok);
    expect(members.shares).toEqual({ a: 4, b: 0 });
    expect(await as("operator", "group", "rejoin", GROUP, "b")).toMatchObject(ok);
    await members.untilShares({ a: 2, b: 2 });
    const receiver = members.members.get("b")?.owned.has("0") === true ? "a" : "b";
    expect(await as("operator", "group", "move", GROUP, "0", receiver)).toMatchObject(ok);
    expect(members.members.get(receiver)?.owned.has("0")).toBe(true);
    expect(warnings).toEqual([]);
  });

  test("to the other roles, a command that they may not use names what it takes", async () => {
    await twoMembers();
    const hint = (groupId: string): string =>
      `("nats-leader permissions operator --group ${groupId}" prints all that this takes)`;
    const consumer = `allow this user to publish to "${CREATE}.*.${KEYS}.>"`;
    const names = 'allow this user to publish to "$JS.API.STREAM.NAMES"';
    const denied: [GroupPermissionRole, string[], string][] = [
      ["observer", ["group", GROUP], `${consumer} ${hint(GROUP)}`],
      ["observer", ["group", "plan", GROUP], `${consumer} ${hint(GROUP)}`],
      ["observer", ["group", "drain", GROUP, "a"], `${consumer} ${hint(GROUP)}`],
      ["observer", ["groups"], `${names} ${hint("ID")}`],
      ["administrator", ["group", GROUP], `${consumer} ${hint(GROUP)}`],
      ["member", ["groups"], `${names} ${hint("ID")}`],
      ["member", ["group", "drain", GROUP, "a"], hint(GROUP)],
      ["operator", ["group", "other"], 'permissions operator --group other"'],
    ];
    for (const [role, args, message] of denied) {
      const { code, stdout, stderr } = await as(role, ...args);
      expect([role, args, code, stdout, stderr]).toEqual([
        role,
        args,
        4,
        "",
        expect.stringContaining(message),
      ]);
    }
    const { stdout, stderr } = await as("observer", "group", GROUP, "--json");
    expect(stdout + stderr).toContain('"AUTHORIZATION"');
    expect((await as("member", "group", GROUP)).code).toBe(0);
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
