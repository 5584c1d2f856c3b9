import { access, mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { isPortFree } from "../../src/testing/server/run/ports.ts";
import { readInfo } from "../../src/testing/server/run/probe.ts";
import { withNewPorts } from "../../src/testing/server/run/start.ts";
import { type NatsServer, type NatsServerOptions, openServers, startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { fakeServer, inContainers, isGone, tempDir, testVersion } from "../support/testing/fake-servers.ts";

async function startOne(options: NatsServerOptions = {}): Promise<NatsServer> {
  const server = await startNatsServer({ ...testVersion, ...options });
  atEnd(async () => server.dispose());
  return server;
}

async function client(server: NatsServer): Promise<NatsConnection> {
  const nc = await connect({ servers: server.url, reconnect: false });
  atEnd(async () => nc.close());
  return nc;
}

test("a started server is ready for clients and JetStream, and the ports of a stopped server are free", async () => {
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

test("a stream and its message survive a restart and a crash, at the same URL", async () => {
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

test("a paused server keeps its port and sends nothing; it continues when resumed", async () => {
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

test("clients are notified of lame-duck mode, and a server in it can still be stopped at once", async () => {
  const server = await startOne();
  const nc = await client(server);
  const statuses = nc.status();
  const notified = (async () => {
    for await (const status of statuses) if (status.type === "ldm") return status.type;
    return "closed";
  })();
  await server.lameDuck();
  expect(await notified).toBe("ldm");
  expect(server.running).toBe(true);
  await server.stop();
  expect(server.logs().join("\n")).toMatch(/lame duck/i);
});

test("stop, kill, start and dispose are idempotent; pause, resume and lameDuck reject without a running server", async () => {
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

test.skipIf(inContainers)("the exit of a server is detected, and it can be started again", async () => {
  const server = await startOne();
  const ended = server.exited();
  process.kill(server.pid ?? Number.NaN, "SIGKILL");
  expect(await ended).toEqual({ code: null, signal: "SIGKILL" });
  expect([server.running, openServers()]).toEqual([false, []]);
  await server.start();
  expect(server.running).toBe(true);
});

test("additional configuration is applied, and JetStream can be disabled", async () => {
  const config = "max_payload: 4242\nauthorization { user: u, password: p }";
  const server = await startOne({ jetstream: false, config, name: "given" });
  const nc = await connect({ servers: server.url, user: "u", pass: "p" });
  atEnd(async () => nc.close());
  expect(nc.info).toMatchObject({ server_name: "given", max_payload: 4242 });
  expect(nc.info?.jetstream ?? false).toBe(false);
  await expect(connect({ servers: server.url, reconnect: false })).rejects.toThrow(/authorization/i);
});

test("a configuration that the server refuses is an error with the server's message", async () => {
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

test("a port that another process has taken causes a retry with new ports, five attempts at most", async () => {
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
  atEnd(async () => new Promise<void>((resolve) => other.close(() => resolve())));
  const address = other.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

test.skipIf(inContainers)("dispose deletes a private store and keeps a given one", async () => {
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

test.skipIf(inContainers)(
  "a binary that is missing or not a nats-server is an error that names it",
  async () => {
    const dir = await tempDir();
    for (const binary of [join(dir, "missing"), "/bin/echo"]) {
      const start = startNatsServer({ binary });
      await expect(start).rejects.toMatchObject({ code: "bad_binary", name: "NatsServerError" });
      await expect(start).rejects.toThrow(`${binary} is not a nats-server`);
    }
    const dies = await fakeServer(join(dir, "dies"), "2.15.1", "echo cannot go on >&2; exit 3");
    await expect(startNatsServer({ binary: dies })).rejects.toThrow(/exited during startup.*\ncannot go on/);
  },
);

test.skipIf(inContainers)("a server that is not ready within startTimeoutMs is killed", async () => {
  const dir = await tempDir();
  const hangs = await fakeServer(join(dir, "hangs"), "2.15.1", `echo $$ > ${dir}/pid; exec sleep 60`);
  const start = startNatsServer({ binary: hangs, startTimeoutMs: 300 });
  await expect(start).rejects.toMatchObject({ code: "start_timeout" });
  await expect(start).rejects.toThrow("startTimeoutMs = 300 (no INFO on the client port)");
  const pid = Number(await readFile(join(dir, "pid"), "utf8"));
  await waitFor(async () => isGone(pid), { message: "the end of the server that hung" });
});
