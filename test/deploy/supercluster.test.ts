/** Deploys three secured regions of three servers. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, readmeCommands, urlsOf } from "../support/deploy/deployment.ts";
import { blockOf } from "../support/docs/blocks.ts";
import { Shell } from "../support/docs/shell.ts";
import { STREAM } from "../support/nats/permission-roles.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";
import { findNatsCli } from "../support/processes/nats-cli.ts";

const nats = await findNatsCli();

/** As "nats kv add" creates it. */
const BUCKET = {
  name: STREAM,
  subjects: ["$KV.KV_CLUSTER_billing.>"],
  max_msgs_per_subject: 1,
  num_replicas: 3,
  storage: "file",
  discard: "new",
  deny_delete: true,
  allow_rollup_hdrs: true,
  allow_direct: true,
};

test("leadership moves between regions, the bucket is in the region of its tag, and an unknown cluster is rejected", async () => {
  const commands = readmeCommands("supercluster");
  expect(commands).toEqual(["up --supercluster --secure", "status", "down"]);
  const [up = "", status = "", down = ""] = commands;
  const world = await Deployment.make("supercluster");
  const urls = urlsOf(await world.must(up));
  const regions = ["eu", "us", "ap"];
  const names = regions.flatMap((region) => [1, 2, 3].map((index) => `${region}-${index}`));
  expect(await world.must(status)).toMatchObject({
    ok: true,
    metaLeader: expect.stringMatching(/^(eu|us|ap)-[123]$/),
    servers: names.map((name) => ({ name, running: true, health: "ok", routes: 2, gateways: 2 })),
  });

  const admin = await world.connectAs("admin", urls.slice(0, 3));
  const api = async (name: string, body: object = {}): Promise<unknown> =>
    (await admin.request(`$JS.API.${name}`, JSON.stringify(body), { timeout: 10_000 })).json();
  const { code } = blockOf("examples/supercluster/README.md", "nats kv add");
  if ("path" in nats) {
    const login = { NATS_USER: "admin", NATS_PASSWORD: (await world.login("admin")).pass ?? "" };
    const shell = new Shell({ NATS_URL: urls[0] ?? "", NATS_CA: world.ca, ...login }, { nats: nats.path });
    expect(await shell.run(code)).toMatchObject({ code: 0 });
  } else {
    expect(code).toBe("nats kv add KV_CLUSTER_billing --replicas 3 --history 1 --tags region:us");
    await api(`STREAM.CREATE.${STREAM}`, { ...BUCKET, placement: { tags: ["region:us"] } });
  }
  await world.createBucket(urls.slice(0, 3)); // adds what is missing: the republish

  const options = {
    ...(await world.login("node")),
    clusterId: "billing",
    leaseTtlMs: 10_000,
    cooldownMs: 0,
    successorGraceMs: 10_000,
    tls: { ca: world.ca },
  };
  const a = await startLeader({ servers: urls.slice(0, 3) }, { ...options, nodeId: "eu" });
  const b = await startNode({ servers: urls.slice(6) }, { ...options, nodeId: "ap" });
  await b.sees(a, 15_000);
  await a.node.stepDown({ to: "ap" });
  await b.leads(15_000);
  await a.sees(b, 15_000);
  expect(await api(`STREAM.INFO.${STREAM}`)).toMatchObject({
    config: { num_replicas: 3, republish: { dest: "nats_leader.lease.billing" } },
    cluster: { name: "us" },
  });

  await unknownClusterIsRejected(world);
  await Promise.all([a.node.stop(), b.node.stop(), admin.close()]);
  await world.must(down);
});

/** The cluster has a certificate of the authority, so that only its name is wrong. */
async function unknownClusterIsRejected(world: Deployment): Promise<void> {
  const tls = (name: string): string => JSON.stringify(join(world.state, "tls", name));
  const certificate = `cert_file: ${tls("eu-1.pem")}, key_file: ${tls("eu-1.key")}, ca_file: ${tls("ca.pem")}, verify: true`;
  const stranger = await startNatsServer({
    jetstream: false,
    config: `gateway { name: mars, listen: "127.0.0.1:-1", tls { ${certificate} },
      gateways: [{ name: eu, urls: ["nats://127.0.0.1:${world.portBase + 3000}"] }] }`,
  });
  atEnd(() => stranger.dispose());
  const log = join(world.state, "eu-1/server.log");
  const rejected = (): boolean =>
    readFileSync(log, "utf8").includes('Rejecting connection from gateway "mars"');
  await waitFor(rejected, { timeoutMs: 15_000 });
  const gatewayz = await fetch(`http://127.0.0.1:${world.portBase + 4000}/gatewayz`, {
    headers: { connection: "close" },
  });
  const { inbound_gateways: inbound } = (await gatewayz.json()) as { inbound_gateways: object };
  expect(Object.keys(inbound)).not.toContain("mars");
  await stranger.dispose();
}
