/** Time limits of commands, Ctrl-C, and a leader that runs go-cluster. */
import { createServer } from "node:net";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { ClusterClient } from "../../src/manager/cluster-client.ts";
import { atEnd } from "../support/at-end.ts";
import { runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { GoClusterPeer } from "../support/node/go-cluster-emulator.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** A server that accepts connections and says nothing. */
async function silentServer(): Promise<string> {
  const listener = createServer((socket) => atEnd(() => socket.destroy()));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  atEnd(() => listener.close());
  const address = listener.address();
  return `nats://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
}

describe("a leader that runs go-cluster", () => {
  test("is not asked to hand over to a named node, since it would step down for any", async () => {
    const clusterId = freshId();
    const options = { url: server.url, clusterId, nodeId: "go", leaseTtlMs: 4_000, heartbeatMs: 1_000 };
    const go = await GoClusterPeer.start(options);
    await waitFor(() => go.isLeader);
    const where = ["--cluster-id", clusterId, "--nats-url", server.url];
    const refused = await runHere(["stepdown", "--to", "b", ...where, "--json"]);
    expect(refused.code).toBe(1);
    expect(JSON.parse(refused.stderr)).toMatchObject({
      code: "HANDOVER_REFUSED",
      message: expect.stringContaining("runs go-cluster"),
    });
    expect(go.isLeader).toBe(true);
    expect(await runHere(["stepdown", ...where])).toMatchObject({ code: 0 });
    expect(go.isLeader).toBe(false);
  });
});

describe("--timeout", () => {
  test("of stepdown limits the connection attempt to all servers together", async () => {
    const servers = await Promise.all([silentServer(), silentServer(), silentServer()]);
    const where = ["--cluster-id", "billing", "--nats-url", servers.join(","), "--timeout", "300ms"];
    const { code, stderr } = await runHere(["stepdown", ...where]);
    expect([code, stderr]).toEqual([4, expect.stringContaining("within 300 ms")]);
  });

  test("of all operations that is used up is named as such, and no further request is sent", async () => {
    const clusterId = freshId();
    const client = await ClusterClient.connect({ clusterId, servers: server.url }, { limitMs: 1_000 });
    atEnd(() => client.close());
    const vacant = await client.lease();
    const led = client.untilLeads("b", vacant, 15_000);
    await expect(led).rejects.toMatchObject({
      code: "TIMEOUT",
      message: expect.stringContaining('waiting for node "b" to become leader'),
    });
    await waitFor(() =>
      client.lease().then(
        () => false,
        () => true,
      ),
    );
    const sent = client.monitor.connection.stats().outMsgs;
    const usedUp = { code: "TIMEOUT", message: expect.stringContaining("time limit of 1000 ms was reached") };
    await expect(client.lease()).rejects.toMatchObject(usedUp);
    await expect(client.askStatus("b")).rejects.toMatchObject(usedUp);
    await expect(client.stepDown("b", undefined, 15_000)).rejects.toMatchObject(usedUp);
    expect(client.monitor.connection.stats().outMsgs).toBe(sent);
  });

  test("of 0 is refused", async () => {
    const { code, stderr } = await runHere(["nodes", "--cluster-id", "billing", "--timeout", "0s"]);
    expect([code, stderr]).toEqual([2, expect.stringContaining("above 0")]);
  });
});

test("a request to a node that does not run says so, without a wait", async () => {
  const where = ["--cluster-id", freshId(), "--nats-url", server.url];
  const { code, stderr } = await runHere(["stepdown", "absent", ...where]);
  expect([code, stderr]).toEqual([4, expect.stringContaining('no process answers as node "absent"')]);
});

test("Ctrl-C ends watch and doctor --watch with 0, also while they wait for an answer", async () => {
  const clusterId = freshId();
  const silent = ["--cluster-id", clusterId, "--nats-url", await silentServer(), "--timeout", "1m"];
  for (const args of [["watch"], ["doctor", "--watch"]]) {
    const running = runHere([...args, ...silent]);
    await waitFor(() => process.listenerCount("SIGINT") > 0);
    process.emit("SIGINT");
    expect([args, (await running).code]).toEqual([args, 0]);
  }
});

test("Ctrl-C ends each command that changes something with 130 and a message that says what is unknown", async () => {
  const silent = ["--cluster-id", freshId(), "--node-id", "a", "--nats-url", await silentServer()];
  for (const command of [["promote"], ["transfer", "b"], ["stepdown"], ["demote"], ["join"], ["leave"]]) {
    const running = runHere([...command, ...silent, "--timeout", "1m", "--json"]);
    await waitFor(() => process.listenerCount("SIGINT") > 0);
    process.emit("SIGINT");
    const { code, stderr } = await running;
    expect([command, code, JSON.parse(stderr)]).toEqual([
      command,
      130,
      expect.objectContaining({ code: "ABORTED", message: expect.stringContaining("interrupted by SIGINT") }),
    ]);
  }
});
