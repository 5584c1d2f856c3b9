/** A child process that runs nodes and reports their leadership. Exits with its parent. */

import { connect, type NatsConnection } from "@nats-io/transport-node";
import { readTask } from "../../src/bench/child-task.ts";
import { flushReports, hostNowMs, report } from "../../src/bench/messages.ts";
import { Node } from "../../src/node/node.ts";
import { runFlooder } from "./flooder.ts";
import { BEAT_EVERY_MS, type ChildTask, reportToParent } from "./support.ts";

const SAMPLE_EVERY_MS = 1;

function nodeOf(task: ChildTask, nodeId: string, connection: NatsConnection | null): Node {
  const { url, clusterId, leaseTtlMs } = task;
  const place = connection === null ? { servers: url } : { connection };
  return new Node(
    { clusterId, nodeId, ...place, leaseTtlMs, logger: false },
    { onBecomeLeader: ({ epoch }) => report({ type: "become", at: hostNowMs(), epoch }) },
  );
}

/**
 * Samples `isLeader()` and reports the periods in which it was true: from just after the first true to just before the last
 * true, so that a reported overlap of two processes is certain.
 */
function sample(node: Node): void {
  let epoch = 0;
  let lastYesMs = 0;
  const takeSample = (): void => {
    const before = hostNowMs();
    const yes = node.isLeader();
    if (yes && node.epoch !== epoch) {
      if (epoch !== 0) report({ type: "unheld", at: lastYesMs, epoch, by: "lose-leadership" });
      epoch = node.epoch;
      report({ type: "held", at: hostNowMs(), epoch, by: "become-leader" });
    }
    if (yes) lastYesMs = before;
    else if (epoch !== 0) {
      report({ type: "unheld", at: lastYesMs, epoch, by: "suspended" });
      epoch = 0;
    }
  };
  setInterval(takeSample, SAMPLE_EVERY_MS);
}

function dial(url: string): Promise<NatsConnection> {
  return connect({
    servers: url,
    pingInterval: 1000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    noAsyncTraces: true,
  });
}

/** Numbered messages that the connection sends to itself. */
function beat(connection: NatsConnection, lane: "lease" | "own"): void {
  const subject = `stress.beat.${lane}.${process.pid}`;
  let beats = 0;
  const note = (what: "sent" | "echoed", number: number): void =>
    reportToParent({ type: "beat", what, lane, beat: number, at: hostNowMs() });
  connection.subscribe(subject, {
    callback: (_error, message) => note("echoed", Number(message.string())),
  });
  setInterval(() => {
    beats += 1;
    note("sent", beats);
    connection.publish(subject, String(beats));
  }, BEAT_EVERY_MS);
}

async function reportDowns(connection: NatsConnection): Promise<void> {
  for await (const { type } of connection.status())
    if (type === "disconnect") reportToParent({ type: "down" });
}

async function withBeats({ url, appSubject }: ChildTask): Promise<NatsConnection | null> {
  if (appSubject === undefined) return null;
  const [connection, own] = [await dial(url), await dial(url)];
  connection.subscribe(appSubject, { callback: () => {} });
  void reportDowns(connection);
  beat(connection, "lease");
  beat(own, "own");
  return connection;
}

async function follow(node: Node, onChange: (epoch: number) => void): Promise<void> {
  for await (const event of node.events()) {
    if (event.type === "leader-change") onChange(event.leader?.epoch ?? 0);
  }
}

async function run(task: ChildTask): Promise<void> {
  if (task.flood !== undefined) return runFlooder(task.url, task.flood);
  const connection = await withBeats(task);
  const nodes = task.nodeIds.map((nodeId) => nodeOf(task, nodeId, connection));
  const known = nodes.map((node) => {
    return new Promise<void>((resolve) => {
      void follow(node, (epoch) => {
        if (epoch > 0) resolve();
        if (task.role === "sampler")
          report({ type: "leader", at: hostNowMs(), nodeId: node.leader?.nodeId ?? null, epoch });
      });
    });
  });
  if (task.role === "sampler") for (const node of nodes) sample(node);
  await Promise.all(nodes.map((node) => node.start()));
  await Promise.all(known);
  report({ type: "ready", at: hostNowMs() });
}

run(readTask<ChildTask>()).catch((error: unknown) => {
  report({ type: "failed", at: hostNowMs(), message: String(error) });
  flushReports();
  process.exit(1);
});
