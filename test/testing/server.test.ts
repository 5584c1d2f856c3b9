import { access, mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { expect, onTestFinished, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { isPortFree } from "../../src/testing/server/run/ports.ts";
import { readInfo } from "../../src/testing/server/run/probe.ts";
import { withNewPorts } from "../../src/testing/server/run/start.ts";
import { type NatsServer, type NatsServerOptions, openServers, startNatsServer } from "../../src/testing.ts";
import { fakeServer, inContainers, isGone, tempDir, testVersion } from "../support/testing/fake-servers.ts";

async function startOne(options: NatsServerOptions = {}): Promise<NatsServer> {
  const server = await startNatsServer({ ...testVersion, ...options });
  onTestFinished(async () => server.dispose());
  return server;
}

async function client(server: NatsServer): Promise<NatsConnection> {
  const nc = await connect({ servers: server.url, reconnect: false });
  onTestFinished(async () => nc.close());
  return nc;
}

test("a server is ready for clients and JetStream when it has started, and its ports are free when it has stopped", async () => {
  const server = await startOne();
  const nc = await client(server);
  expect(nc.info).toMatchObject({ server_name: server.name, version: server.version, jetstream: true });
  expect((await (await jetstreamManager(nc)).getAccountInfo()).streams).toBe(0);
  expect(openServers()).toEqual([server]);
  expect(await isPortFree(server.port, server.host)).toBe(false);
  await server.stop();
  expect(openServers()).toEqual([]);
  expect([server.running, server.pid]).toEqual([false, undefined]);
  expect(await isPortFree(server.port, server.host)).toBe(true);
  expect(await isPortFree(server.monitorPort, server.host)).toBe(true);
});

test("a stream and its message survive a restart and a crash, at the same url", async () => {
  const server = await startOne();
  const { url, pid } = server;
  const before = await client(server);
  await (await jetstreamManager(before)).streams.add({ name: "KEPT", subjects: ["kept"] });
  await jetstream(before).publish("kept", "hello");
  await server.restart();
  expect(server.url).toBe(url);
  if (!inContainers) expect(server.pid).not.toBe(pid);
  await server.kill();
  await server.start();
  const after = await jetstreamManager(await client(server));
  expect((await after.streams.getMessage("KEPT", { seq: 1 }))?.string()).toBe("hello");
});

test("a paused server keeps its port and says nothing; it goes on when resumed", async () => {
  const server = await startOne();
  await server.pause();
  expect([server.running, server.paused]).toEqual([true, true]);
  expect(await readInfo(server.host, server.port, 200)).toBeUndefined();
  expect(await isPortFree(server.port, server.host)).toBe(false);
  await server.resume();
  expect(server.paused).toBe(false);
  expect(await readInfo(server.host, server.port, 5000)).toMatchObject({ server_name: server.name });
});

test("a paused server can be stopped and killed", async () => {
  const server = await startOne();
  await server.pause();
  await server.stop();
  await server.start();
  expect(server.paused).toBe(false);
  await server.pause();
  await server.kill();
  expect(server.running).toBe(false);
});

test("lame duck mode is told to clients, and a server in it can still be stopped at once", async () => {
  const server = await startOne();
  const nc = await client(server);
  const statuses = nc.status();
  const told = (async () => {
    for await (const status of statuses) if (status.type === "ldm") return status.type;
    return "closed";
  })();
  await server.lameDuck();
  expect(await told).toBe("ldm");
  expect(server.running).toBe(true);
  await server.stop();
  expect(server.logs().join("\n")).toMatch(/lame duck/i);
});

test("stop, kill, start and dispose may be repeated, and what needs a running server says so", async () => {
  const server = await startOne();
  await server.start();
  await Promise.all([server.stop(), server.stop()]);
  await server.stop();
  await server.kill();
  expect(await server.exited()).toBeUndefined();
  for (const call of [server.pause(), server.resume(), server.lameDuck()]) {
    await expect(call).rejects.toMatchObject({ code: "not_running" });
  }
  await Promise.all([server.start(), server.start()]);
  await server.stop();
  const ended = await Promise.allSettled([server.start(), server.dispose()]);
  expect(ended.map(({ status }) => status)).toContain("fulfilled");
  expect(server.running).toBe(false);
  await server.dispose();
  await expect(server.start()).rejects.toMatchObject({ code: "disposed" });
});

test.skipIf(inContainers)("a server that ends by itself is noticed and can be started again", async () => {
  const server = await startOne();
  const ended = server.exited();
  process.kill(server.pid ?? Number.NaN, "SIGKILL");
  expect(await ended).toEqual({ code: null, signal: "SIGKILL" });
  expect([server.running, openServers()]).toEqual([false, []]);
  await server.start();
  expect(server.running).toBe(true);
});

test("the extra configuration counts, and JetStream can be off", async () => {
  const config = "max_payload: 4242\nauthorization { user: u, password: p }";
  const server = await startOne({ jetstream: false, config, name: "given" });
  const nc = await connect({ servers: server.url, user: "u", pass: "p" });
  onTestFinished(async () => nc.close());
  expect(nc.info).toMatchObject({ server_name: "given", max_payload: 4242 });
  expect(nc.info?.jetstream ?? false).toBe(false);
  await expect(connect({ servers: server.url, reconnect: false })).rejects.toThrow(/authorization/i);
});

test("a configuration that the server refuses is an error with the server's own words", async () => {
  const start = startNatsServer({ ...testVersion, config: "no_such_thing {" });
  await expect(start).rejects.toMatchObject({ code: "start_failed" });
  await expect(start).rejects.toThrow(/Parse error/);
  expect(openServers()).toEqual([]);
});

test("an aborted start rejects with the reason and leaves no server", async () => {
  await expect(
    startNatsServer({ ...testVersion, signal: AbortSignal.abort(new Error("no")) }),
  ).rejects.toThrow("no");
  expect(openServers()).toEqual([]);
});

test("a port that somebody else took leads to another try with new ports, five at most", async () => {
  const tried: number[] = [];
  const start = withNewPorts(false, async (newPort) => {
    const port = await newPort("127.0.0.1");
    tried.push(port);
    if (tried.length < 3) return startOne({ port: await occupied() });
    return startOne({ port });
  });
  expect((await start).port).toBe(tried[2]);
  expect(new Set(tried).size).toBe(3);
  const port = await occupied();
  let tries = 0;
  const never = withNewPorts(false, async () => {
    tries++;
    return startOne({ port });
  });
  await expect(never).rejects.toMatchObject({ code: "port_in_use" });
  expect(tries).toBe(5);
});

async function occupied(): Promise<number> {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "0.0.0.0", resolve));
  onTestFinished(async () => new Promise<void>((resolve) => other.close(() => resolve())));
  const address = other.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

test.skipIf(inContainers)("a private store goes with dispose, a given one stays", async () => {
  const own = await startOne();
  await own.stop();
  await access(own.storeDir);
  await own.dispose();
  await expect(access(dirname(own.storeDir))).rejects.toThrow("ENOENT");
  const storeDir = join(await tempDir(), "store");
  await mkdir(storeDir);
  const other = await startOne({ storeDir });
  await other.dispose();
  await access(join(storeDir, "jetstream"));
});

test.skipIf(inContainers)("a binary that is missing or no nats-server is a clear error", async () => {
  const dir = await tempDir();
  for (const binary of [join(dir, "missing"), "/bin/echo"]) {
    const start = startNatsServer({ binary });
    await expect(start).rejects.toMatchObject({ code: "bad_binary", name: "NatsServerError" });
    await expect(start).rejects.toThrow(`${binary} is not a nats-server`);
  }
  const dies = await fakeServer(join(dir, "dies"), "2.15.1", "echo cannot go on >&2; exit 3");
  await expect(startNatsServer({ binary: dies })).rejects.toThrow(/exited during startup.*\ncannot go on/);
});

test.skipIf(inContainers)("a server that never becomes ready is ended when its time is up", async () => {
  const dir = await tempDir();
  const hangs = await fakeServer(join(dir, "hangs"), "2.15.1", `echo $$ > ${dir}/pid; exec sleep 60`);
  const start = startNatsServer({ binary: hangs, startTimeoutMs: 300 });
  await expect(start).rejects.toMatchObject({ code: "start_timeout" });
  await expect(start).rejects.toThrow("startTimeoutMs = 300 (no INFO on the client port)");
  const pid = Number(await readFile(join(dir, "pid"), "utf8"));
  await waitFor(async () => isGone(pid), { message: "the end of the server that hung" });
});
