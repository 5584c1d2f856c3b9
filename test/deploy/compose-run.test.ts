/** The deployment with a real Compose and container engine; skipped unless both exist and NATS_IMAGE names an image. */
import { describe, expect, test } from "vitest";
import { findCompose } from "../../scripts/deploy-nats-cluster/compose-backend.ts";
import { runCommand } from "../../src/system/run-command.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { startLeader } from "../support/node/test-node.ts";

const missing = await whatIsMissing();
const why = missing === undefined ? "" : ` (skipped: ${missing})`;

describe.skipIf(missing !== undefined)(`by Compose${why}`, () => {
  test("up restarts a killed container, and data are kept until down --delete-data", {
    timeout: 300_000,
  }, async () => {
    const cluster = await Deployment.make("cluster");
    const up = "up --backend compose --secure";
    const urls = urlsOf(await cluster.must(up));
    await cluster.createBucket(urls);
    const names = ["n1", "n2", "n3"];
    const status = await cluster.must("status");
    expect(status).toMatchObject({
      ok: true,
      servers: names.map((name) => ({ name, running: true, health: "ok", routes: 2 })),
    });
    const options = { clusterId: "billing", tls: { ca: cluster.ca }, ...(await cluster.login("node")) };
    const first = await startLeader({ servers: urls }, { ...options, nodeId: "a" });
    expect(first.node.epoch).toBe(1);
    await first.node.stop();

    const [, second] = status["servers"] as { where: string }[];
    await runCommand("docker", ["kill", second?.where.replace("container ", "") ?? ""], {
      timeoutMs: 60_000,
    });
    const without = await cluster.run("status");
    expect([without.code, without.result["missing"]]).toEqual([1, "n2 is not running"]);
    await cluster.must(up);
    await cluster.must("restart");
    await cluster.must("down");
    await cluster.must("up"); // continues with containers, secured
    const next = await startLeader({ servers: urls }, { ...options, nodeId: "b" });
    expect(next.node.epoch).toBe(2);
    await next.node.stop();
    await cluster.must("down --delete-data");
  });

  test("migrate moves the streams of a single server to containers", { timeout: 300_000 }, async () => {
    const cluster = await Deployment.make("cluster");
    const place = { servers: urlsOf(await cluster.must("up --single")) };
    const first = await startLeader(place, { clusterId: "billing", nodeId: "a" });
    await first.node.stop();
    const result = await cluster.must("migrate --backend compose");
    expect(result["streams"]).toMatchObject([{ name: "KV_KV_CLUSTER_billing", replicas: 3 }]);
    const next = await startLeader({ servers: urlsOf(result) }, { clusterId: "billing", nodeId: "b" });
    expect(next.node.epoch).toBe(2);
    await next.node.stop();
    await cluster.must("down --delete-data");
  });
});

async function whatIsMissing(): Promise<string | undefined> {
  if (process.env["NATS_IMAGE"] === undefined) return "NATS_IMAGE names no image";
  if ((await findCompose()) === undefined) return "no Compose";
  const engine = runCommand("docker", ["info"], { timeoutMs: 10_000 });
  return engine.then(
    () => undefined,
    () => "no container engine answers",
  );
}
