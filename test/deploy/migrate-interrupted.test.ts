/** What is left of a killed migration is rolled back; a secured server stays secured. In parallel with migrate.test.ts: both take minutes. */
import { expect, test } from "vitest";
import { atEnd } from "../support/at-end.ts";
import { Deployment, type Run, urlsOf } from "../support/deploy/deployment.ts";
import { connectTo, fillStreams, readAll } from "../support/deploy/streams.ts";
import { startLeader } from "../support/node/test-node.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

/** Three servers are started, filled, stopped and started again: a minute, or several on a busy machine. */
const LONG_MS = 300_000;

test("after a killed migration, only migrate and migrate --undo are allowed", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster");
  const [url = ""] = urlsOf(await place.must("up --single"));
  const single = await connectTo(url);
  const names = await fillStreams(single, 4);
  const before = await readAll(single, names);
  await single.close();

  await killedAt(place, /^JOBS: saved/); // the single server has been stopped
  for (const verb of ["up", "status", "restart"]) {
    expect((await place.run(verb)).stderr, verb).toMatch(
      /was interrupted: run "migrate" to start again, or "migrate --undo" to roll it back/,
    );
  }
  // The only data are those of the single server, whatever is recorded at this point.
  expect((await place.run("down --delete-data")).stderr).toMatch(
    /the servers were stopped, and nothing was deleted: a migration in .* was interrupted/,
  );
  await place.must("migrate --undo");
  expect(await place.healthy()).toMatchObject({ ok: true, servers: [{ name: "single" }] });
  const again = await connectTo(url);
  expect(await readAll(again, names)).toEqual(before);
  await again.close();

  await killedAt(place, /^MIRROR: verified/); // some streams are in the cluster, one of them partly
  const streams = (await place.must("migrate"))["streams"] as readonly { name: string }[];
  expect(streams.map(({ name }) => name)).toEqual(names);
  const cluster = await connectTo([0, 1, 2].map((index) => `nats://127.0.0.1:${place.portBase + index}`));
  expect(await readAll(cluster, names)).toEqual(before);
  expect((await place.run("migrate --undo")).stderr).toMatch(/nothing to roll back/);
});

/** Runs `migrate` in a separate process and kills it when it prints this line. */
async function killedAt(place: Deployment, line: RegExp): Promise<void> {
  await using script = spawnChild<{ text?: string }>("scripts/deploy-nats-cluster/main.ts", {
    args: ["migrate", "--state", place.state],
  });
  await script.next(({ text }) => line.test(text ?? ""), 120_000);
  script.kill("SIGKILL");
  await script.exit;
}

test("a secured server stays secured, with roles and epochs; a user of another account has nothing to copy", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster");
  const urls = urlsOf(await place.must("up --single --secure"));
  await place.createBucket(urls);
  const options = { clusterId: "billing", tls: { ca: place.ca }, ...(await place.login("node")) };
  const first = await startLeader({ servers: urls }, { ...options, nodeId: "a" });
  const { epoch } = first.node;
  await first.node.stop();
  const elsewhere = await Deployment.make("cluster");
  process.env["NATS_PASSWORD"] = (await place.login("system")).pass ?? "";
  atEnd(() => delete process.env["NATS_PASSWORD"]);
  const foreign: Run = await elsewhere.run(`migrate --from ${urls[0]} --user system`, "--ca", place.ca);
  expect(foreign.stderr).toMatch(/STREAM\.NAMES: JetStream not enabled for account/);

  const result = await place.must("migrate");
  expect(result["streams"]).toMatchObject([
    { name: "KV_KV_CLUSTER_billing", messages: 1, replicas: 3 },
    { name: "LEADER_HISTORY_billing", replicas: 3 },
  ]);
  const next = await startLeader({ servers: urlsOf(result) }, { ...options, nodeId: "b" });
  expect(next.node.epoch).toBe(epoch + 1);
});
