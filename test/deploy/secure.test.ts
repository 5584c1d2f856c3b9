/** Secured deployments: TLS, accounts and roles refuse everything that is not permitted. */

import { readFileSync } from "node:fs";
import { type Socket, connect as tcp } from "node:net";
import { connect as tls } from "node:tls";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { RoleConnection, STREAM } from "../support/nats/permission-roles.ts";
import { CALM, QUICK, settled, startLeader, startNode } from "../support/node/test-node.ts";

const LEASE = "$KV.KV_CLUSTER_billing.leader";

test("a leader keeps its term while all servers are restarted one by one; unauthorized clients are refused", async () => {
  const cluster = await Deployment.make("cluster");
  const urls = urlsOf(await cluster.must("up --secure"));
  await cluster.createBucket(urls);
  const options = {
    ...(await cluster.login("node")),
    clusterId: "billing",
    leaseTtlMs: 10_000,
    tls: { ca: cluster.ca },
  };
  const nodes = [
    await startNode({ servers: urls }, { ...options, nodeId: "a" }),
    await startNode({ servers: urls }, { ...options, nodeId: "b" }),
  ];
  const [leader] = await settled(nodes, 0, 15_000);
  const { term } = leader.node;

  await unauthorizedClientsAreRefused(cluster, urls);

  await cluster.must("restart");
  await leader.leads(15_000);
  expect(leader.node.term).toBe(term);
  expect(nodes.map((node) => [node.count("become-leader"), node.count("lose-leadership")]).sort()).toEqual([
    [0, 0],
    [1, 0],
  ]);
  expect(await cluster.healthy()).toMatchObject({ ok: true });
  const admin = await cluster.connectAs("admin", urls);
  const info = (await admin.request(`$JS.API.STREAM.INFO.${STREAM}`, "", { timeout: 5000 })).json();
  expect(info).toMatchObject({ config: { num_replicas: 3 }, cluster: { name: "nats-leader" } });
});

async function unauthorizedClientsAreRefused(cluster: Deployment, urls: string[]): Promise<void> {
  const port = cluster.portBase;
  // Without TLS, no command is accepted.
  const plain = await greeted(port);
  expect(plain.info).toMatchObject({ tls_required: true, auth_required: true });
  plain.socket.write(`CONNECT {"user":"node","pass":"x","verbose":true}\r\nPING\r\n`);
  expect(await answered(plain.socket)).not.toMatch(/\+OK|PONG/);
  // With TLS, but without the authority: the client refuses the server.
  await expect(connect({ servers: urls, tls: {}, reconnect: false })).rejects.toThrow();
  // With both, but no password, or a wrong one.
  const ca = { caFile: cluster.ca };
  await expect(connect({ servers: urls, tls: ca, reconnect: false })).rejects.toThrow(/authorization/i);
  const wrong = { user: "node", pass: "pw" };
  await expect(connect({ servers: urls, tls: ca, reconnect: false, ...wrong })).rejects.toThrow(
    /authorization/i,
  );
  // A route without a certificate of the authority. Routes and gateways begin with the handshake.
  const asServer = { host: "127.0.0.1", port: port + 2000, ca: readFileSync(cluster.ca), servername: "n1" };
  expect(await answered(tls(asServer))).toBe("");
  // A user of the account with other permissions.
  const forger = new RoleConnection(await cluster.connectAs("application", urls));
  const forged = [LEASE, `$JS.API.STREAM.DELETE.${STREAM}`, "cluster_billing.control.a.stepdown"];
  expect(await forger.mayPublish([...forged, "app.own"])).toEqual(["app.own"]);
  expect(await forger.maySubscribe([LEASE, ">", "nats_leader.lease.billing", "app.own"])).toEqual([
    "app.own",
  ]);
  // The system account sees the servers but not the bucket: its subjects belong to another account.
  const system = await cluster.connectAs("system", urls);
  const varz = await system.request("$SYS.REQ.SERVER.PING.VARZ", "", { timeout: 5000 });
  expect(varz.json()).toMatchObject({ server: { name: expect.stringMatching(/^n[123]$/) } });
  const refused = await system.request(`$JS.API.STREAM.INFO.${STREAM}`, "", { timeout: 5000 });
  expect(refused.json()).toMatchObject({ error: { err_code: 10039 } }); // no JetStream in this account
}

/** A bare connection and the INFO that the server sent first. */
async function greeted(port: number): Promise<{ readonly socket: Socket; readonly info: object }> {
  const socket = tcp({ host: "127.0.0.1", port });
  const line = await new Promise<string>((resolve, reject) => {
    socket.once("data", (chunk) => resolve(String(chunk)));
    socket.once("error", reject);
  });
  return { socket, info: JSON.parse(line.slice("INFO ".length)) };
}

/** All data received until the server closed the connection. */
async function answered(socket: Socket): Promise<string> {
  let text = "";
  socket.on("data", (chunk) => {
    text += String(chunk);
  });
  socket.on("error", () => {}); // the server may reset the connection
  await new Promise((resolve) => socket.once("close", resolve));
  return text;
}

test("after a password change the term ends at its deadline with a warning; a node with the new password leads, also after down and up", async () => {
  const single = await Deployment.make("single");
  const urls = urlsOf(await single.must("up --single --secure"));
  await single.createBucket(urls);
  const options = { clusterId: "billing", tls: { ca: single.ca } };
  const old = await startLeader(
    { servers: urls },
    { ...options, ...QUICK, ...(await single.login("node")), nodeId: "old" },
  );
  await single.must("rotate --user node");
  expect(await old.next("lose-leadership", undefined, 10_000)).toMatchObject({ reason: "expired" });
  await old.until(() => old.warnings("SESSION").length > 0);
  expect(old.warnings("SESSION")).toMatchObject([expect.stringMatching(/refuses the credentials/)]);
  const next = await startLeader(
    { servers: urls },
    { ...options, ...CALM, ...(await single.login("node")), nodeId: "new" },
  );
  expect(next.node.epoch).toBe(2);
  expect(old.node.isLeader()).toBe(false);
  await Promise.all([old.node.stop(), next.node.stop()]);

  await single.must("down");
  expect(await single.must("up")).toMatchObject({ urls, ca: single.ca });
  const again = await startLeader(
    { servers: urls },
    { ...options, ...CALM, ...(await single.login("node")), nodeId: "again" },
  );
  expect(again.node.epoch).toBe(3); // the same bucket, in the same account
});
