/** A child process of the benchmark: a node on the connection of an application that has traffic of its own, or the crowd. */
import { createConnection, type Socket } from "node:net";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { readTask } from "../../src/bench/child-task.ts";
import { type Command, flushReports, hostNowMs, report } from "../../src/bench/messages.ts";
import { fail, runNode } from "../../src/bench/run-node.ts";
import { app, type BlockCommand, type Login, type ResidueTask } from "./messages.ts";

/**
 * How long the application works on its feed. libuv reads up to 32 times 64 KB in one turn of the event loop: at this rate a turn takes
 * less than 100 ms, so the loop is not blocked and only the backlog is in the way.
 */
const WORK_MS_PER_BYTE = 4e-5;
/** Size of the feed's messages without their payload. */
const HEADER_BYTES = 35;
/** What the application publishes before it blocks: the server's read buffer grows to its full size of 64 KB. */
const BULK = { messages: 120, bytes: 30_000 };
const NEWS = Buffer.alloc(16);
const CROWD_CONNECTIONS = 10;

type NodeTask = Extract<ResidueTask, { role: "node" }>;
type CrowdTask = Extract<ResidueTask, { role: "crowd" }>;

async function runOnSharedConnection(task: NodeTask): Promise<void> {
  const { servers, user, pass, nodeId } = task;
  const connection = await connect({
    servers: [...servers],
    name: `application/${nodeId}`,
    ...(user === undefined ? {} : { user, pass }),
    ignoreClusterUpdates: true,
    ignoreAuthErrorAbort: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
    pingInterval: 1_000,
    maxPingOut: 2,
  });
  const { watched } = await runNode(task, connection);
  connection.subscribe(app.feed(nodeId), {
    callback: (_error, { data }) => {
      // An application that asks before each message sees every period for which the answer is true.
      watched?.ask();
      const until = hostNowMs() + (HEADER_BYTES + data.length) * WORK_MS_PER_BYTE;
      while (hostNowMs() < until);
    },
  });
  connection.subscribe(app.mark(nodeId), { callback: () => {} });
  process.on("message", (command: Command) => {
    if (command.do === "block") void block(connection, nodeId, command as BlockCommand).catch(fail);
  });
}

/**
 * Blocks the event loop as a long computation does, then publishes its result in one turn. The timers that became due in between
 * run first, so what they publish stands in front of it.
 */
async function block(
  connection: NatsConnection,
  nodeId: string,
  { blockMs, publishes }: BlockCommand,
): Promise<void> {
  const bulk = Buffer.alloc(BULK.bytes);
  for (let count = 0; count < BULK.messages; count++) connection.publish(app.bulk, bulk);
  await connection.flush();
  report({ type: "blocking", at: hostNowMs() });
  flushReports();
  const until = hostNowMs() + blockMs;
  while (hostNowMs() < until);
  setTimeout(() => {
    connection.publish(app.mark(nodeId));
    for (let count = 0; count < publishes; count++) connection.publish(app.news, NEWS);
    connection.publish(app.end(nodeId));
  }, 0);
}

async function runCrowd({ port, login, subscriptions }: CrowdTask): Promise<void> {
  const sockets = await Promise.all(
    Array.from({ length: CROWD_CONNECTIONS }, () => dial(port, login, subscriptions / CROWD_CONNECTIONS)),
  );
  for (const socket of sockets)
    socket.on("close", () => fail(new Error("a connection of the crowd was closed")));
  report({ type: "ready", at: hostNowMs() });
}

/** A bare socket: a client would need seconds to parse what the crowd receives. */
function dial(port: number, login: Login | null, subscriptions: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: "127.0.0.1" });
    socket.once("error", reject);
    const lines = Array.from({ length: subscriptions }, (_, index) => `SUB ${app.news} ${index + 1}\r\n`);
    socket.write(`CONNECT ${JSON.stringify({ verbose: false, ...login })}\r\n${lines.join("")}PING\r\n`);
    let text = "";
    const onData = (chunk: Buffer): void => {
      text += chunk.toString("latin1");
      if (text.includes("-ERR")) reject(new Error(`crowd: ${text}`));
      if (!text.includes("PONG\r\n")) return;
      socket.off("data", onData);
      socket.resume();
      resolve(socket);
    };
    socket.on("data", onData);
  });
}

const task = readTask<ResidueTask>();
(task.role === "node" ? runOnSharedConnection(task) : runCrowd(task)).catch(fail);
