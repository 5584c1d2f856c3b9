import { execFileSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { headers } from "@nats-io/transport-node";
import { describe, expect, test, vi } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { permissionsText } from "../../src/cli/commands/permissions.ts";
import { programFor } from "../../src/cli/program.ts";
import { resolveOptions } from "../../src/config/resolve.ts";
import { ClusterClient } from "../../src/manager/cluster-client.ts";
import { listNodes } from "../../src/manager/cluster-nodes.ts";
import { readHistory } from "../../src/manager/history-reader.ts";
import { HistoryRecorder } from "../../src/manager/history-recorder.ts";
import { permissionsFor } from "../../src/nats/permissions.ts";
import type { NodeEvent } from "../../src/node/events.ts";
import type { Term } from "../../src/node/term.ts";
import { findNatsServer, OLDEST_NATS_VERSION, PINNED_NATS_VERSION } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { runHere } from "../support/cli/run-here.ts";
import { allAnswers } from "../support/nats/all-answers.ts";
import {
  ASKING_NODES,
  CLUSTER,
  connectAs,
  EXAMPLES,
  login,
  ROLES,
  type Role,
  STREAM,
  startSecured,
} from "../support/nats/permission-roles.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { makeNode, type TestNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useForAll } from "../support/use-server.ts";

test("nats-server accepts the example configuration with its includes", async () => {
  const { path } = await findNatsServer();
  const names = ["ADMINISTRATOR", "NODE", "NODE_A", "OBSERVER", "OPERATOR", "APPLICATION"];
  const env = Object.fromEntries(names.map((name) => [`${name}_PASSWORD`, `pw-${name}`]));
  const said = execFileSync(path, ["-t", "-c", join(EXAMPLES, "nats-server.conf")], {
    env: { ...process.env, ...env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  expect(said).not.toMatch(/error/i);
});

const LEASE = `$KV.KV_CLUSTER_${CLUSTER}.leader`;
const BUCKET_CALLS = ["DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE"].map(
  (call) => `$JS.API.STREAM.${call}.${STREAM}`,
);
/** Subjects that could move or forge a leadership. */
const FORGERIES = [
  LEASE,
  ...BUCKET_CALLS,
  `$JS.API.STREAM.UPDATE.${STREAM}`,
  `$JS.API.CONSUMER.CREATE.${STREAM}.x`,
  `$JS.API.CONSUMER.DELETE.${STREAM}.x`,
  `$JS.EVENT.ADVISORY.CONSUMER.DELETED.${STREAM}.x`,
  `$JS.EVENT.ADVISORY.STREAM.DELETED.${STREAM}`,
  "$SYS.REQ.ACCOUNT.PING.CONNZ",
  `nats_leader.lease.${CLUSTER}`,
  "nats_leader.beat.NSERVER.7",
  `cluster_${CLUSTER}.control.a.stepdown`,
  `cluster_${CLUSTER}.control.a.compete`,
  "_INBOX_node.x.1",
  "_INBOX_operator.x.1",
];

/** What a command prints. Runs in this process: a child process would only be slower. */
async function printed(...line: string[]): Promise<string> {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    await (await programFor(line)).parseAsync(line, { from: "user" });
    return write.mock.calls.map(([text]) => String(text)).join("");
  } finally {
    write.mockRestore();
  }
}

describe.each([PINNED_NATS_VERSION, OLDEST_NATS_VERSION])("on nats-server %s", (version) => {
  const server = useForAll(() => startSecured(version));

  /** A node whose user has this role only. No operation may be denied. */
  async function started(role: Role, nodeId: string, options: object = {}): Promise<TestNode> {
    const { servers = "", ...credentials } = login(server, role);
    const node = makeNode(
      { servers },
      {
        clusterId: CLUSTER,
        nodeId,
        cooldownMs: 0,
        // Without a cooldown the former leader is as fast as a successor on a busy machine.
        successorGraceMs: 1_000,
        ...credentials,
        ...options,
      },
    );
    await node.start();
    return node;
  }

  const refusals = (node: TestNode): unknown[] =>
    node.log.filter(
      ({ level, message }) => level !== "info" && /permission|violation|allow|denied/i.test(message),
    );

  test("a node with permission to create the bucket does so, any other reports what is missing", async () => {
    const administrator = await connectAs(server, "administrator");
    const { connection } = administrator;
    const deleted = await connection.request(`$JS.API.STREAM.DELETE.${STREAM}`);
    expect(deleted.json()).toMatchObject({ success: true });
    const { servers, ...credentials } = login(server, "node");
    const other = makeNode({ servers }, { clusterId: CLUSTER, nodeId: "other", ...credentials });
    await expect(other.node.start()).rejects.toMatchObject({
      code: "AUTHORIZATION",
      message: expect.stringContaining(
        `an administrator runs "nats-leader create-bucket --cluster-id ${CLUSTER}"`,
      ),
    });
    const creator = await started("creator", "creator");
    await creator.leads();
    expect(refusals(creator)).toEqual([]);
  });

  test("an administrator creates the bucket and the stream of past terms with create-bucket", async () => {
    const { connection } = await connectAs(server, "administrator");
    const streams = [STREAM, `LEADER_HISTORY_${CLUSTER}`];
    for (const stream of streams) await connection.request(`$JS.API.STREAM.DELETE.${stream}`);
    const { servers, user, pass, inboxPrefix } = login(server, "administrator");
    vi.stubEnv("NATS_LEADER_USER", user);
    vi.stubEnv("NATS_LEADER_PASSWORD", pass);
    vi.stubEnv("NATS_LEADER_INBOX_PREFIX", inboxPrefix);
    atEnd(() => vi.unstubAllEnvs());
    const args = ["create-bucket", "--cluster-id", CLUSTER, "--nats-url", servers];
    expect(await printed(...args)).toBe(
      `bucket KV_CLUSTER_${CLUSTER} created, 1 replica\nstream LEADER_HISTORY_${CLUSTER} created\n`,
    );
    expect(JSON.parse(await printed(...args, "--json"))).toMatchObject({
      ok: true,
      created: false,
      historyCreated: false,
      bucket: { name: `KV_CLUSTER_${CLUSTER}`, replicas: 1, republish: true },
    });
    const node = await started("node", "a");
    await node.leads();
    expect(refusals(node)).toEqual([]);
    const observer = login(server, "observer");
    const env = {
      NATS_LEADER_USER: observer.user,
      NATS_LEADER_PASSWORD: observer.pass,
      NATS_LEADER_INBOX_PREFIX: observer.inboxPrefix,
    };
    const other = ["create-bucket", "--cluster-id", "other", "--nats-url", servers];
    expect(await runHere(other, env)).toMatchObject({
      code: 4,
      stderr: expect.stringContaining(
        'allow this user to publish to "$JS.API.STREAM.INFO.KV_KV_CLUSTER_other" ("nats-leader permissions administrator --cluster-id other" prints all that this takes)',
      ),
    });
  });

  test("nodes lead, detect a crashed leader at once, and hand over", async () => {
    const options = { ...login(server, "node"), clusterId: CLUSTER, nodeId: "dying", ...LONG };
    const dying = await startChildNode(server, options);
    await dying.next("become");
    const b = await started("node", "b", LONG);
    await b.until(() => b.node.leader?.nodeId === "dying");
    dying.child.kill("SIGKILL");
    await b.until(() => b.node.isLeader());
    const a = await started("node", "a");
    await b.node.stepDown({ to: "a" });
    await a.until(() => a.node.isLeader());
    expect([...refusals(a), ...refusals(b)]).toEqual([]);
  });

  test("the user of a single node leads as that node and cannot answer for another", async () => {
    const a = await started("node_a", "a");
    await a.until(() => a.node.isLeader());
    expect(refusals(a)).toEqual([]);
    const own = await connectAs(server, "node_a");
    expect(
      await own.maySubscribe([`cluster_${CLUSTER}.status.b`, `cluster_${CLUSTER}.control.b.stepdown`]),
    ).toEqual([]);
    expect(await own.mayPublish([`cluster_${CLUSTER}.control.b.stepdown`, ...BUCKET_CALLS])).toEqual([]);
    expect(await own.maySubscribe(["_INBOX_node.>", "_INBOX_operator.>", "_INBOX.>"])).toEqual([]);
  });

  test("an observer reads who leads and cannot change anything", async () => {
    const a = await started("node", "a");
    await a.until(() => a.node.isLeader());
    const watcher = await started("observer_w", "w", { observer: true });
    const reader = await started("observer", "r", { observer: true, service: false });
    await watcher.sees(a);
    await reader.sees(a);
    const b = await started("node", "b");
    await a.node.stop();
    await b.until(() => b.node.isLeader());
    await watcher.sees(b);
    await reader.sees(b);
    expect([...refusals(watcher), ...refusals(reader)]).toEqual([]);
    for (const role of ["observer", "observer_w"] as const) {
      const own = await connectAs(server, role);
      expect(await own.mayPublish(FORGERIES)).toEqual([]);
    }
  });

  test("a client with the user of an observer or a node knows who leads, and cannot list the nodes", async () => {
    const a = await started("node", "a");
    await a.leads();
    const client = await ClusterClient.connect({ clusterId: CLUSTER, ...login(server, "observer") });
    atEnd(() => client.close());
    const situation = await client.situation();
    expect(situation).toMatchObject({ leader: "a", holder: null });
    await expect(listNodes(client, situation)).rejects.toMatchObject({
      code: "AUTHORIZATION",
      message: expect.stringContaining(`allow this user to subscribe to "cluster_${CLUSTER}.reply.client.>"`),
    });
    const limited = await ClusterClient.connect({ clusterId: CLUSTER, ...login(server, "node") });
    atEnd(() => limited.close());
    expect(await limited.situation()).toMatchObject({ leader: "a", holder: { status: { nodeId: "a" } } });
    await expect(listNodes(limited, situation)).rejects.toMatchObject({
      code: "AUTHORIZATION",
      message: expect.stringContaining(`allow this user to publish to "$SRV.INFO.cluster_${CLUSTER}"`),
    });
  });

  test("a node's user may record past terms in the stream that the administrator has created", async () => {
    const { servers, user, pass, inboxPrefix } = login(server, "node");
    const node = resolveOptions({ servers, user, pass, inboxPrefix, clusterId: CLUSTER, nodeId: "recorder" });
    const failures: Error[] = [];
    const recorder = new HistoryRecorder({ node, maxTerms: 10, onFailed: (error) => failures.push(error) });
    const term = { epoch: 4711 } as Term;
    async function* events(): AsyncGenerator<NodeEvent> {
      yield { type: "become-leader", term, at: Date.now() } as NodeEvent;
    }
    await recorder.follow(events());
    await recorder.close(5000);
    expect(failures).toEqual([]);
    const operator = await ClusterClient.connect({ clusterId: CLUSTER, ...login(server, "operator") });
    atEnd(() => operator.close());
    const { terms } = await readHistory(operator, await operator.situation(), 10);
    expect(terms).toContainEqual(expect.objectContaining({ nodeId: "recorder", epoch: 4711 }));
  });

  test("an operator reads the state, moves the leadership, and cannot change lease or bucket", async () => {
    const [a, b] = [await started("node", "a"), await started("node", "b")];
    await waitFor(() => a.node.isLeader() || b.node.isLeader());
    const [leader, other] = a.node.isLeader() ? [a, b] : [b, a];
    const own = await connectAs(server, "operator", ASKING_NODES);
    const { connection } = own;
    const answer = await connection.request(
      `cluster_${CLUSTER}.control.${leader.id}.stepdown`,
      JSON.stringify({ to: other.id }),
      { timeout: 5000 },
    );
    expect(answer.json()).toEqual({ ok: true });
    await other.until(() => other.node.isLeader());
    const infos = await allAnswers<{ metadata: { node: string } }>(
      connection,
      `$SRV.INFO.cluster_${CLUSTER}`,
    );
    expect(infos.map(({ metadata }) => metadata.node).sort()).toEqual(["a", "b"]);
    const record = await connection.request(
      `$JS.API.STREAM.MSG.GET.${STREAM}`,
      `{"last_by_subj":"${LEASE}"}`,
    );
    expect(record.json()).toHaveProperty("message");
    const forbidden = FORGERIES.filter((subject) => !/control|_INBOX_operator/.test(subject));
    expect(await own.mayPublish(forbidden)).toEqual([]);
  });

  test("another user of the account cannot forge a release, an advisory, an answer or a record", async () => {
    const a = await started("node", "a");
    await a.until(() => a.node.isLeader());
    const { epoch } = a.node;
    const forger = await connectAs(server, "application");
    expect(await forger.mayPublish(FORGERIES)).toEqual([]);
    expect(
      await forger.maySubscribe([
        ...["$JS.>", "$SYS.>", "$KV.>", "$SRV.>", "_INBOX.>", "_INBOX_node.>", `cluster_${CLUSTER}.>`, ">"],
        // A user that receives the request could answer it in the server's place.
        "$SYS.REQ.ACCOUNT.PING.CONNZ",
        `$JS.API.STREAM.MSG.GET.${STREAM}`,
      ]),
    ).toEqual([]);
    expect(await forger.mayPublish(["app.anything"])).toEqual(["app.anything"]);
    const release = headers();
    release.set("KV-Operation", "DEL");
    release.set("Nats-Leader-Epoch", String(epoch));
    release.set("Nats-Leader-Incarnation", a.node.term?.incarnation ?? "");
    const answer = forger.connection.request(LEASE, "", { headers: release, timeout: 300 });
    await expect(answer).rejects.toThrow();
    expect(a.node.isLeader()).toBe(true);
    expect(a.node.epoch).toBe(epoch);
    expect(a.events.items.filter(({ type }) => type === "lose-leadership")).toEqual([]);
  });
});

test.each([
  ["node.conf", { role: "node", history: true }],
  ["single-node.conf", { role: "node", nodeId: "a" }],
  ["creating-node.conf", { role: "node", createBucket: true, history: true, inboxPrefix: "_INBOX_creator" }],
  ["observer.conf", { role: "observer" }],
  ["observing-node.conf", { role: "observer", nodeId: "w" }],
  ["administrator.conf", { role: "administrator" }],
  ["operator.conf", { role: "operator" }],
] as const)("%s is what `nats-leader permissions` prints", async (file, options) => {
  const written = await readFile(join(EXAMPLES, file), "utf8");
  expect(written).toBe(`${permissionsText({ clusterId: CLUSTER, ...options })}\n`);
  const { publish, subscribe, inboxPrefix } = permissionsFor({ clusterId: CLUSTER, ...options });
  const listed = [...written.matchAll(/^ {4}"([^"]+)"/gm)].map(([, subject]) => subject);
  expect(listed).toEqual([...publish, ...subscribe]);
  expect(Object.values(ROLES)).toContain(inboxPrefix);
});

test("docs/security.md explains every subject of a node", async () => {
  const text = await readFile(join(EXAMPLES, "../../docs/security.md"), "utf8");
  const { publish, subscribe } = permissionsFor({ clusterId: CLUSTER, history: true });
  const documented = (subject: string): boolean =>
    text.includes(`\`${subject.replace("_INBOX_node", "_INBOX_<role>")}\``);
  expect([...publish, ...subscribe].filter((subject) => !documented(subject))).toEqual([]);
});

test.each([
  { clusterId: "a.>" },
  { clusterId: "" },
  { clusterId: "a", nodeId: "*" },
  { clusterId: "a", inboxPrefix: "_INBOX.>" },
  { clusterId: "a", inboxPrefix: 'x" y' },
  { clusterId: "a", role: "root" as "node" },
])("permissionsFor() refuses %j", (options) => {
  expect(() => permissionsFor(options)).toThrow(expect.objectContaining({ code: "INVALID_CONFIG" }));
});

describe("nats-leader permissions", () => {
  const permissions = (...args: string[]): Promise<string> => printed("permissions", ...args);

  test("prints an example file", async () => {
    const single = await readFile(join(EXAMPLES, "single-node.conf"), "utf8");
    expect(await permissions("node", "--cluster-id", CLUSTER, "--node-id", "a")).toBe(single);
    expect(await permissions("node", "--cluster-id", CLUSTER, "--node-id", "a", "--no-bucket-creator")).toBe(
      single,
    );
    const node = await readFile(join(EXAMPLES, "node.conf"), "utf8");
    expect(await permissions("node", "--cluster", CLUSTER, "--history")).toBe(node);
    const creating = await readFile(join(EXAMPLES, "creating-node.conf"), "utf8");
    const more = ["--history", "--bucket-creator", "--inbox-prefix", "_INBOX_creator"];
    expect(await permissions("node", "--cluster", CLUSTER, ...more)).toBe(creating);
    const watching = await permissions("node", "--cluster", CLUSTER, "--watch-consumer");
    expect(watching).toContain(`$JS.API.CONSUMER.CREATE.${STREAM}.*.${LEASE}`);
  });

  test("prints the value of permissionsFor() with --json", async () => {
    const options = { clusterId: CLUSTER, role: "observer", inboxPrefix: "_INBOX_x" } as const;
    const args = ["observer", "--cluster-id", CLUSTER, "--inbox-prefix", "_INBOX_x", "--json"];
    expect(JSON.parse(await permissions(...args))).toEqual(permissionsFor(options));
  });

  test("refuses to print without a valid cluster id", async () => {
    await expect(permissions("node")).rejects.toThrow(expect.objectContaining({ exitCode: 2 }));
    await expect(permissions("node", "--cluster-id", "a.b")).rejects.toThrow(/clusterId is "a.b"/);
  });

  test.each(["--history", "--bucket-creator", "--watch-consumer"])(
    "refuses %s for a role without it",
    async (option) => {
      for (const role of ["observer", "operator", "administrator"]) {
        await expect(permissions(role, "--cluster-id", CLUSTER, option)).rejects.toThrow(
          expect.objectContaining({
            exitCode: 2,
            message: expect.stringContaining(`${option} has no effect`),
          }),
        );
      }
    },
  );
});
