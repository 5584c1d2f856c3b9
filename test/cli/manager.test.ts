/** `Manager` as a library. */
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import type { FileConfig } from "../../src/config/file/types.ts";
import type { Mount } from "../../src/http/options.ts";
import { ClusterError, type Hooks } from "../../src/index.ts";
import { ClusterClient } from "../../src/manager/cluster-client.ts";
import { Manager, type ManagerHooks, type ManagerOptions } from "../../src/manager/manager.ts";
import type { TermResource } from "../../src/manager/term-resource.ts";
import { atEnd } from "../support/at-end.ts";
import {
  cli,
  configFile,
  configFor,
  ELECTION,
  folder,
  json,
  leads,
  start,
  startCluster,
  startDaemon,
} from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

test("the constructor checks the configuration as loadConfig does", () => {
  const config = configFor(server, "x", "a", { election: { leaseTtlMs: 2_000, heartbeatIntervalMs: 1_000 } });
  expect(() => new Manager(config)).toThrow(
    /election.heartbeatIntervalMs 1000 must be less than half of leaseTtlMs/,
  );
  expect(() => new Manager({ clusterId: "x", nodeId: "", nats: { servers: [] } })).toThrow(
    /nodeId ""[\s\S]*nats.servers/,
  );
});

test("promote() and runDaemon() refuse a signal that is none before they begin", async () => {
  const calls: string[] = [];
  const hooks = { onDaemonStart: () => void calls.push("start") };
  const manager = new Manager(configFor(server, "x", "a"), hooks, { logger: false });
  for (const call of [manager.promote.bind(manager), manager.runDaemon.bind(manager)]) {
    await expect(call({ signal: new AbortController() as never })).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: "signal must be an AbortSignal, not an AbortController: pass its property signal",
    });
  }
  expect(calls).toEqual([]);
});

test("init writes a file that a daemon can be started from", () => {
  const path = join(folder(), "sub", "cluster.json");
  expect(new Manager(configFor(server, "billing", "a")).init(path)).toBeNull();
  const written = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  expect(written).toMatchObject({ clusterId: "billing", nodeId: "a", nats: { servers: [server.url] } });
  expect(new Manager(configFor(server, "billing", "b")).init(path)).toBe(`${path}.bak`);
});

describe("runDaemon", () => {
  test("calls every hook in order, and rejects a second call", async () => {
    const calls: string[] = [];
    // The methods of a class are not own properties: spreading the hooks would lose them.
    class Application implements ManagerHooks {
      onDaemonStart = (): void => void calls.push("daemon start");
      onBecomeLeader(): void {
        calls.push("become");
      }
      onLoseLeadership(): void {
        calls.push("lose");
      }
      onDaemonStop(): void {
        calls.push("daemon stop");
      }
    }
    const daemon = await startDaemon(configFor(server, freshId(), "a"), new Application());
    const { manager } = daemon;
    await waitFor(() => calls.includes("become"));
    expect(manager.running).toBe(true);
    // On a busy machine the event loop may pause for longer than a check of the connection counts; the role is then PASSIVE.
    const status = await waitFor(async () => {
      const found = await manager.status();
      return found.role === "PRIMARY" ? found : null;
    });
    expect(status).toMatchObject({ leader: "a", epoch: 1, connected: true });
    await expect(manager.runDaemon()).rejects.toMatchObject({ code: "ALREADY_STARTED" });
    await expect(manager.join()).rejects.toMatchObject({ code: "ALREADY_STARTED" });
    await daemon.stop();
    expect(calls).toEqual(["daemon start", "become", "lose", "daemon stop"]);
    expect(manager.running).toBe(false);
  });

  test("that cannot start rejects with the reason, after onDaemonStop", async () => {
    const calls: string[] = [];
    const config = configFor({ url: "nats://127.0.0.1:1" }, freshId(), "a");
    const manager = new Manager(config, { onDaemonStop: () => void calls.push("stop") }, { logger: false });
    await expect(manager.runDaemon()).rejects.toMatchObject({ code: "NO_CONNECTION" });
    expect(calls).toEqual(["stop"]);
    expect(await manager.status()).toMatchObject({
      connected: false,
      daemon: "unknown",
      error: expect.any(String),
    });
  });

  test("calls onDaemonStop after an onDaemonStart that throws, and does not connect", async () => {
    const calls: string[] = [];
    const hooks: ManagerHooks = {
      onDaemonStart: () => {
        calls.push("start");
        throw new Error("not today");
      },
      onDaemonStop: () => void calls.push("stop"),
    };
    const manager = new Manager(configFor({ url: "nats://127.0.0.1:1" }, "x", "a"), hooks, { logger: false });
    await expect(manager.runDaemon()).rejects.toThrow("not today");
    expect(calls).toEqual(["start", "stop"]);
    expect([manager.node, manager.running]).toEqual([null, false]);
  });

  describe("calls neither onDaemonStart nor onDaemonStop of a daemon that cannot run:", () => {
    const http = { listen: "127.0.0.1:0" };
    const vip = { address: "192.0.2.1", netmask: 32, interface: "eth0" };
    const taken = async (): Promise<Partial<FileConfig>> => {
      const other = createServer().listen(0, "127.0.0.1");
      await once(other, "listening");
      atEnd(() => other.close());
      return { http: { listen: `127.0.0.1:${(other.address() as AddressInfo).port}` } };
    };
    const withToken = (token: string): Partial<FileConfig> => {
      const tokenFile = join(folder(), "token");
      writeFileSync(tokenFile, token);
      return { http: { ...http, tokenFile } };
    };
    const unfit: TermResource = {
      check: async () => {
        throw new ClusterError("VIP_FAILED", "there is no such interface");
      },
      hooks: (application) => application,
      held: false,
      close: async () => {},
    };

    test.each<
      [
        name: string,
        code: string,
        config: () => Partial<FileConfig> | Promise<Partial<FileConfig>>,
        options?: ManagerOptions,
      ]
    >([
      ["a token that is too short", "INVALID_CONFIG", () => withToken("short")],
      ["no file of the token", "INVALID_CONFIG", () => ({ http: { ...http, tokenFile: "/none" } })],
      ["a mount that is none", "INVALID_CONFIG", () => ({ http }), { mounts: { "/x/": {} as Mount } }],
      ["a port that is in use", "LISTEN_FAILED", taken],
      ["no provider of the virtual IP", "INVALID_CONFIG", () => ({ vip })],
      ["a host without its interface", "VIP_FAILED", () => ({ vip }), { vip: () => unfit }],
    ])("%s", async (_name, code, more, options = {}) => {
      const calls: string[] = [];
      const hooks: ManagerHooks = {
        onDaemonStart: () => void calls.push("start"),
        onDaemonStop: () => void calls.push("stop"),
      };
      const config = configFor(server, freshId(), "a", await more());
      const manager = new Manager(config, hooks, { logger: false, ...options });
      await expect(manager.runDaemon()).rejects.toMatchObject({ code });
      expect(calls).toEqual([]);
      expect(manager.running).toBe(false);
    });
  });
});

test("promote, demote and leave act on a daemon through NATS, and status reads it", async () => {
  const clusterId = freshId();
  // A long cooldown keeps a node that stepped down from leading again at once.
  const election = { ...ELECTION, cooldownMs: 60_000 };
  const [a, b, c] = await startCluster(server, clusterId, ["a", "b", "c"], { election });
  if (a === undefined || b === undefined || c === undefined) throw new Error("three daemons were started");
  const remote = new Manager(b.config, {}, { logger: false });
  expect(await remote.status()).toMatchObject({
    nodeId: "b",
    role: "PASSIVE",
    leader: "a",
    daemon: "running",
  });
  expect(await remote.promote()).toMatchObject({ nodeId: "b", from: "a", epoch: 2, already: false });
  expect(leads(b)).toBe(true);
  expect(await remote.demote()).toEqual({ demoted: true, epoch: 2 });
  // The cooldown of a has ended: b has led since.
  await waitFor(() => leads(a) || leads(c));
  expect(await remote.demote()).toEqual({ demoted: false, leader: leads(a) ? "a" : "c" });
  expect(await remote.leave()).toBe(true);
  await expect(remote.promote()).rejects.toMatchObject({ code: "HANDOVER_REFUSED" });
  expect((await remote.join()).competes).toBe(true);
  expect(b.manager.node?.competes).toBe(true);
  await b.stop();
  expect(await remote.leave()).toBe(false);
  await expect(remote.promote()).rejects.toMatchObject({ code: "NO_CONNECTION" });
});

test("a daemon that is frozen is neither absent nor changed: join, leave, promote and status --self say so", async () => {
  const config = configFor(server, freshId(), "a");
  const daemon = start<{ readonly text?: string }>(["daemon", "--config", configFile(config)]);
  await daemon.next((line) => line.text?.includes("This node is now the LEADER") === true);
  const remote = new Manager(config, {}, { logger: false, timeoutMs: 500 });
  const self = () => cli(["status", "--self", "--config", configFile(config)]);
  daemon.kill("SIGSTOP");
  const client = await ClusterClient.connect({ clusterId: config.clusterId, servers: server.url });
  atEnd(() => client.close());
  await expect(client.stepDown("a", undefined, 300)).rejects.toMatchObject({
    code: "NO_CONNECTION",
    message: expect.stringMatching(/did not answer within 3\d\d ms; what was requested may still happen/),
  });
  const silent = { code: "NO_CONNECTION", message: expect.stringContaining("frozen or overloaded") };
  await expect(remote.join()).rejects.toMatchObject(silent);
  await waitFor(async () => (await remote.status()).leader === "", { message: "the end of its lease" });
  await expect(remote.leave()).rejects.toMatchObject(silent);
  await expect(remote.join()).rejects.toMatchObject(silent);
  await expect(remote.promote()).rejects.toMatchObject(silent);
  expect((await remote.status()).daemon).toBe("not answering");
  expect(await self()).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('the daemon of node "a" is not answering'),
  });
  daemon.kill("SIGCONT");
  expect(await waitFor(() => remote.leave().catch(() => false))).toBe(true);
  // Without a leader, too.
  expect((await self()).code).toBe(0);
  daemon.kill("SIGTERM");
  await daemon.exit;
  expect((await remote.status()).daemon).toBe("not running");
});

test("commands for one node refuse a node id that two processes have", async () => {
  const config = configFor(server, freshId(), "twin");
  const first = await startDaemon(config);
  await waitFor(() => leads(first));
  const second = await startDaemon(config);
  const remote = new Manager(config, {}, { logger: false });
  const twice = { code: "INVALID_CONFIG", message: expect.stringContaining("two processes answer") };
  await expect(remote.demote()).rejects.toMatchObject(twice);
  await expect(remote.leave()).rejects.toMatchObject(twice);
  await expect(remote.join()).rejects.toMatchObject(twice);
  await expect(remote.promote()).rejects.toMatchObject({ code: "HANDOVER_REFUSED" });
  expect([leads(first), leads(second)]).toEqual([true, false]);
});

test("leave by the daemon itself waits for its work", async () => {
  const calls: string[] = [];
  const a = await startDaemon(configFor(server, freshId(), "a"), {
    onLoseLeadership: async (_term, reason) => {
      await new Promise((resolve) => setImmediate(resolve));
      calls.push(reason);
    },
  });
  await waitFor(() => leads(a));
  expect(await a.manager.leave()).toBe(true);
  expect(calls).toEqual(["released"]);
  expect(a.manager.node?.role).toBe("follower");
});

/** Records the calls to it. */
class FakeVip implements TermResource {
  readonly #calls: string[];
  held = false;

  constructor(calls: string[]) {
    this.#calls = calls;
  }

  async check(): Promise<void> {
    this.#calls.push("check");
  }

  hooks(application: Hooks): Hooks {
    return {
      ...application,
      onBecomeLeader: async (term) => {
        this.held = true;
        this.#calls.push("acquire");
        await application.onBecomeLeader?.(term);
      },
      onLoseLeadership: async (term, reason) => {
        this.held = false;
        this.#calls.push("release");
        await application.onLoseLeadership?.(term, reason);
      },
    };
  }

  async close(): Promise<void> {
    this.#calls.push("close");
  }
}

test("a virtual IP is acquired with the term, shown in the status, and released before the lease", async () => {
  const calls: string[] = [];
  const vip = { address: "192.0.2.1", netmask: 24, interface: "eth0" };
  const config = configFor(server, freshId(), "a", { vip });
  const hooks = {
    onBecomeLeader: () => void calls.push("become"),
    onLoseLeadership: () => void calls.push("lose"),
  };
  const manager = new Manager(config, hooks, {
    logger: false,
    vip: (given) => {
      expect(given).toEqual(vip);
      return new FakeVip(calls);
    },
  });
  const ending = new AbortController();
  const done = manager.runDaemon({ signal: ending.signal });
  atEnd(() => ending.abort());
  await waitFor(() => calls.includes("become"));
  const where = ["--cluster-id", config.clusterId, "--node-id", "a", "--nats-url", server.url];
  expect((await json(["status", ...where])).value).toMatchObject({ role: "PRIMARY", vipHeld: true });
  ending.abort();
  await done;
  expect(calls).toEqual(["check", "acquire", "become", "release", "lose", "close"]);
  await expect(new Manager(config).runDaemon()).rejects.toMatchObject({ code: "INVALID_CONFIG" });
});

test("history can be disabled, and the present term is listed nevertheless", async () => {
  const clusterId = freshId();
  const daemon = await startDaemon(configFor(server, clusterId, "a"));
  await waitFor(() => leads(daemon));
  const off = await startDaemon(configFor(server, freshId(), "a", { history: { enabled: false } }));
  await waitFor(() => leads(off));
  const where = ["--cluster-id", off.config.clusterId, "--nats-url", server.url];
  const read = await cli(["history", ...where]);
  expect(read).toMatchObject({ code: 0, stderr: expect.stringContaining("has no recorded terms") });
  expect(read.stdout).toMatch(/^1 +a .* leads /m);
});
