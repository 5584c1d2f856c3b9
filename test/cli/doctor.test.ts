/** `doctor` on real servers: facts, findings and exit codes. */
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import type { DoctorOptions } from "../../src/doctor/doctor.ts";
import { diagnose } from "../../src/doctor/findings/diagnose.ts";
import type { Finding } from "../../src/doctor/findings/finding.ts";
import { newStreamConfig } from "../../src/nats/lease/stream-config.ts";
import { type PermissionRole, permissionsFor } from "../../src/nats/permissions.ts";
import { runCommand } from "../../src/system/run-command.ts";
import { type NatsServer, startNatsServer } from "../../src/testing.ts";
import { accountOf, examined, found } from "../support/cli/examine.ts";
import { configFor, start, startCluster, startDaemon } from "../support/cli/run-cli.ts";
import { jsonHere, runHere } from "../support/cli/run-here.ts";
import { bucket as healthyBucket, facts as healthyFacts } from "../support/doctor/healthy-cluster.ts";
import { freshId } from "../support/fresh-id.ts";
import {
  accountsConfig,
  CLUSTER,
  connectAs,
  login,
  type Role as RoleName,
  STREAM,
} from "../support/nats/permission-roles.ts";
import { operatorOf } from "../support/node/operator.ts";
import { startLeader, startNode } from "../support/node/test-node.ts";
import { findNatsCli } from "../support/processes/nats-cli.ts";
import { useNatsCluster, useNatsServer } from "../support/use-server.ts";

/** The part of the `--json` output that these tests read. */
interface Report {
  readonly verdict: string;
  readonly exitCode: number;
  readonly findings: readonly Finding[];
  /** Only with `--watch`. */
  readonly rates?: readonly {
    readonly server: string;
    readonly inMsgsPerS: number | null;
    readonly connectsPerMin: number | null;
  }[];
}

const nats = await findNatsCli();
const why = "missing" in nats ? ` (skipped: ${nats.missing})` : "";
const SECRET = { NATS_LEADER_SYSTEM_PASSWORD: "secret" };
const codes = (report: Report): string[] => report.findings.map(({ code }) => code);
const doctor = (args: readonly string[], env: Readonly<Record<string, string>> = SECRET) =>
  jsonHere<Report>(["doctor", "--timeout", "10s", ...args], env);

describe("on a single server", () => {
  const server = useNatsServer();

  test("reads servers, bucket, nodes and clocks, and finds nodes that do not fit together", async () => {
    const clusterId = freshId();
    const monitors = [new URL(server.monitorUrl)];
    const account = accountOf(clusterId, { servers: server.url });
    const before = await examined({ ...account, monitors });
    expect(found(before)).toEqual(["warning bucket-missing"]);
    expect(before.findings[0]?.what).toBe(`it does not exist, and no node of cluster "${clusterId}" answers`);
    expect(before.facts.unseen).toEqual([]);

    await startCluster(server, clusterId, ["a", "b"]);
    const { facts, findings } = await examined({ ...account, monitors, expectedNodes: 2 });
    expect(findings).toEqual([]);
    expect(facts).toMatchObject({
      unseen: [],
      servers: [{ name: server.name, url: server.monitorUrl, version: server.version, routes: null }],
      bucket: { replicas: 1, leader: server.name },
      lease: { leader: "a" },
      nodes: [{ nodeId: "a" }, { nodeId: "b" }],
    });
    // All clocks are those of this machine, so the offset lies within the error bound.
    const clocks = [...facts.servers, ...(facts.nodes ?? [])].map(({ clock }) => clock);
    for (const clock of clocks) {
      expect(clock).toMatchObject({ offsetMs: expect.any(Number), ratePpm: expect.any(Number) });
      expect(Math.abs(clock?.offsetMs ?? 0)).toBeLessThanOrEqual((clock?.offsetErrorMs ?? 0) + 1);
    }

    const election = { leaseTtlMs: 5_000, heartbeatIntervalMs: 1_000, crashDetection: "lease" } as const;
    await startDaemon(configFor(server, clusterId, "b", { election }));
    const where = ["--cluster-id", clusterId, "--nats-url", server.url, "--monitor", server.monitorUrl];
    const { code, value } = await doctor(where);
    expect([code, value.exitCode, value.verdict]).toEqual([5, 5, "warning"]);
    expect(codes(value).sort()).toEqual(["duplicate-id", "presence-off", "ttls-differ"]);
  });

  test("finds garbage on the key of the lease, nodes that are missing, and a mistake in the cluster id", async () => {
    const clusterId = freshId();
    const where = { servers: server.url };
    await startLeader(server, { clusterId, nodeId: "a" });
    const { account } = accountOf(clusterId, where);
    // The whole time limit is waited for nodes that are missing.
    const hasty = account === null ? null : { ...account, timeoutMs: 1_000 };
    const short = await examined({ clusterId, account: hasty, expectedNodes: 3 });
    expect(found(short)).toEqual(["warning nodes-missing"]);
    expect(short.findings[0]?.what).toBe(
      "1 of 3 expected nodes answer and compete (a): no node takes over from a",
    );
    // Without a node, nothing replaces it.
    const abandoned = freshId();
    const watcher = await startNode(server, { clusterId: abandoned, nodeId: "w" });
    await watcher.node.stop();
    await (await operatorOf(server, abandoned)).put("hello world");
    const garbage = await examined(accountOf(abandoned, where));
    expect(found(garbage)).toEqual(["critical lease-garbage"]);
    expect(garbage.findings[0]?.what).toMatch(/is not a lease record \(.+\), stored \d+ ms ago/);
    const mistaken = await examined(accountOf(`${clusterId}x`, where));
    expect(found(mistaken)).toEqual(["warning bucket-missing"]);
    expect(mistaken.facts.otherClusters).toContain(clusterId);
    const args = ["--cluster-id", `${clusterId}x`, "--nats-url", server.url, "--expect-nodes", "2"];
    const { code, value } = await doctor(args);
    expect([code, codes(value)]).toEqual([5, ["bucket-missing", "nodes-missing"]]);
  });

  test("with --watch prints the start and the end of findings; the last examination decides the exit code", async () => {
    const mortal = await startNatsServer();
    try {
      const where = ["--monitor", mortal.monitorUrl, "--watch", "--interval", "50ms"];
      const lines = start<Report>(["doctor", ...where, "--json"]);
      const text = start(["doctor", ...where]);
      await lines.next((line) => line.verdict === "ok");
      await text.next((line) => line.text?.endsWith("  ok") === true);
      await mortal.stop();
      await lines.next((line) => line.findings.some(({ code }) => code === "server-down"));
      await text.next((line) => /CRITICAL.*\[server-down\].*no answer from/.test(line.text ?? ""));
      await mortal.start();
      await text.next((line) => /over: CRITICAL.*\[server-down\]/.test(line.text ?? ""));
      // A server that has just started may have findings of its own for a moment.
      await lines.next((line) => codes(line).includes("server-restarted") && line.verdict === "ok");
      // The probe of its start is a connection, too, which may fall into the first interval.
      const next = await lines.next((line) => line.rates?.[0]?.connectsPerMin === 0);
      expect(next.rates).toMatchObject([{ server: mortal.name, inMsgsPerS: expect.any(Number) }]);
      lines.kill("SIGINT");
      // An examination may have ended between the line above and the signal, with findings of a busy machine.
      const { code } = await lines.exit;
      expect(code).toBe(lines.lines.at(-1)?.exitCode);
      await mortal.stop();
      await text.next((line) => /CRITICAL.*\[server-down\].*no answer from/.test(line.text ?? ""));
      text.kill("SIGTERM");
      expect((await text.exit).code).toBe(4);
    } finally {
      await mortal.dispose();
    }
  });

  test("exits 4 if nothing is reachable and 2 for invalid usage; an invalid monitoring port is a finding", async () => {
    const unreachable = accountOf("x", { servers: "nats://127.0.0.1:1" });
    const none = ["--monitor", "http://127.0.0.1:1", "--cluster-id", "x", "--nats-url", "nats://127.0.0.1:1"];
    const usage = await runHere(["doctor", "--system-user", "x"]);
    const [nothing, half, foreign, alone] = await Promise.all([
      doctor(none),
      examined({ ...unreachable, monitors: [new URL(server.monitorUrl)] }),
      examined({ monitors: [new URL(server.url.replace("nats:", "http:"))], timeoutMs: 500 }),
      // A server without configured users puts every user into the global account.
      examined({ system: { servers: [server.url], user: "unknown", pass: "" } }),
    ]);
    expect([nothing.code, found(nothing.value)]).toEqual([
      4,
      ["critical no-connection", "critical server-down"],
    ]);
    // A server that answers late counts as unhealthy.
    expect(found(half)).toContain("critical no-connection");
    expect(found(half)).not.toContain("critical server-down");
    expect(found(foreign)).toEqual(["critical server-down"]);
    expect(alone.findings).toMatchObject([{ where: "the system account", code: "no-connection" }]);
    expect(usage).toMatchObject({ code: 2, stderr: expect.stringContaining("NATS_LEADER_SYSTEM_PASSWORD") });
    for (const [args, message] of [
      [["--interval", "1s"], "--interval is for --watch, which is missing"],
      [["--system-password-file", "x"], "--system-password-file is for --system-user, which is missing"],
    ] as const)
      expect(await runHere(["doctor", ...args])).toMatchObject({
        code: 2,
        stderr: expect.stringContaining(message),
      });
  });
});

describe("a user who lacks one direction of a subject that nodes publish to and hear", () => {
  const set = permissionsFor({ clusterId: CLUSTER, role: "node" });
  const without = (list: readonly string[]): string =>
    JSON.stringify(list.filter((subject) => subject !== "nats_leader.beat.>"));
  const user = (name: string, publish: string, subscribe: string): string =>
    `{ user: ${name}, password: p, permissions { publish { allow: ${publish} }, subscribe { allow: ${subscribe} } } }`;
  const server = useNatsServer({
    config: `accounts { A { jetstream: enabled, users: [
      ${user("mute", without(set.publish), JSON.stringify(set.subscribe))}
      ${user("deaf", JSON.stringify(set.publish), without(set.subscribe))}
    ] } }`,
  });

  test.each([
    ["mute", "publish"],
    ["deaf", "subscribe"],
  ])("(%s) lacks only this one", async (name, direction) => {
    const login = { servers: server.url, user: name, pass: "p", inboxPrefix: "_INBOX_node" };
    const { facts } = await examined(accountOf(CLUSTER, login, "node"));
    const missing = facts.permissions?.tried.filter(({ allowed }) => allowed === false);
    expect(missing).toMatchObject([{ direction, subject: "nats_leader.beat.>" }]);
  });
});

describe("on a cluster of three", () => {
  const systemAccount = 'SYS { users: [{ user: system, password: "secret" }] }';
  const accounts = accountsConfig().replace("accounts {", `accounts { ${systemAccount}`);
  const cluster = useNatsCluster({ config: `${accounts}\nsystem_account: SYS\n` });

  const system = (): Partial<DoctorOptions> => ({
    system: { servers: cluster.urls, user: "system", pass: "secret" },
  });
  const byMonitor = (): Partial<DoctorOptions> => ({
    monitors: cluster.servers.map(({ monitorUrl }) => new URL(monitorUrl)),
  });
  const as = (user: RoleName, role: PermissionRole | null): Partial<DoctorOptions> =>
    accountOf(CLUSTER, loginOf(user), role);
  const loginOf = (user: RoleName) => {
    const [first] = cluster.servers;
    if (first === undefined) throw new Error("three servers were started");
    return { ...login(first, user), servers: cluster.urls };
  };

  test("each role has the permissions it needs and reads what it may; another user of the account reads nothing", async () => {
    const [ports, all, early] = await Promise.all([
      examined(byMonitor()),
      examined(system()),
      examined(as("node", "node")),
    ]);
    const names = cluster.servers.map(({ name }) => name);
    for (const { facts, findings } of [ports, all]) {
      expect(findings).toEqual([]);
      expect(facts.servers.map(({ name, routes, meta }) => [name, routes?.length, meta?.size])).toEqual(
        names.map((name) => [name, 2, 3]),
      );
    }
    // A node can read little of the servers, and may not create the bucket.
    expect(found(early)).toEqual(["warning bucket-missing"]);
    expect(early.facts.servers.map(({ name }) => name)).toEqual(names);
    expect(early.facts.unseen.map(({ how }) => how).join()).toMatch(/\$SRV\.INFO.*--monitor/);

    await startLeader(loginOf("creator"), { clusterId: CLUSTER, nodeId: "a", ...loginOf("creator") });
    const [operator, observer, application] = await Promise.all([
      examined(as("operator", "operator")),
      examined(as("observer", "observer")),
      examined(as("application", null)),
    ]);
    // It may not ask the leader, so that its silence means nothing.
    expect(found(observer)).toEqual([]);
    expect(observer.facts.lease).toMatchObject({ leader: "a", answers: null });
    expect(found(operator)).toEqual(["note no-standby"]);
    expect(operator.facts).toMatchObject({
      bucket: { replicas: 3 },
      lease: { leader: "a" },
      nodes: [{ nodeId: "a", clock: { offsetMs: expect.any(Number), ratePpm: expect.any(Number) } }],
    });
    const missing = application.findings
      .map(({ severity, code, what }) => `${severity} ${code} ${what}`)
      .join("\n");
    expect(missing).toMatch(/^critical permission-missing it may not publish \$JS\.API\.STREAM\.INFO/m);
    expect(missing).toMatch(/^warning permission-missing it may not subscribe nats_leader\.lease\./m);
    expect(application.facts).toMatchObject({ bucket: null, lease: null, nodes: null });
  });

  test.skipIf("missing" in nats)(
    `its advice on replicas works with the nats command, as the administrator${why}`,
    async () => {
      const { url } = cluster.servers[0] ?? { url: "" };
      const { user, pass, inboxPrefix } = loginOf("administrator");
      const { connection } = await connectAs({ url }, "administrator");
      const api = async (
        call: string,
        body: object | string,
      ): Promise<{ config?: { num_replicas: number } }> =>
        (
          await connection.request(
            `$JS.API.STREAM.${call}.${STREAM}`,
            typeof body === "string" ? body : JSON.stringify(body),
          )
        ).json();
      await api("DELETE", "");
      await api("CREATE", newStreamConfig(CLUSTER, 1, 0));
      const [advised] = diagnose(healthyFacts({ bucket: healthyBucket({ replicas: 1 }) }));
      const command = /nats (kv edit .+)$/.exec(advised?.todo ?? "")?.[1]?.split(" ") ?? [];
      expect(command).toEqual(["kv", "edit", `KV_CLUSTER_${CLUSTER}`, "--replicas", "3"]);
      const credentials = [
        "--server",
        url,
        "--user",
        user,
        "--password",
        pass,
        "--inbox-prefix",
        inboxPrefix,
      ];
      await runCommand("path" in nats ? nats.path : "", [...credentials, ...command], { timeoutMs: 20_000 });
      expect((await api("INFO", "")).config).toMatchObject({
        num_replicas: 3,
        republish: { src: `$KV.KV_CLUSTER_${CLUSTER}.leader` },
      });
    },
  );

  test("both sources count traffic, failed requests of the API, logins that were refused, and bytes that wait for routes", async () => {
    const [first] = cluster.servers;
    if (first === undefined) throw new Error("three servers were started");
    const refused = connect({ servers: first.url, user: "node", pass: "wrong", reconnect: false });
    await expect(refused).rejects.toThrow(/Authorization/);
    const { connection } = await connectAs(first, "administrator");
    await connection.request(`$JS.API.STREAM.CREATE.${STREAM}`, "no JSON");
    const [ports, all] = await Promise.all([examined(byMonitor()), examined(system())]);
    for (const { facts } of [ports, all]) {
      const server = facts.servers.find(({ name }) => name === first.name);
      expect(server).toMatchObject({
        serverId: expect.stringMatching(/^N[A-Z0-9]+$/),
        traffic: { inMsgs: expect.any(Number), outBytes: expect.any(Number) },
        routePending: cluster.servers.slice(1).map(({ name }) => ({ to: name, bytes: expect.any(Number) })),
        open: { listed: server?.open?.total, idle: 0 },
      });
      expect(server?.closed?.authentication).toBeGreaterThanOrEqual(1);
      expect(server?.closed?.all).toBeGreaterThanOrEqual(server?.closed?.authentication ?? 1);
      expect(server?.totalConnections).toBeGreaterThan(server?.connections ?? 0);
      // The request was served by the leader of the meta group, which may be any of the servers.
      const errors = facts.servers.map(({ api }) => api?.errors ?? 0);
      expect(Math.max(...errors)).toBeGreaterThanOrEqual(1);
    }
  });

  test("a node lists a server that answers long after the others", async () => {
    const meta = await cluster.metaLeader();
    const late = cluster.servers.find((server) => server !== meta);
    if (late === undefined) throw new Error("three servers were started");
    const others = cluster.servers.filter((server) => server !== late);
    const login = { ...loginOf("node"), servers: others.map(({ url }) => url) };
    const names = cluster.servers.map(({ name }) => name);
    await late.pause();
    const examining = examined(accountOf(CLUSTER, login, "node"));
    // Twice the time that the doctor waits for further answers when all servers that it knows of have answered.
    await pause(1_500);
    await late.resume();
    expect((await examining).facts.servers.map(({ name }) => name)).toEqual(names);
  });

  test("lists the nodes that answer while the lease cannot be read", async () => {
    await startLeader(loginOf("creator"), { clusterId: CLUSTER, nodeId: "a", ...loginOf("creator") });
    const leads = (await examined(as("operator", "operator"))).facts.bucket?.leader;
    // Only the leader of the bucket's stream answers reads.
    const awake = cluster.servers.find(({ name }) => name !== leads);
    if (awake === undefined) throw new Error("three servers were started");
    const frozen = cluster.servers.filter((server) => server !== awake);
    const here = { servers: awake.url };
    const follower = { clusterId: CLUSTER, nodeId: "b", ...loginOf("creator"), ...here };
    await startNode(loginOf("creator"), follower);
    await Promise.all(frozen.map((server) => server.pause()));
    try {
      const { account } = accountOf(CLUSTER, { ...loginOf("operator"), ...here }, "operator");
      const hasty = account === null ? null : { ...account, timeoutMs: 1_000 };
      const { facts, findings } = await examined({ clusterId: CLUSTER, account: hasty });
      expect(facts.lease).toBeNull();
      expect(facts.nodes?.find(({ nodeId }) => nodeId === "b")).toMatchObject({ state: "follower" });
      expect(facts.unseen.map(({ what }) => what)).not.toContain("the nodes of the cluster");
      expect(findings[0]).toMatchObject({ severity: "critical" });
    } finally {
      await Promise.all(frozen.map((server) => server.resume()));
    }
    await cluster.ready();
  });

  test("every source reports a frozen server and a lost server", async () => {
    await startLeader(loginOf("creator"), { clusterId: CLUSTER, nodeId: "a", ...loginOf("creator") });
    // Losing a server that leads neither the bucket nor the meta group causes no raft election, only the loss itself.
    const withoutLead = async (): Promise<NatsServer> => {
      await cluster.ready();
      const { facts } = await examined(as("operator", "operator"));
      const leaders = [facts.bucket?.leader, (await cluster.metaLeader())?.name];
      const found = cluster.servers.find(({ name }) => !leaders.includes(name));
      if (found === undefined) throw new Error("every server leads the bucket or the meta group");
      return found;
    };
    const frozenServer = await withoutLead();
    await frozenServer.pause();
    const awake = cluster.servers.filter((server) => server !== frozenServer);
    const connected = { servers: awake.map(({ url }) => url), user: "system", pass: "secret" };
    const frozen = await examined({ system: connected, timeoutMs: 2_000 });
    await frozenServer.resume();
    expect(frozen.findings.find(({ where }) => where === frozenServer.name)).toMatchObject({
      code: "server-down",
    });

    // A server that was frozen may call for an election, after which another one leads.
    const lost = await withoutLead();
    const others = cluster.servers.filter((server) => server !== lost);
    await lost.stop();
    const monitors = ["--monitor", ...cluster.servers.map(({ monitorUrl }) => monitorUrl)];
    const [ports, all, account] = await Promise.all([
      doctor(monitors),
      examined(system()),
      examined(as("operator", "operator")),
    ]);
    expect([ports.code, ports.value.verdict, all.verdict, account.verdict]).toEqual([
      ...[6, "critical", "critical", "critical"],
    ]);
    // One finding each, with consequences. Shortly after the loss only the missing routes show it.
    expect(found(ports.value)).toEqual(["critical server-down"]);
    expect(found(all)).toEqual([expect.stringMatching(/critical (meta-peer-offline|routes-missing)/)]);
    for (const [finding] of [ports.value.findings, all.findings]) {
      const reports = [finding, ...(finding?.consequences ?? [])];
      const routes = reports.filter((one) => one?.code === "routes-missing");
      expect(routes.map((one) => one?.where)).toEqual(others.map(({ name }) => name));
      for (const one of routes) expect(one?.what).toContain(`none to ${lost.name}`);
    }
    // A leader that was connected to the lost server may not answer yet: a consequence.
    const faults = found(account).filter((finding) => finding !== "note no-standby");
    expect(faults).toEqual(["critical bucket-peer-offline"]);
  });
});
