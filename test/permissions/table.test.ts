/**
 * The table of docs/security.md, on a real server. For every row a program with the credentials of each role tries it, by any means
 * that the role has, and the cells are compared with what happened.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { deferred, waitFor, within } from "../../scripts/shared/wait.ts";
import { classify } from "../../src/nats/api/request.ts";
import {
  beatSubject,
  bucketName,
  CONNECTIONS_PING,
  candidateSubject,
  consumerDeletedAdvisory,
  historyStream,
  historySubject,
  leaseSubject,
  pingSubject,
  republishSubject,
  statusSubject,
  stepdownSubject,
  streamDeletedAdvisory,
} from "../../src/nats/names.ts";
import { Node } from "../../src/node/node.ts";
import { OLDEST_NATS_VERSION, PINNED_NATS_VERSION } from "../../src/testing.ts";
import {
  CLUSTER,
  EXAMPLES,
  login,
  openAs,
  openWitness,
  ROLES,
  type Role,
  type RoleConnection,
  STREAM,
  startSecured,
} from "../support/nats/permission-roles.ts";
import { LONG } from "../support/patience.ts";
import { useForAll } from "../support/use-server.ts";

type Json = Record<string, unknown>;
type Cell = "yes" | "any" | "own" | "";

/** In the order of the columns. */
const COLUMNS: readonly Role[] = [
  "administrator",
  "creator",
  "node",
  "node_a",
  "observer",
  "observer_w",
  "operator",
  "application",
];
/** The node for which the user of a role was made, where it was made for one. */
const OWN_NODE: Partial<Record<Role, string>> = { node_a: "a", observer_w: "w" };
const LEADER = "leader";
const LEASE = leaseSubject(CLUSTER);
const STEPDOWN = stepdownSubject(CLUSTER, LEADER);
const presenceOf = (id: string): string => `$KV.${bucketName(CLUSTER)}.presence.${id}`;

interface Scene extends AsyncDisposable {
  readonly leader: Node;
  /** How often the leader has lost its leadership. */
  readonly losses: number;
  /** Unrestricted; sees what happens, and undoes it. */
  readonly witness: NatsConnection;
  readonly actors: readonly Actor[];
}

/** A program with the credentials of a role. */
interface Actor {
  readonly role: Role;
  readonly own: RoleConnection;
}

/** The answer to a request; `null`: the server denies it to this user. No responder is an answer, too: the request was sent. */
async function ask(
  connection: NatsConnection,
  subject: string,
  body: unknown = "",
  hdrs?: Json,
): Promise<Json | null> {
  const data = typeof body === "string" ? body : JSON.stringify(body);
  const sent = headers();
  for (const [name, value] of Object.entries(hdrs ?? {})) sent.set(name, String(value));
  try {
    const limits = { timeout: 5000, ...(hdrs === undefined ? {} : { headers: sent }) };
    return (await connection.request(subject, data, limits)).json<Json>();
  } catch (thrown) {
    const { kind } = classify(subject, 5000, thrown);
    if (kind === "denied") return null;
    if (kind === "no-responders") return {};
    throw thrown;
  }
}

const asker =
  ({ own }: Actor) =>
  async (subject: string, body?: unknown, hdrs?: Json) => {
    await own.echo([subject]);
    return ask(own.connection, subject, body, hdrs);
  };

/** True if one of the requests is not denied. */
async function reaches(actor: Actor, subjects: readonly string[], body: unknown): Promise<Cell> {
  const answers = await Promise.all(subjects.map((subject) => asker(actor)(subject, body)));
  return answers.some((answer) => answer !== null) ? "yes" : "";
}

async function answersAs(
  { role, own }: Actor,
  subject: (nodeId: string) => readonly string[],
): Promise<Cell> {
  if ((await own.maySubscribe(subject(LEADER))).length > 0) return "any";
  return (await own.maySubscribe(subject(OWN_NODE[role] ?? "x"))).length > 0 ? "own" : "";
}

const some = (allowed: readonly string[]): Cell => (allowed.length > 0 ? "yes" : "");

/** Creates a consumer whose deliver subject is `deliver`. `null`: denied. */
function consume(actor: Actor, name: string, filter: string, deliver: string): Promise<Json | null> {
  return asker(actor)(`$JS.API.CONSUMER.CREATE.${STREAM}.${name}.${filter}`, {
    stream_name: STREAM,
    config: {
      name,
      deliver_subject: deliver,
      deliver_policy: "last_per_subject",
      ack_policy: "none",
      filter_subject: filter,
      inactive_threshold: 60e9,
      idle_heartbeat: 1e8,
    },
  });
}

/** Calls `act` and resolves to what it resolves to; if that is not `null`, after a message has arrived on the subject. */
async function arrivesAt<T>(
  { witness }: Scene,
  subject: string,
  act: () => Promise<T | null>,
): Promise<T | null> {
  const arrived = deferred();
  const subscription = witness.subscribe(subject, { callback: () => arrived.resolve() });
  await witness.flush();
  const done = await act();
  if (done !== null) await within(arrived.promise);
  subscription.unsubscribe();
  return done;
}

/** Sends requests of all kinds with this reply subject. `null`: the role may not send the first of them, so that none is answered. */
async function misdirect({ own }: Actor, reply: string): Promise<readonly string[] | null> {
  const first = `$JS.API.STREAM.INFO.${STREAM}`;
  const others = [`$JS.API.STREAM.MSG.GET.${STREAM}`, CONNECTIONS_PING, statusSubject(CLUSTER, LEADER)];
  for (const subject of [first, ...others]) {
    own.connection.publish(subject, `{"last_by_subj":"${LEASE}"}`, { reply });
  }
  const refused = headers();
  refused.set("Nats-Expected-Last-Subject-Sequence", "999999");
  own.connection.publish(LEASE, "", { reply, headers: refused });
  const allowed = await own.mayPublish([first]);
  return allowed.length > 0 ? allowed : null;
}

/** Sends requests to the leader's node with this reply subject. True if one of its responses arrives there. */
async function isMisdirectedByNode({ own }: Actor, { witness }: Scene, reply: string): Promise<boolean> {
  let arrived = false;
  const subscription = witness.subscribe(reply, {
    callback: (_error, { data }) => {
      arrived ||= /"(PRIMARY|timestamp|io\.nats\.micro)/.test(new TextDecoder().decode(data));
    },
  });
  await witness.flush();
  const service = `cluster_${CLUSTER}`;
  const subjects = [
    statusSubject(CLUSTER, LEADER),
    pingSubject(CLUSTER, LEADER),
    candidateSubject(CLUSTER, LEADER),
  ];
  for (const subject of [...subjects, "$SRV.PING", `$SRV.INFO.${service}`, `$SRV.STATS.${service}`]) {
    own.connection.publish(subject, "", { reply });
  }
  await own.connection.flush();
  await ask(witness, statusSubject(CLUSTER, LEADER)); // the leader has handled everything before this request
  await witness.flush();
  subscription.unsubscribe();
  return arrived;
}

/** Subjects that a user might both publish to and hear. */
const echoesOf = (role: Role): string[] => {
  const id = OWN_NODE[role] ?? "zz";
  const endpoints = [statusSubject(CLUSTER, id), pingSubject(CLUSTER, id), candidateSubject(CLUSTER, id)];
  const replies = ["client", `node.${id}`].map((asker) => `cluster_${CLUSTER}.reply.${asker}.echo`);
  return ["app.echo", "nats_leader.beat.echo", ...endpoints, ...replies, `${ROLES[role]}.echo`];
};

/** The deliver subject of the leader's presence is among the subscriptions that CONNZ lists. */
async function disturbPresence(actor: Actor, { witness }: Scene): Promise<Cell> {
  const tried = await asker(actor)(`$JS.API.CONSUMER.DELETE.${STREAM}.nothing`);
  if (tried !== null) return "yes";
  const record = await asker(actor)(`$JS.API.STREAM.MSG.GET.${STREAM}`, { last_by_subj: LEASE });
  const connections = await asker(actor)(CONNECTIONS_PING, { subscriptions: true });
  if (record === null || connections === null) return "";
  const { data } = record["message"] as { data: string };
  const { session } = JSON.parse(Buffer.from(data, "base64").toString()) as { session: { presence: string } };
  const name = session.presence.slice(STREAM.length + 1);
  const before = await ask(witness, `$JS.API.CONSUMER.INFO.${STREAM}.${name}`);
  const config = before?.["config"] as Json;
  const create = (from: (subject: string, body: unknown) => Promise<Json | null>, changed: Json) =>
    from(`$JS.API.CONSUMER.CREATE.${STREAM}.${name}.${changed["filter_subject"]}`, {
      stream_name: STREAM,
      config: changed,
    });
  const listed = JSON.stringify(connections).match(/_INBOX_node\.[A-Za-z0-9]+(?=")/g) ?? [];
  for (const deliver_subject of new Set(listed)) {
    await create(asker(actor), { ...config, deliver_subject, inactive_threshold: 3600e9 });
  }
  const after = await ask(witness, `$JS.API.CONSUMER.INFO.${STREAM}.${name}`);
  await create((subject, body) => ask(witness, subject, body), config);
  return JSON.stringify(after?.["config"]).includes('"inactive_threshold":3600000000000') ? "yes" : "";
}

/** The label of a row, and how a program tries what it says. */
const ATTEMPTS: Record<string, (actor: Actor, scene: Scene) => Promise<Cell>> = {
  "create the bucket, and give it any configuration": async (actor, { witness }) => {
    const { config } = (await ask(witness, `$JS.API.STREAM.INFO.${STREAM}`)) as { config: Json };
    const description = `changed by ${actor.role}`;
    const created = await asker(actor)(`$JS.API.STREAM.CREATE.${STREAM}`, { ...config, description });
    const updated = await asker(actor)(`$JS.API.STREAM.UPDATE.${STREAM}`, { ...config, description });
    expect(created === null).toBe(updated === null);
    const now = (await ask(witness, `$JS.API.STREAM.INFO.${STREAM}`)) as { config: Json };
    await ask(witness, `$JS.API.STREAM.UPDATE.${STREAM}`, config);
    return now.config["description"] === description ? "yes" : "";
  },
  // The server rejects a body that is not empty or not JSON before any effect.
  "delete the bucket": (actor) => reaches(actor, [`$JS.API.STREAM.DELETE.${STREAM}`], "not empty"),
  "delete or purge messages of the bucket": (actor) =>
    reaches(actor, [`$JS.API.STREAM.PURGE.${STREAM}`, `$JS.API.STREAM.MSG.DELETE.${STREAM}`], "not JSON"),
  "write or release the lease": (actor) =>
    asker(actor)(LEASE, {}, { "Nats-Expected-Last-Subject-Sequence": 999_999 }).then((answer) =>
      answer === null ? "" : "yes",
    ),
  "read who leads": async (actor) => {
    const answer = await asker(actor)(`$JS.API.STREAM.MSG.GET.${STREAM}`, { last_by_subj: LEASE });
    return answer?.["message"] === undefined ? "" : "yes";
  },
  "read past terms": (actor) =>
    reaches(actor, [`$JS.API.STREAM.MSG.GET.${historyStream(CLUSTER)}`], {
      last_by_subj: historySubject(CLUSTER),
    }),
  "record past terms, also false ones": async (actor) => {
    const answer = await asker(actor)(historySubject(CLUSTER), {
      kind: "begin",
      node_id: "ghost",
      epoch: 7,
      at: 1,
    });
    return answer?.["seq"] === undefined ? "" : "yes";
  },
  "detect a crashed leader within milliseconds": async (actor) => {
    const { connection } = actor.own;
    const inbox = `${ROLES[actor.role]}.deliver`;
    const subscription = connection.subscribe(inbox, { callback: () => {} });
    const created = await consume(actor, `presence_of_${actor.role}`, presenceOf("x"), inbox);
    const asked = await asker(actor)(CONNECTIONS_PING, { cid: 1 });
    const heard = await actor.own.maySubscribe([consumerDeletedAdvisory(`${STREAM}.x`)]);
    subscription.unsubscribe();
    return created !== null && created["error"] === undefined && asked !== null ? some(heard) : "";
  },
  "answer status and discovery requests": (actor) =>
    answersAs(actor, (id) => [statusSubject(CLUSTER, id), pingSubject(CLUSTER, id)]),
  "answer as a candidate, or an operator's request": (actor) =>
    answersAs(actor, (id) => [candidateSubject(CLUSTER, id), stepdownSubject(CLUSTER, id)]),
  "order a step-down, handover, promotion or demotion": async ({ own }) =>
    some(await own.mayPublish([STEPDOWN, `cluster_${CLUSTER}.control.${LEADER}.compete`])),
  "order one through a reply subject or a consumer": async (actor, scene) => {
    await arrivesAt(scene, STEPDOWN, () => misdirect(actor, STEPDOWN));
    const name = `order_by_${actor.role}`;
    for (const filter of [presenceOf("x"), LEASE]) {
      await arrivesAt(scene, STEPDOWN, () => consume(actor, name, filter, STEPDOWN));
      await ask(scene.witness, `$JS.API.CONSUMER.DELETE.${STREAM}.${name}`);
    }
    await ask(scene.witness, statusSubject(CLUSTER, LEADER)); // the leader has handled everything before this request
    return scene.losses === 0 ? "" : "yes";
  },
  "send requests to other nodes": async ({ own }) =>
    some(await own.mayPublish([statusSubject(CLUSTER, "other"), pingSubject(CLUSTER, "other")])),
  "have a server send its responses to any subject": async (actor, scene) =>
    some((await arrivesAt(scene, "elsewhere.reply", () => misdirect(actor, "elsewhere.reply"))) ?? []),
  "have garbage stored in any stream of the account, also as the lease": async (actor, { witness }) => {
    const subject = `$KV.${bucketName(CLUSTER)}.stored_${actor.role}`; // the lease is a key like this one
    if ((await misdirect(actor, subject)) === null) return "";
    const body = { last_by_subj: subject };
    await waitFor(async () => {
      const answer = await ask(witness, `$JS.API.STREAM.MSG.GET.${STREAM}`, body);
      return answer?.["message"] !== undefined;
    });
    return "yes";
  },
  "have a node send its responses to another subject that it may publish to": async (actor, scene) => {
    const elsewhere = [LEASE, historySubject(CLUSTER), statusSubject(CLUSTER, "x")];
    for (const reply of elsewhere) if (await isMisdirectedByNode(actor, scene, reply)) return "yes";
    return "";
  },
  "send responses to nodes and operators, also false ones": async ({ own }) => {
    const askers = [`node.${LEADER}.x`, "client.x"];
    return some(await own.mayPublish(askers.map((asker) => `cluster_${CLUSTER}.reply.${asker}`)));
  },
  "have a consumer send idle heartbeats to any subject": async (actor, scene) => {
    const name = `beats_by_${actor.role}`;
    const subject = `elsewhere.${actor.role}`;
    const created = await arrivesAt(scene, subject, () => consume(actor, name, presenceOf("x"), subject));
    await ask(scene.witness, `$JS.API.CONSUMER.DELETE.${STREAM}.${name}`);
    return created === null ? "" : "yes";
  },
  "have a consumer send records of the lease to any subject": async (actor) => {
    const name = `records_by_${actor.role}`;
    const bodies = [`${name}.${LEASE}`, name, `${name}.${presenceOf("x")}`];
    const durable = await asker(actor)(`$JS.API.CONSUMER.DURABLE.CREATE.${STREAM}.${name}`, "not JSON");
    const answers = await Promise.all(
      bodies.map((tail) =>
        asker(actor)(`$JS.API.CONSUMER.CREATE.${STREAM}.${tail}`, {
          stream_name: STREAM,
          config: { name, deliver_subject: "elsewhere.records", ack_policy: "none", filter_subject: LEASE },
        }),
      ),
    );
    const isCreated = answers.some((answer) => answer !== null && answer["error"] === undefined);
    return isCreated || durable !== null ? "yes" : "";
  },
  "see the account's connections and their subscriptions": async (actor) => {
    const answer = await asker(actor)(CONNECTIONS_PING, { subscriptions: true });
    return answer !== null && JSON.stringify(answer).includes("subscriptions_list") ? "yes" : "";
  },
  "delay the crash detection of another node": disturbPresence,
  "send beats in the name of another node": async ({ own }) => {
    const subject = beatSubject({ serverId: "NSERVER", clientId: 7 });
    return some(await own.mayPublish([subject], "0123456789abcdef"));
  },
  "publish hints or advisories": async ({ own }) =>
    some(
      await own.mayPublish([
        republishSubject(CLUSTER),
        streamDeletedAdvisory(STREAM),
        consumerDeletedAdvisory(`${STREAM}.x`),
      ]),
    ),
  "hear requests to the servers, or to other services": async ({ own }) =>
    some(
      await own.maySubscribe([
        ...["$JS.>", "$JS.API.>", "$SYS.>", "$KV.>", "$SRV.>", ">", CONNECTIONS_PING, LEASE],
        ...[`$JS.API.STREAM.MSG.GET.${STREAM}`, "$SRV.PING.other", `cluster_${CLUSTER}.>`],
      ]),
    ),
  "read responses to another user": async ({ role, own }) => {
    const others = COLUMNS.filter((other) => other !== role).map((other) => `${ROLES[other]}.>`);
    return some(await own.maySubscribe([...others, "_INBOX.>", "*.>"]));
  },
  "use other subjects of the account": async ({ own }) => some(await own.mayPublish(["app.orders"])),
  "use subjects that neither the role nor this table names": async ({ own }) =>
    some(await own.mayPublish(["elsewhere.orders"])),
};

/** The rows of the table: label and cells. */
function documentedTable(): [label: string, cells: string[]][] {
  const text = readFileSync(join(EXAMPLES, "../../docs/security.md"), "utf8");
  const section = text.slice(text.indexOf("## What each role can do"), text.indexOf("## Groups"));
  return section
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| |"))
    .map((line) => {
      const [, label = "", ...cells] = line.split("|").map((cell) => cell.trim());
      return [label, cells.slice(0, COLUMNS.length)];
    });
}

const TABLE = documentedTable();

test("every row of the table has an attempt, and every attempt a row", () => {
  expect(TABLE.map(([label]) => label)).toEqual(Object.keys(ATTEMPTS));
});

async function setScene(version: string): Promise<Scene> {
  const server = await startSecured(version);
  let losses = 0;
  const leader = new Node(
    { ...login(server, "node"), clusterId: CLUSTER, nodeId: LEADER, logger: false, ...LONG },
    { onLoseLeadership: () => void losses++ },
  );
  await leader.start();
  await leader.campaign({ timeoutMs: 10_000 });
  const witness = await openWitness(server);
  const actors = await Promise.all(COLUMNS.map(async (role) => ({ role, own: await openAs(server, role) })));
  for (const { role, own } of actors) await own.hearItself(echoesOf(role));
  return {
    leader,
    witness,
    actors,
    get losses() {
      return losses;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([witness, ...actors.map(({ own }) => own.connection)].map((one) => one.close()));
      await leader.stop();
      await server.dispose();
    },
  };
}

describe.each([PINNED_NATS_VERSION, OLDEST_NATS_VERSION])("on nats-server %s", (version) => {
  const scene = useForAll(() => setScene(version));

  test.each(TABLE)("%s", async (label, cells) => {
    const found: string[] = [];
    for (const actor of scene.actors) found.push((await ATTEMPTS[label]?.(actor, scene)) ?? "no attempt");
    expect(found).toEqual(cells);
    expect([scene.losses, scene.leader.epoch]).toEqual([0, 1]);
  });
});
