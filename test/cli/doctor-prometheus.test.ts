/** `doctor --prometheus` on real servers: what is exported, what a dead or silent server costs, and that it is valid. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:net";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { beforeAll, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { Exporter } from "../../src/doctor/exporter/exporter.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { atEnd } from "../support/at-end.ts";
import { cli, start } from "../support/cli/run-cli.ts";
import { useNatsCluster } from "../support/use-server.ts";

const accounts = `accounts { APP { jetstream: enabled, users: [{ user: app, password: "app" }] }
  SYS { users: [{ user: system, password: "secret" }] } }
system_account: SYS`;
const cluster = useNatsCluster({ config: accounts });
const SECRET = { NATS_LEADER_SYSTEM_PASSWORD: "secret" };
const promtool = findProgram("promtool");

beforeAll(async () => {
  const connection = await connect({ servers: cluster.urls, user: "app", pass: "app" });
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "KV_KV_CLUSTER_x", subjects: ["x"], num_replicas: 3 });
  await manager.streams.add({ name: "ORDERS", subjects: ["orders"], num_replicas: 1 });
  await connection.close();
});

/** The value of the only series that has this name and these labels. */
function value(text: string, series: RegExp): number {
  const found = text.split("\n").filter((line) => !line.startsWith("#") && series.test(line));
  if (found.length !== 1) throw new Error(`${found.length} series match ${series}:\n${text}`);
  return Number(found[0]?.split(" ").at(-1));
}

const prefix = "nats_leader_server_";
const monitors = (): string[] => cluster.servers.flatMap(({ monitorUrl }) => ["--monitor", monitorUrl]);

test("prints the same servers and streams through monitoring ports and through the system account", async () => {
  const [ports, system] = await Promise.all([
    cli(["doctor", "--prometheus", ...monitors()]),
    cli(["doctor", "--prometheus", "--system-user", "system", "--nats-url", cluster.urls.join(",")], {
      env: SECRET,
    }),
  ]);
  const names = (text: string): string[] =>
    [...new Set([...text.matchAll(/^(nats_leader_server_\w+(?:\{[^}]*\})?) /gm)].map(([, one = ""]) => one))]
      .filter((one) => !one.includes("reason="))
      .sort();
  expect(ports).toMatchObject({ code: 0, stderr: "" });
  expect(system).toMatchObject({ code: 0, stderr: "" });
  expect(names(system.stdout)).toEqual(names(ports.stdout));
  for (const { name } of cluster.servers)
    expect(value(ports.stdout, new RegExp(`${prefix}up{server="${name}"`))).toBe(1);
  expect(value(ports.stdout, /stream_has_leader{.*stream="KV_KV_CLUSTER_x"/)).toBe(1);
  expect(value(ports.stdout, /threshold{threshold="lag"}/)).toBe(1_000);
  expect(ports.stdout).not.toContain("ORDERS");
  expect(`${ports.stdout}${system.stdout}`).not.toContain("secret");
  const named = await cli(["doctor", "--prometheus", "--stream", "ORD*", ...monitors()]);
  expect(value(named.stdout, /stream_replicas{.*stream="ORDERS"/)).toBe(1);
  if (promtool !== null) {
    const checked = spawnSync(promtool, ["check", "metrics"], { input: ports.stdout, encoding: "utf8" });
    expect(`${checked.stdout}${checked.stderr}`).toBe("");
  }
});

test("a server that is gone and one that is silent do not block a scrape; others are read", async () => {
  // Accepts connections and never answers.
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const sockets = trackSockets(silent);
  atEnd(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const port = (silent.address() as AddressInfo).port;
  const served = start([
    "doctor",
    "--prometheus",
    "--listen",
    "127.0.0.1:0",
    "--timeout",
    "1s",
    ...monitors(),
    "--monitor",
    `http://127.0.0.1:${port}`,
  ]);
  const url = await waitFor(() => /http:\/\/\S+\/metrics/.exec(served.stderr)?.[0]);
  const scrape = async (): Promise<string> => (await fetch(url)).text();
  const [first] = cluster.servers;
  if (first === undefined) throw new Error("the cluster has servers");

  const silentUp = new RegExp(`${prefix}up{server="http://127.0.0.1:${port}"`);
  const firstUp = new RegExp(`${prefix}up{server="${first.name}"`);
  const serversDown = /finding{severity="critical",code="server-down"}/;
  await waitFor(async () => {
    const text = await scrape();
    return value(text, silentUp) === 0 && value(text, firstUp) === 1 && value(text, serversDown) === 1;
  });
  // As the other servers have seen it, through the system account.
  const system = new Exporter({
    monitors: [],
    tls: {},
    system: { servers: cluster.urls, user: "system", pass: "secret" },
    timeoutMs: 5_000,
    expectedServers: null,
    streams: [],
  });
  atEnd(() => system.close());
  expect(value((await system.read()).text, firstUp)).toBe(1);
  await first.stop();
  await waitFor(async () => value((await system.read()).text, firstUp) === 0);
  const without = await waitFor(async () => {
    const text = await scrape();
    return value(text, firstUp) === 0 && value(text, serversDown) === 2 && text;
  });
  // Its name is remembered, and nothing else is said of it.
  expect(without).not.toMatch(new RegExp(`_(?:connections|routes|info){server="${first.name}"`));
  const [, second] = cluster.servers;
  expect(value(without, new RegExp(`${prefix}routes{server="${second?.name}"`))).toBe(1);
  expect(value(without, new RegExp(`${prefix}routes_expected{server="${second?.name}"`))).toBeGreaterThan(1);
  await first.start();
  await waitFor(async () => value(await scrape(), serversDown) === 1);

  // Scrapes at the same time share one reading of the servers.
  const same = await Promise.all(Array.from({ length: 20 }, scrape));
  expect(new Set(same.map((text) => /_read_seconds{.*/.exec(text)?.[0])).size).toBeLessThan(5);
  expect(await fetch(url.replace("/metrics", "/"))).toMatchObject({ status: 404 });
  expect(await fetch(url, { method: "POST" })).toMatchObject({ status: 405 });
  process.kill(served.pid, "SIGTERM");
  expect(await served.exit).toEqual({ code: 0, signal: null });
});

test("says what is wrong with its options, and exits with 4 if no server answers", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const [taken, readOnly, permissions, nothing, listen, both, unreachable] = await Promise.all([
    cli(["doctor", "--prometheus", "--listen", `${port}`, "--monitor", "http://127.0.0.1:1"]),
    cli(["doctor", "--read-only"]),
    cli(["doctor", "--permissions", "shop"], { env: { NATS_LEADER_PASSWORD: "p" } }),
    cli(["doctor", "--prometheus"]),
    cli(["doctor", "--listen", "9466"]),
    cli(["doctor", "--prometheus", "--watch"]),
    cli(["doctor", "--prometheus", "--monitor", "http://127.0.0.1:1"]),
  ]);
  other.close();
  expect(taken).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`cannot listen at 127.0.0.1:${port}: another process uses this port`),
  });
  expect(readOnly).toMatchObject({ code: 2, stderr: expect.stringContaining("--read-only is for --bucket") });
  expect(permissions).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("nothing to try: add --bucket"),
  });
  expect(nothing).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("pass --monitor http://HOST:8222"),
  });
  expect(listen).toMatchObject({ code: 2, stderr: expect.stringContaining("--listen is for --prometheus") });
  expect(both).toMatchObject({ code: 2, stderr: expect.stringContaining("cannot be used with") });
  expect(unreachable).toMatchObject({
    code: 4,
    stderr: expect.stringContaining("http://127.0.0.1:1: no answer"),
  });
  expect(value(unreachable.stdout, /server_up{/)).toBe(0);
});

function trackSockets(server: Server): Set<{ destroy(): void }> {
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  return sockets;
}
