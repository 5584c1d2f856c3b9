/**
 * A node of a chaos run, in a process of its own. It writes down when it calls itself leader, and is as careless a leader as
 * the fence allows: it asks whether it leads, and writes one tick later, whatever has happened meanwhile. Each write goes
 * to a fenced register and to an unfenced shadow of it.
 *
 * Ticks come from the parent and not from timers, so neither a bent clock nor a freeze keeps it from writing.
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
import { HistoryWriter } from "./recording.ts";

const LOOK_EVERY_MS = 2;
/** Not looking for so long means that the machine was busy elsewhere, or that this process was frozen. */
const STALL_MS = 40;
const RETRY_MS = 150;
const UPTIME_RESOLUTION_NS = 10e6;

const task = JSON.parse(process.argv[2] ?? "null") as NodeTask;
const say = (report: NodeReport): void => void process.stdout.write(`${JSON.stringify(report)}\n`);
const history = new HistoryWriter(task.history, task.lane, task.life);

function nowNs(): number {
  if (task.uptimeOffsetNs === null) return hostNowNs();
  return Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1e9 + task.uptimeOffsetNs;
}

let node: Node | null = null;
let lookedNs = nowNs();
/** Of the event loop, counted where it matters: two looks in one turn have seen the same of the sockets. */
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

function look(): boolean {
  const before = nowNs();
  if (before - lookedNs > STALL_MS * 1e6) history.stall(lookedNs, before);
  const yes = node?.isLeader() ?? false;
  const term = yes ? node?.term : null;
  if (term !== null && term !== undefined) {
    const after = nowNs() + (task.uptimeOffsetNs === null ? 0 : UPTIME_RESOLUTION_NS);
    history.yes(term.incarnation, term.epoch, before, after, currentTurn());
  } else history.no();
  lookedNs = before;
  return yes;
}

interface Leading {
  readonly epoch: number;
  readonly writer: FencedWriter;
}

let leading: Leading | null = null;
/** A write that was decided on when this node led, for the next tick. */
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
  if (!look() || leading === null) return;
  writes += 1;
  decided = { ...leading, text: `${task.lane} ${task.life} ${writes}` };
}

async function write({ epoch, writer, text }: NonNullable<typeof decided>): Promise<void> {
  const fenced = writer.publish(REGISTER, text).then(
    () => {
      count("written");
      // While the election's own connection is still away the lease is not renewed, and all is not well yet.
      if (node?.connected) say({ wrote: epoch });
    },
    (error: unknown) => count(error instanceof ClusterError ? error.code : "OTHER"),
  );
  const unfenced = shadow?.publish(SHADOW, text, { headers: natsHeaders(epoch) }).then(
    () => count("shadowWritten"),
    () => count("shadowFailed"),
  );
  await Promise.all([fenced, unfenced]);
}

/** Keeps the event loop busy, as a long computation would, and asks all the time whether it leads. */
function block(ms: number): void {
  const endNs = nowNs() + ms * 1e6;
  while (nowNs() < endNs) look();
  say({ unblocked: true });
}

function hooks(register: FencedStream): Hooks {
  return withFence(register, {
    onBecomeLeader(term, writer) {
      leading = { epoch: term.epoch, writer };
      say({ leads: term.epoch });
      look();
    },
    onLoseLeadership(term) {
      if (leading?.epoch === term.epoch) leading = null;
      say({ lost: term.epoch });
      look();
    },
  });
}

async function follow(own: Node): Promise<void> {
  for await (const event of own.events()) {
    const detail =
      event.type === "lose-leadership"
        ? `-${event.reason}`
        : event.type === "warning"
          ? `-${event.code}`
          : "";
    history.event(`${event.type}${detail}`, nowNs());
  }
}

/** A process that is started in the middle of a fault tries until it can. */
async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof ClusterError && error.code === "INVALID_CONFIG") throw error;
      say({ warning: String(error) });
      await pause(RETRY_MS);
    }
  }
}

async function connectRegister(): Promise<{ nats: NatsConnection; register: FencedStream }> {
  const nats = await patiently(() =>
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
      ignoreClusterUpdates: true, // or it would learn of ways around its proxies
    }),
  );
  const register = await patiently(() => FencedStream.connect(nats, { stream: STREAM, timeoutMs: 1000 }));
  return { nats, register };
}

async function run(): Promise<void> {
  const { nats, register } = await connectRegister();
  shadow = jetstream(nats, { timeout: 1000 });
  const { nodeId, leaseTtlMs, crashDetection, user } = task;
  const way = task.sharedConnection ? { connection: nats } : { servers: task.urls, user, pass: user };
  const shared = { clusterId: CLUSTER_ID, nodeId, leaseTtlMs, crashDetection, logger: false } as const;
  const own = new Node({ ...shared, ...way, cooldownMs: 500 }, hooks(register));
  node = own;
  setInterval(look, LOOK_EVERY_MS);
  void follow(own);
  process.once("SIGTERM", () => {
    own.stop().then(
      () => process.exit(0),
      () => process.exit(0),
    );
  });
  await patiently(() => own.start());
  say({ started: true });
}

function obey(command: NodeCommand): void {
  switch (command.do) {
    case "begin":
      void run();
      return;
    case "stats":
      say({ outcomes });
      return;
    case "block":
      block(command.ms);
      return;
    case "step-down":
      node?.stepDown({ to: command.to }).catch((error: unknown) => say({ warning: String(error) }));
      return;
    default:
      command satisfies never;
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => (line === "" ? tick() : obey(JSON.parse(line) as NodeCommand)))
  .on("close", () => process.exit());
say({ booted: true });
