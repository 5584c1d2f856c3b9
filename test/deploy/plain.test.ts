/** Deploys a cluster of three servers as processes, without TLS. */
import { spawn } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { planServers } from "../../scripts/deploy-nats-cluster/plan.ts";
import { startOf } from "../../scripts/deploy-nats-cluster/process-identity.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, readmeCommands, urlsOf } from "../support/deploy/deployment.ts";
import { operatorOf } from "../support/node/operator.ts";
import { startLeader } from "../support/node/test-node.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

test("up restarts only a killed server, down stops only its own processes and keeps the data", async () => {
  const cluster = await Deployment.make("cluster");
  const urls = urlsOf(await cluster.must("up"));
  expect(urls).toEqual([0, 1, 2].map((index) => `nats://127.0.0.1:${cluster.portBase + index}`));
  expect(await cluster.must("status")).toMatchObject({
    ok: true,
    metaLeader: expect.stringMatching(/^n[123]$/),
    servers: ["n1", "n2", "n3"].map((name) => ({ name, running: true, health: "ok", routes: 2 })),
  });

  const leader = await startLeader({ servers: urls }, { clusterId: "billing", nodeId: "a" });
  const operator = await operatorOf({ url: urls }, "billing");
  expect(await operator.config()).toMatchObject({ num_replicas: 3 });
  await operator.connection.close();
  await leader.node.stop();

  const killed = pidOf(cluster, "n2");
  process.kill(killed, "SIGKILL");
  await waitFor(() => startOf(killed) === undefined);
  const status = await cluster.run("status");
  expect([status.code, status.result["ok"], status.result["missing"]]).toEqual([
    1,
    false,
    "n2 is not running",
  ]);
  const survivors = [pidOf(cluster, "n1"), pidOf(cluster, "n3")];
  const restart = await cluster.run("restart");
  expect([restart.code, restart.stderr]).toEqual([
    1,
    'error: nothing was restarted: n2 is not running; run "up" first. Restarting another server now could take JetStream\'s quorum away',
  ]);
  expect(survivors.map(startOf)).not.toContain(undefined);
  await cluster.must("up");
  expect([pidOf(cluster, "n1"), pidOf(cluster, "n3")]).toEqual(survivors);
  expect(pidOf(cluster, "n2")).not.toBe(killed);

  const pids = ["n1", "n2", "n3"].map((name) => pidOf(cluster, name));
  await cluster.must("down");
  expect(pids.map(startOf)).toEqual([undefined, undefined, undefined]);
  expect((await cluster.run("status")).result["missing"]).toBe("n1 is not running");
  // Without --port-base: the folder remembers it. In a separate process: the servers outlive it.
  await using script = spawnChild("scripts/deploy-nats-cluster/main.ts", {
    args: ["up", "--state", cluster.state],
  });
  expect(await script.exit).toEqual({ code: 0, signal: null });
  expect(script.lines).toContainEqual({ text: `clients      ${urls.join(",")}` });
  const again = await startLeader({ servers: urls }, { clusterId: "billing", nodeId: "b" });
  expect(again.node.epoch).toBe(2); // the same bucket: epochs continue after the first leader's
});

test("a port in use is refused, and a process that reuses a recorded pid is not stopped", async () => {
  const own = await Deployment.make("single");
  await own.must("up --single");
  const other = await Deployment.make("single");
  const refused = await other.run("up --single", "--port-base", `${own.portBase}`);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain(
    `port ${own.portBase} (clients of single) is in use on 127.0.0.1: stop the program that listens there, or choose other ports with --port-base`,
  );
  const changed = await own.run("up --single --secure");
  expect(changed.stderr).toMatch(/has a deployment with secure false, not true\. "up" without/);

  const stranger = spawn("sleep", ["60"]);
  atEnd(() => stranger.kill());
  const [file, text] = [
    join(own.state, "deployment.json"),
    readFileSync(join(own.state, "deployment.json"), "utf8"),
  ];
  const server = pidOf(own, "single");
  writeFileSync(file, text.replace(`"pid": ${server}`, `"pid": ${stranger.pid}`));
  await own.must("down");
  expect(startOf(stranger.pid ?? 0)).toBeDefined();
  writeFileSync(file, text); // so that the cleanup of this test finds the server

  const moved = await own.run("up", "--port-base", `${other.portBase}`);
  expect(moved.stderr).toMatch(/and its servers run: run "down" first/);
  await own.must("down");
  expect(urlsOf(await own.must("up", "--port-base", `${other.portBase}`))).toEqual([
    `nats://127.0.0.1:${other.portBase}`,
  ]);
  await own.must("down --delete-data");
  expect((await own.run("status")).stderr).toMatch(/nothing is deployed in .*: run "up"/);
});

test("these tests run every command of the README except the one that needs a container engine", async () => {
  const [folder, commands] = [await Deployment.make("cluster"), readmeCommands("nats-cluster")];
  const elsewhere = ["up", "status", "restart", "down", "up --secure", "rotate --user node"];
  elsewhere.push("up --single", "migrate", "down --delete-data");
  elsewhere.push("up --jwt --secure");
  elsewhere.push("failover-test --rounds 10", "scale 5", "status --expect-connections 12", "backup --drill");
  elsewhere.push("backup --every 6h --keep 28", "drill", "restore", "rollback --dry-run");
  const [byCompose, prepare = ""] = commands.filter((line) => !elsewhere.includes(line));
  expect(byCompose).toBe("up --backend compose --secure");
  expect(prepare).toBe("prepare --secure");
  expect(commands).toHaveLength(elsewhere.length + 3); // "down" occurs twice
  await folder.must(prepare);
  const modes = ["users.env", "compose.env", "tls/ca.key", "tls/n1.key"].map((file) => {
    return statSync(join(folder.state, file)).mode & 0o777;
  });
  expect(modes).toEqual([0o600, 0o600, 0o600, 0o600]);
});

test("wrong arguments are refused with the rule that they break", async () => {
  expect(() => planServers({ topology: "cluster", secure: false, portBase: 80 })).toThrow(
    /--port-base 80 must be a whole number from 1024/,
  );
  const cluster = await Deployment.make("cluster");
  const both = await cluster.run("up --single --supercluster");
  expect([both.code, both.stderr]).toEqual([1, "error: --supercluster and --single exclude each other"]);
});

function pidOf(cluster: Deployment, name: string): number {
  const { processes } = JSON.parse(readFileSync(join(cluster.state, "deployment.json"), "utf8"));
  return processes[name].pid;
}
