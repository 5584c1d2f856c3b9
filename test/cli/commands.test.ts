/** The commands that query or change a running cluster, as text and as JSON. One of them as a process of its own: a start takes a second. */
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import {
  cli,
  configFile,
  configFor,
  leads,
  type RunningDaemon,
  start,
  startCluster,
} from "../support/cli/run-cli.ts";
import { jsonHere, runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { operatorOf } from "../support/node/operator.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

async function two(): Promise<{ a: RunningDaemon; b: RunningDaemon; clusterId: string }> {
  const clusterId = freshId();
  const [a, b] = await startCluster(server, clusterId, ["a", "b"]);
  if (a === undefined || b === undefined) throw new Error("two daemons were started");
  return { a, b, clusterId };
}

describe("queries", () => {
  test("status prints go-cluster's lines and fields", async () => {
    const { a, b, clusterId } = await two();
    const text = await cli(["status", "--config", a.path]);
    const { code, value } = await jsonHere(["status", "-config", b.path]);
    expect(text).toMatchObject({ code: 0, stderr: "" });
    const lines = text.stdout.split("\n");
    expect(lines.slice(0, 6)).toEqual([
      `Cluster:   ${clusterId}`,
      "Node:      a",
      "Role:      PRIMARY",
      "Connected: true",
      "Leader:    a",
      "Epoch:     1",
    ]);
    expect(text.stdout).toMatch(/^VIP Held: {2}false$/m);
    expect(code).toBe(0);
    const go = {
      clusterId,
      nodeId: "b",
      role: "PASSIVE",
      leader: "a",
      epoch: 1,
      vipHeld: false,
      connected: true,
    };
    expect(value).toMatchObject({
      ...go,
      daemon: "running",
      presence: "on",
      lease: { holder: "a", answers: true },
    });
    expect(value["uptimeMs"]).toBeGreaterThan(0);
  });

  test("nodes lists every process with its role, epoch, uptime, presence and round trip time", async () => {
    const { clusterId } = await two();
    const where = ["--cluster-id", clusterId, "--nats-url", server.url];
    const { code, value } = await jsonHere<{ nodes: Record<string, unknown>[] }>(["nodes", ...where]);
    expect(code).toBe(0);
    expect(value).toMatchObject({ clusterId, leader: "a", epoch: 1 });
    expect(value.nodes).toMatchObject([
      {
        nodeId: "a",
        leads: true,
        role: "PRIMARY",
        state: "leader",
        epoch: 1,
        presence: "on",
        competes: true,
      },
      {
        nodeId: "b",
        leads: false,
        role: "PASSIVE",
        state: "follower",
        epoch: 1,
        presence: "on",
        competes: true,
      },
    ]);
    for (const node of value.nodes) {
      expect(node["uptimeMs"]).toBeGreaterThan(0);
      expect(node["roundTripMs"]).toBeGreaterThan(0);
    }
    const text = await runHere(["nodes", ...where]);
    expect(text.stdout).toMatch(
      /^NODE +ROLE +EPOCH +UPTIME +PRESENCE +SILENCE +RTT +BEAT +MARGIN +SUSPENDED +SUSPICIONS +SERVER +VERSION\na +leader +1 /,
    );
  });

  test("without a leader the exit code is 3; if NATS is unreachable it is 4, and the error says what to do", async () => {
    const where = ["--cluster-id", freshId(), "--node-id", "a"];
    const reachable = [...where, "--nats-url", server.url];
    const none = await jsonHere(["status", ...reachable]);
    expect(none.code).toBe(3);
    expect(none.value).toMatchObject({
      leader: "",
      epoch: 0,
      connected: false,
      daemon: "not running",
      lease: null,
    });
    const todo = /has no bucket\. Check the cluster id .*and the account; for a new cluster, start a node/;
    for (const command of [["status"], ["nodes"], ["stepdown"], ["transfer", "b"]])
      expect(await runHere([...command, ...reachable])).toMatchObject({
        code: 3,
        stderr: expect.stringMatching(todo),
      });
    expect(await runHere(["promote", ...reachable])).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(todo),
    });
    expect(await runHere(["history", ...reachable])).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/has no bucket and no recorded terms\. Check the cluster id/),
    });
    const away = await jsonHere(["status", ...where, "--nats-url", "nats://127.0.0.1:1"]);
    expect(away).toMatchObject({ code: 4, value: { connected: false, daemon: "unknown" } });
    const text = await runHere(["nodes", ...where, "--nats-url", "nats://127.0.0.1:1"]);
    expect(text.code).toBe(4);
    expect(text.stderr).toContain("check that a server is running there");
  });

  test("an expired lease has no leader, and status shows its former holder", async () => {
    const clusterId = freshId();
    const operator = await operatorOf(server, clusterId);
    await operator.createBucket(0);
    await operator.put({
      node_id: "z",
      epoch: 7,
      acquired_at: 1_000,
      incarnation: "z1",
      nonce: 1,
      ttl_ms: 1,
    });
    const where = ["--cluster-id", clusterId, "--nats-url", server.url];
    expect(await runHere(["transfer", "b", ...where])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('has no leader; "nats-leader nodes" shows which nodes compete'),
    });
    const { code, value } = await jsonHere(["status", ...where]);
    expect(code).toBe(3);
    expect(value).toMatchObject({
      leader: "",
      epoch: 0,
      lease: { holder: "z", epoch: 7, ttlMs: 1, answers: false },
    });
    expect((await runHere(["status", ...where])).stdout).toMatch(/^Lease: +expired: node z, epoch 7, /m);
    const watching = start(["watch", ...where]);
    const line = await watching.next((one) => one.text !== undefined);
    expect(line.text).toMatch(/lease expired: z, epoch 7, no longer leads$/);
  });
});

describe("changing who leads", () => {
  test("transfer, promote and stepdown --to hand over to the named node", async () => {
    const { a, b, clusterId } = await two();
    const moved = await jsonHere(["transfer", "b", "--config", a.path]);
    expect(moved).toMatchObject({
      code: 0,
      value: { ok: true, nodeId: "b", from: "a", epoch: 2, already: false },
    });
    expect([leads(a), leads(b)]).toEqual([false, true]);
    const promoted = await runHere(["promote", "--config", a.path]);
    expect(promoted).toMatchObject({ code: 0, stdout: "Successfully promoted to leader\n" });
    expect([leads(a), leads(b)]).toEqual([true, false]);
    expect(await runHere(["promote", "--config", a.path])).toMatchObject({
      code: 0,
      stdout: "a already leads\n",
    });
    const where = ["--cluster-id", clusterId, "--nats-url", server.url];
    const down = await jsonHere(["stepdown", "a", "--to", "b", ...where]);
    expect(down).toMatchObject({ code: 0, value: { ok: true, nodeId: "a", epoch: 3, to: "b" } });
    await waitFor(() => leads(b));
    const refused = await runHere(["stepdown", "a", ...where]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("is not the leader") });
    expect(await runHere(["transfer", "absent", ...where])).toMatchObject({ code: 4 });
    expect(await runHere(["stepdown", "--to", "absent", ...where])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cannot hand over to node "absent"'),
    });
    expect(leads(b)).toBe(true);
  });

  test("demote makes a running daemon step down, and does nothing if it does not lead", async () => {
    const { a, b } = await two();
    const idle = await jsonHere(["demote", "--config", b.path]);
    expect(idle).toEqual({ code: 0, value: { ok: true, demoted: false, leader: "a" } });
    expect(await runHere(["demote", "--config", a.path])).toMatchObject({
      code: 0,
      stdout: "Successfully demoted\n",
    });
    await waitFor(() => leads(b));
  });

  test("leave makes a daemon stop competing, and join reverses it", async () => {
    const { a, b } = await two();
    expect(await runHere(["leave", "--config", a.path])).toMatchObject({
      code: 0,
      stdout: "Successfully left cluster\n",
    });
    await waitFor(() => leads(b));
    const refused = await runHere(["promote", "--config", a.path]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("nats-leader join") });
    await jsonHere(["demote", "--config", b.path]);
    // b is the only node that competes, so it leads again after its cooldown.
    await waitFor(() => leads(b));
    expect(b.manager.node?.epoch).toBe(3);
    const joined = await jsonHere(["join", "--config", a.path]);
    expect(joined).toMatchObject({ code: 0, value: { ok: true, status: { leader: "b" } } });
    expect((await jsonHere(["promote", "--config", a.path])).code).toBe(0);
    expect(leads(a)).toBe(true);
  });

  test("without a daemon promote exits 4 and leave succeeds", async () => {
    const { clusterId } = await two();
    const path = configFile(configFor(server, clusterId, "c"));
    const none = await runHere(["promote", "--config", path]);
    expect(none).toMatchObject({ code: 4, stderr: expect.stringContaining('"nats-leader daemon"') });
    expect(await runHere(["leave", "--config", path])).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("no daemon of this node answers"),
    });
    expect((await jsonHere(["status", "--config", path])).value).toMatchObject({
      leader: "a",
      daemon: "not running",
    });
  });
});

describe("a cluster id that is mistyped", () => {
  test("is an error of join, leave and demote, which names the clusters of the account", async () => {
    const clusterId = freshId();
    await startCluster(server, clusterId, ["a"]);
    const typo = configFile(configFor(server, `${clusterId}x`, "a"));
    for (const command of ["join", "leave", "demote"]) {
      const { code, stdout, stderr } = await runHere([command, "--config", typo]);
      expect({ command, code, stdout }).toEqual({ command, code: 1, stdout: "" });
      expect(stderr).toContain(
        `Error: there is no cluster "${clusterId}x": it has no bucket, and no daemon of node "a"`,
      );
      // Other tests have clusters here, too: only the first of many are named.
      expect(stderr).toMatch(
        new RegExp(`\\(this account has the clusters? .*(\\b${clusterId}\\b|\\.\\.\\.)`),
      );
    }
  });
});

describe("history", () => {
  test("lists the past terms and the present one, with their times and the reason of their end", async () => {
    const { a, b } = await two();
    expect((await jsonHere(["transfer", "b", "--config", a.path])).code).toBe(0);
    interface Term {
      readonly nodeId: string;
      readonly epoch: number;
      readonly from: string;
      readonly until: string | null;
      readonly why: string | null;
    }
    const read = async (): Promise<Term[]> =>
      (await jsonHere<{ terms: Term[] }>(["history", "--config", a.path])).value.terms;
    const terms = await waitFor(async () => {
      const found = await read();
      return found.length === 2 && found[0]?.until !== null ? found : null;
    });
    expect(terms).toMatchObject([
      { nodeId: "a", epoch: 1, why: "released" },
      { nodeId: "b", epoch: 2, until: null, why: null },
    ]);
    expect(Date.parse(terms[0]?.until ?? "")).toBeLessThanOrEqual(Date.parse(terms[1]?.from ?? ""));
    await b.stop();
    await waitFor(() => leads(a));
    const later = await waitFor(async () => {
      const found = await read();
      return found.length === 3 ? found : null;
    });
    expect(later.map(({ epoch, why }) => [epoch, why])).toEqual([
      [1, "released"],
      [2, "stopped"],
      [3, null],
    ]);
    const text = await runHere(["history", "--config", a.path, "--last", "1"]);
    expect(text.stdout).toMatch(
      /^EPOCH +NODE +FROM +UNTIL +FOR +MARGIN +SUSPENDED +SERVER +WHY\n3 +a .* leads /,
    );
  });
});
