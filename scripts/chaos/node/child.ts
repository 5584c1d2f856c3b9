/**
 * A node of a chaos run, in a process of its own. It records when it calls itself leader. As a leader it is deliberately
 * careless: it calls `isLeader()` and writes one tick later without calling it again. Each write goes to a fenced register
 * and to an unfenced shadow of it.
 *
 * Ticks come from the parent instead of timers, so neither a changed clock nor a freeze prevents a write.
 */
import { createInterface } from "node:readline";
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
import { retried, STALL_MS, writerOptions } from "../harness/child-side.ts";
import { hostClock } from "../harness/host-clock.ts";
import {
  CLUSTER_ID,
  type NodeCommand,
  type NodeReport,
  type NodeTask,
  REGISTER,
  SHADOW,
  STREAM,
} from "./messages.ts";
import { RecordingWriter } from "./recording.ts";

const SAMPLE_EVERY_MS = 2;

const task = JSON.parse(process.argv[2] ?? "null") as NodeTask;
const send = (report: NodeReport): void => void process.stdout.write(`${JSON.stringify(report)}\n`);
const recording = new RecordingWriter(task.recording, task.lane, task.processNumber);

const { nowNs, stepNs } = hostClock(task.uptimeOffsetNs);

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
    recording.held(term.incarnation, term.epoch, before, nowNs() + stepNs, currentTurn());
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

const warn = (warning: string): void => send({ warning });

async function connectRegister(): Promise<{ nats: NatsConnection; register: FencedStream }> {
  const { urls, user } = task;
  const options = { ...writerOptions(urls), user, pass: user, ignoreAuthErrorAbort: true };
  const nats = await retried(() => connect(options), warn);
  const register = await retried(() => FencedStream.connect(nats, { stream: STREAM, timeoutMs: 1000 }), warn);
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
  }, warn);
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
