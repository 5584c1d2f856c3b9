/** Settings that teams have already: a daemon without a file, and a doctor without flags. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cli, folder, json, start } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Line {
  readonly msg?: string;
  readonly nodeID?: string;
}

test("a daemon takes servers and node id from the variables of its container, and is found by them", async () => {
  const clusterId = freshId();
  const { hostname, port } = new URL(server.url);
  const env = { NATS_HOST: hostname, NATS_PORT: port, HOSTNAME: "web-1.shop.example", INSTANCE_ID: "" };
  const cwd = folder();
  const daemon = start<Line>(["daemon", "--cluster-id", clusterId, "--json"], env);
  const first = await daemon.next(({ msg }) => msg === "Starting daemon");
  expect(first.nodeID).toBe("web-1-shop-example");
  await daemon.next(({ msg }) => msg === "This node is now the LEADER");
  const self = await json(["status", "--self", "--cluster-id", clusterId], { env, cwd });
  expect(self).toMatchObject({ code: 0, value: { nodeId: "web-1-shop-example", daemon: "running" } });
  // Without --self, the name of the host names no node.
  const any = await json(["status", "--cluster-id", clusterId], { env, cwd });
  expect(any).toMatchObject({ code: 0, value: { nodeId: "", leader: "web-1-shop-example" } });
  expect((await cli(["demote", "--cluster-id", clusterId], { env, cwd })).code).toBe(0);
  daemon.kill("SIGTERM");
  expect(await daemon.exit).toEqual({ code: 0, signal: null });
});

test("doctor needs no flags with a file that names servers and their monitoring ports", async () => {
  const cwd = folder();
  const { hostname, port } = new URL(server.monitorUrl);
  const nodes = [{ name: "n1", host: hostname, monitoringPort: Number(port) }];
  writeFileSync(join(cwd, "cluster.json"), JSON.stringify({ cluster_urls: [server.url], nodes }));
  const { value } = await json<{ servers: object[]; unseen: object[] }>(["doctor"], { cwd });
  expect(value.servers).toEqual([expect.objectContaining({ name: server.name, url: server.monitorUrl })]);
  expect(value.unseen).toEqual([expect.objectContaining({ what: "the bucket and the nodes" })]);
});

test("two flags that name different servers are refused", async () => {
  const ended = await cli(["nodes", "--cluster-id", "c", "--servers", "a:1", "--nats-url", "b:2"]);
  expect(ended).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--nats-url ["b:2"] and --servers ["a:1"] name different servers'),
  });
});

test("init writes monitoring ports, which the file's reader accepts", async () => {
  const path = join(folder(), "a.json");
  const args = [
    "init",
    "--config",
    path,
    "--cluster-id",
    "c",
    "--node-id",
    "a",
    "--monitor",
    "n1",
    "http://n2:1",
  ];
  expect((await cli(args)).code).toBe(0);
  const { value } = await json<{ settings: object[] }>(["config", "check", "--config", path]);
  expect(value.settings).toContainEqual({ path: "nats.monitors", value: ["n1", "http://n2:1"], from: path });
});
