/**
 * A user of the account without the permissions of a role publishes garbage, huge records, forged advisories and forged
 * answers: nothing arrives, and the leader stays. An operator may send requests to nodes, and garbage changes nothing either.
 */
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import {
  consumerDeletedAdvisory,
  leaseSubject,
  republishSubject,
  stepdownSubject,
} from "../../src/nats/names.ts";
import { OLDEST_NATS_VERSION, PINNED_NATS_VERSION } from "../../src/testing.ts";
import {
  ASKING_NODES,
  CLUSTER,
  connectAs,
  login,
  type RoleConnection,
  STREAM,
  startSecured,
} from "../support/nats/permission-roles.ts";
import { makeNode, type TestNode } from "../support/node/test-node.ts";
import { useForAll } from "../support/use-server.ts";

/** Just below the server's limit of 1 MiB. */
const HUGE = "x".repeat(1_000_000);
const RECORD = JSON.stringify({ node_id: "forger", epoch: 1e6, acquired_at: 1, incarnation: "f", nonce: 1 });
/** Subjects on which a node would accept a record, or the answer to its request. */
const BELIEVED = [
  leaseSubject(CLUSTER),
  republishSubject(CLUSTER),
  `$JS.API.STREAM.MSG.GET.${STREAM}`,
  "_INBOX_node.x.1",
];

interface Scene {
  readonly leader: TestNode;
  readonly follower: TestNode;
  /** Reads the bucket and sends requests to nodes. */
  readonly operator: RoleConnection;
  readonly forger: RoleConnection;
}

interface Stored {
  readonly node_id: string;
  readonly nonce: number;
  readonly session: { readonly presence?: string; readonly client_id: number };
}

describe.each([PINNED_NATS_VERSION, OLDEST_NATS_VERSION])("on nats-server %s", (version) => {
  const server = useForAll(() => startSecured(version));

  async function scene(): Promise<Scene> {
    const node = (nodeId: string): TestNode => {
      const { servers = "", ...credentials } = login(server, "node");
      return makeNode({ servers }, { clusterId: CLUSTER, nodeId, ...credentials });
    };
    const leader = await node("leader").start();
    await leader.leads();
    const follower = await node("follower").start();
    await follower.sees(leader);
    const [operator, forger] = await Promise.all([
      connectAs(server, "operator", ASKING_NODES),
      connectAs(server, "application"),
    ]);
    return { leader, follower, operator, forger };
  }

  async function stored({ operator }: Scene): Promise<Stored> {
    const body = JSON.stringify({ last_by_subj: leaseSubject(CLUSTER) });
    const answer = await operator.connection.request(`$JS.API.STREAM.MSG.GET.${STREAM}`, body);
    const { message } = answer.json<{ message: { data: string } }>();
    return JSON.parse(Buffer.from(message.data, "base64").toString()) as Stored;
  }

  /** After two more renewals, no node has changed its state. */
  async function unmoved(all: Scene, term: TestNode["node"]["term"]): Promise<void> {
    const { nonce } = await stored(all);
    await waitFor(async () => (await stored(all)).nonce >= nonce + 2, { timeoutMs: 15_000 });
    const { leader, follower } = all;
    await leader.leads();
    expect(leader.node.term).toBe(term);
    expect(await stored(all)).toMatchObject({ node_id: "leader" });
    expect([
      leader.count("lose-leadership"),
      leader.count("suspended"),
      follower.count("become-leader"),
    ]).toEqual([0, 0, 0]);
    expect(leader.warnings("GARBAGE_RECORD").concat(follower.warnings("GARBAGE_RECORD"))).toEqual([]);
    expect(follower.node.leader).toMatchObject({ nodeId: "leader", epoch: term?.epoch });
  }

  test.each([
    ["garbage records and answers", "\u0000{garbage"],
    ["huge ones", HUGE],
    ["a record of its own with a larger epoch", RECORD],
  ])("%s", async (_, payload) => {
    const all = await scene();
    const { term } = all.leader.node;
    expect(await all.forger.mayPublish(BELIEVED, payload)).toEqual([]);
    await unmoved(all, term);
  });

  test("a forged advisory about the leader's presence, and a forged confirmation", async () => {
    const all = await scene();
    const { term } = all.leader.node;
    const { session } = await waitFor(async () => {
      const record = await stored(all);
      return record.session.presence !== undefined && record;
    });
    const { presence = "" } = session;
    const gone = JSON.stringify({ data: { connections: [] }, server: { id: "x" } });
    expect(await all.forger.mayPublish([consumerDeletedAdvisory(presence)], "{}")).toEqual([]);
    expect(await all.forger.mayPublish([`$JS.API.CONSUMER.DELETE.${presence}`])).toEqual([]);
    expect(await all.forger.maySubscribe(["$SYS.REQ.ACCOUNT.PING.CONNZ"])).toEqual([]);
    expect(await all.forger.mayPublish(["_INBOX_node.x.1"], gone)).toEqual([]);
    await unmoved(all, term);
    expect(await stored(all)).toMatchObject({ session: { presence } }); // still the same presence
  });

  test("a forged status, and requests of an operator", async () => {
    const all = await scene();
    const { term } = all.leader.node;
    const subjects = [`cluster_${CLUSTER}.status.leader`, `cluster_${CLUSTER}.status.*`, "$SRV.>"];
    expect(await all.forger.maySubscribe(subjects)).toEqual([]);
    const status = JSON.stringify({ nodeId: "leader", role: "PASSIVE", leader: "forger", epoch: 1e6 });
    const heard = ["_INBOX_operator.x.1", "_INBOX_node.x.1", subjects[0] ?? ""];
    expect(await all.forger.mayPublish(heard, status)).toEqual([]);
    const orders = [stepdownSubject(CLUSTER, "leader"), `cluster_${CLUSTER}.control.leader.compete`];
    expect(await all.forger.mayPublish(orders, "{}")).toEqual([]);
    const answer = await all.operator.connection.request(`cluster_${CLUSTER}.status.leader`, "");
    expect(answer.json()).toMatchObject({ nodeId: "leader", state: "leader", epoch: term?.epoch });
    await unmoved(all, term);
  });

  test("garbage and huge requests of an operator are answered, and change nothing", async () => {
    const all = await scene();
    const { term } = all.leader.node;
    const ask = async (subject: string, data: string): Promise<unknown> =>
      (await all.operator.connection.request(subject, data, { timeout: 5000 })).json();
    for (const data of ["\u0000{garbage", HUGE, '{"to":7}', '{"to":"../other"}', '{"to":"leader"}']) {
      expect(await ask(stepdownSubject(CLUSTER, "leader"), data)).toMatchObject({ ok: false });
      expect(await ask(`cluster_${CLUSTER}.status.leader`, data)).toMatchObject({ state: "leader" });
      expect(await ask(`cluster_${CLUSTER}.ping.leader`, data)).toMatchObject({ ok: true });
    }
    await unmoved(all, term);
  });
});
