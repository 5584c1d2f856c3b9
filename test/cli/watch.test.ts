/** `watch`: its output and its delay. */
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { startNatsServer } from "../../src/testing.ts";
import { configFile, configFor, leads, start, startCluster, startDaemon } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Line {
  readonly at: string;
  readonly timestamp: string;
  readonly event: string;
  readonly leader?: string;
  readonly epoch?: number;
  readonly status: { readonly leader: string; readonly epoch: number; readonly role: string };
}

test("a handover is shown as a release and a new leader, in this order, as text and as JSON", async () => {
  const clusterId = freshId();
  const [a] = await startCluster(server, clusterId, ["a", "b"]);
  const where = ["--cluster-id", clusterId, "--node-id", "b", "--nats-url", server.url];
  const json = start<Line>(["watch", ...where, "--json", "--interval", "1m"]);
  const text = start(["watch", ...where]);
  await json.next((line) => line.event === "status");
  await text.next((line) => line.text?.endsWith("a leads, epoch 1") === true);
  await a?.manager.node?.stepDown({ to: "b" });
  const released = await json.next((line) => line.event === "released");
  expect(released).toMatchObject({
    epoch: 1,
    successor: "b",
    status: { leader: "", epoch: 0, role: "PASSIVE" },
  });
  const led = await json.next((line) => line.event === "leader");
  expect(led).toMatchObject({ leader: "b", epoch: 2, status: { leader: "b", epoch: 2, role: "PRIMARY" } });
  expect(led.timestamp).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  const lines = text.lines;
  await text.next((line) => /b leads, epoch 2, after \d+ ms without a leader$/.test(line.text ?? ""));
  const texts = lines.map((line) => line.text?.slice("2026-01-01 00:00:00.000  ".length));
  expect(texts.slice(0, 2)).toEqual(["a leads, epoch 1", "epoch 1 was released to b"]);
  text.kill("SIGINT");
  expect((await text.exit).code).toBe(0);
});

test("the successor of a killed leader is shown", async () => {
  const clusterId = freshId();
  const killed = start<{ readonly msg?: string }>([
    ...["daemon", "--json", "--config", configFile(configFor(server, clusterId, "a"))],
  ]);
  await killed.next((line) => line.msg === "This node is now the LEADER");
  let becameAt = 0;
  const b = await startDaemon(configFor(server, clusterId, "b"), {
    onBecomeLeader: () => {
      becameAt = Date.now();
    },
  });
  const watching = start<Line>(["watch", "--json", "--cluster-id", clusterId, "--nats-url", server.url]);
  await watching.next((line) => line.event === "leader" && line.leader === "a");
  await waitFor(() => b.manager.node?.leader?.nodeId === "a");
  killed.kill("SIGKILL");
  const seen = await watching.next((line) => line.event === "leader" && line.leader === "b");
  await waitFor(() => leads(b));
  const lateMs = Date.parse(seen.at) - becameAt;
  console.log(`watch showed the failover ${lateMs} ms after onBecomeLeader`);
});

test("a restart of the server is shown, and so are the changes during it", async () => {
  const other = await startNatsServer();
  try {
    const clusterId = freshId();
    const daemon = await startDaemon(configFor(other, clusterId, "a"));
    await waitFor(() => leads(daemon));
    const where = ["--cluster-id", clusterId, "--nats-url", other.url];
    const watching = start<Line>(["watch", ...where, "--json", "--interval", "50ms"]);
    await watching.next((line) => line.event === "leader");
    await other.stop();
    await watching.next((line) => line.event === "disconnected");
    await other.start();
    await watching.next((line) => line.event === "reconnected");
    // Queries were due many times during the outage. It is reported once.
    const events = watching.lines.map(({ event }) => event);
    expect(events.slice(events.indexOf("disconnected"), events.indexOf("reconnected"))).toEqual([
      "disconnected",
    ]);
    await waitFor(() => daemon.manager.node?.connected === true);
    await daemon.manager.node?.stepDown();
    await watching.next((line) => line.event === "released");
  } finally {
    await other.dispose();
  }
});
