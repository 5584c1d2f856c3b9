/**
 * A node of a chaos run, in a process of its own. It records when it calls itself leader. As a leader it is deliberately
 * careless: it calls `isLeader()` and writes one tick later without calling it again. Each write goes to a fenced register
 * and to an unfenced shadow of it.
 *
 * Ticks come from the parent instead of timers, so neither a changed clock nor a freeze prevents a write.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import {
  ClusterError,
  FencedStream,
  type FencedWriter,
  natsHeaders,
  withFence,
} from "../../../src/fencing.ts";
import { type Hooks, Node } from "../../../src/index.ts";
import {
  CLUSTER_ID,
  hostNowNs,
  type NodeCommand,
  type NodeReport,
  type NodeTask,
  REGISTER,
  SHADOW,
  STREAM,
} from "./messages.ts";
import { RecordingWriter } from "./recording.ts";

const SAMPLE_EVERY_MS = 2;
/** A longer gap between two samples means that this process was frozen or not scheduled. */
const STALL_MS = 40;
const RETRY_MS = 150;
const UPTIME_RESOLUTION_NS = 10e6;

const task = JSON.parse(process.argv[2] ?? "null") as NodeTask;
const send = (report: NodeReport): void => void process.stdout.write(`${JSON.stringify(report)}\n`);
const recording = new RecordingWriter(task.recording, task.lane, task.processNumber);

function nowNs(): number {
  if (task.uptimeOffsetNs === null) return hostNowNs();
  return Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1e9 + task.uptimeOffsetNs;
}

let node: Node | null = null;
let sampledNs = nowNs();
/** Number of the event loop's turn, counted only while sampling: two samples of one turn saw the same state of the sockets. */
let turn = 0;
let turnEnds = false;

function currentTurn(): number {
  if (!turnEnds) {
    turnEnds = true;
    setImmediate(() => {
      turn += 1;
      turnEnds = false;
    });
  }
  return turn;
}

function sample(): boolean {
  const before = nowNs();
  if (before - sampledNs > STALL_MS * 1e6) recording.stall(sampledNs, before);
  const leads = node?.isLeader() ?? false;
  const term = leads ? node?.term : null;
  if (term !== null && term !== undefined) {
    const after = nowNs() + (task.uptimeOffsetNs === null ? 0 : UPTIME_RESOLUTION_NS);
    recording.held(term.incarnation, term.epoch, before, after, currentTurn());
  } else recording.notHeld();
  sampledNs = before;
  return leads;
}

interface Leading {
  readonly epoch: number;
  readonly writer: FencedWriter;
}

let leading: Leading | null = null;
/** A write that was decided while this node led. The next tick sends it. */
let decided: (Leading & { readonly text: string }) | null = null;
let shadow: ReturnType<typeof jetstream> | null = null;
let writes = 0;
const outcomes: Record<string, number> = {};
const count = (name: string): void => {
  outcomes[name] = (outcomes[name] ?? 0) + 1;
};

function tick(): void {
  if (decided !== null) void write(decided);
  decided = null;
  if (!sample() || leading === null) return;
  writes += 1;
  decided = { ...leading, text: `${task.lane} ${task.processNumber} ${writes}` };
}

async function write({ epoch, writer, text }: NonNullable<typeof decided>): Promise<void> {
  const fenced = writer.publish(REGISTER, text).then(
    () => {
      count("written");
      // Without the election's own connection the lease is not renewed: the fault is not over yet.
      if (node?.connected) send({ wrote: epoch });
    },
    (error: unknown) => count(error instanceof ClusterError ? error.code : "OTHER"),
  );
  const unfenced = shadow?.publish(SHADOW, text, { headers: natsHeaders(epoch) }).then(
    () => count("shadowWritten"),
    () => count("shadowFailed"),
  );
  await Promise.all([fenced, unfenced]);
}

/** Blocks the event loop, as a long computation would, and samples continuously. */
function block(ms: number): void {
  const endNs = nowNs() + ms * 1e6;
  while (nowNs() < endNs) sample();
  send({ unblocked: true });
}

function hooks(register: FencedStream): Hooks {
  return withFence(register, {
    onBecomeLeader(term, writer) {
      leading = { epoch: term.epoch, writer };
      send({ leads: term.epoch });
      sample();
    },
    onLoseLeadership(term) {
      if (leading?.epoch === term.epoch) leading = null;
      send({ lost: term.epoch });
      sample();
    },
  });
}

/** Events of one start: they end when it fails. */
async function follow(own: Node): Promise<void> {
  for await (const event of own.events()) {
    const detail =
      event.type === "lose-leadership"
        ? `-${event.reason}`
        : event.type === "warning"
          ? `-${event.code}`
          : "";
    recording.event(`${event.type}${detail}`, nowNs());
  }
}

/** Retries: a process that starts during a fault may need several attempts. */
async function retried<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof ClusterError && error.code === "INVALID_CONFIG") throw error;
      send({ warning: String(error) });
      await pause(RETRY_MS);
    }
  }
}

async function connectRegister(): Promise<{ nats: NatsConnection; register: FencedStream }> {
  const nats = await retried(() =>
    connect({
      servers: [...task.urls],
      user: task.user,
      pass: task.user,
      ignoreAuthErrorAbort: true,
      noRandomize: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      timeout: 1000,
      pingInterval: 1000,
      maxPingOut: 2,
      noAsyncTraces: true,
      ignoreClusterUpdates: true, // advertised addresses would bypass the proxies
    }),
  );
  const register = await retried(() => FencedStream.connect(nats, { stream: STREAM, timeoutMs: 1000 }));
  return { nats, register };
}

async function run(): Promise<void> {
  const { nats, register } = await connectRegister();
  shadow = jetstream(nats, { timeout: 1000 });
  const { nodeId, leaseTtlMs, crashDetection, silenceMs, user } = task;
  const access = task.sharedConnection ? { connection: nats } : { servers: task.urls, user, pass: user };
  const timing = { leaseTtlMs, crashDetection, silenceMs, cooldownMs: 500 };
  const own = new Node(
    { clusterId: CLUSTER_ID, nodeId, ...timing, ...access, logger: false },
    hooks(register),
  );
  node = own;
  setInterval(sample, SAMPLE_EVERY_MS);
  process.once("SIGTERM", () => {
    own.stop().then(
      () => process.exit(0),
      () => process.exit(0),
    );
  });
  await retried(() => {
    void follow(own);
    return own.start();
  });
  send({ started: true });
}

function execute(command: NodeCommand): void {
  switch (command.do) {
    case "begin":
      void run();
      return;
    case "stats":
      send({ outcomes });
      return;
    case "block":
      block(command.ms);
      return;
    case "step-down":
      node?.stepDown({ to: command.to }).catch((error: unknown) => send({ warning: String(error) }));
      return;
    default:
      command satisfies never;
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => (line === "" ? tick() : execute(JSON.parse(line) as NodeCommand)))
  .on("close", () => process.exit());
send({ booted: true });
