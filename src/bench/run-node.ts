/** The node of a benchmark's child process: reports its events to the parent and obeys its commands. */
import type { NatsConnection } from "@nats-io/transport-node";
import { messageOf } from "../errors.ts";
import type { NodeEvent } from "../node/events.ts";
import { Node } from "../node/node.ts";
import { LeaderWatch } from "./leader-watch.ts";
import { type ChildTask, flushReports, hostNowMs, report, type SpinCommand } from "./messages.ts";

/** A gap of this length in a tight loop counts as a freeze. */
const FROZEN_MS = 500;
/** Maximum spin without a freeze. From 250 ms on, `isLeader()` would be false because the event loop is blocked. */
const SPIN_MS = 200;
const WATCH_EVERY_MS = 1;

type NodeTask = Extract<ChildTask, { role: "node" }>;

export interface RunningNode {
  /** `null` without `watch`. */
  readonly watched: LeaderWatch | null;
}

/**
 * Starts the node, and resolves when it has started.
 * @param connection Used instead of a connection of the node's own.
 */
export async function runNode(task: NodeTask, connection?: NatsConnection): Promise<RunningNode> {
  const { role: _, watch = false, servers, user, pass, ...options } = task;
  const login = user === undefined ? {} : { user, pass };
  const node: Node = new Node(
    { ...options, ...(connection === undefined ? { servers, ...login } : { connection }), logger: false },
    {
      onBecomeLeader: (term) => {
        report({ type: "become", at: hostNowMs(), epoch: term.epoch });
        watched?.ask();
      },
      onLoseLeadership: (term, reason) =>
        report({ type: "lose-hook", at: hostNowMs(), epoch: term.epoch, reason }),
    },
  );
  const watched = watch ? new LeaderWatch(node) : null;
  if (watched !== null) setInterval(() => watched.ask(), WATCH_EVERY_MS);
  void follow(node.events(), watch);
  process.on("message", (command: SpinCommand) => {
    if (command.do === "spin") spin(node);
  });
  process.on("SIGTERM", () => {
    node.stop().then(() => {
      flushReports();
      process.exit(0);
    }, fail);
  });
  await node.start();
  report({ type: "ready", at: hostNowMs() });
  return { watched };
}

/** @param watched Whether a `LeaderWatch` reports when the node is held. */
async function follow(events: AsyncIterable<NodeEvent>, watched: boolean): Promise<void> {
  for await (const event of events) {
    const at = hostNowMs();
    switch (event.type) {
      case "become-leader":
      case "resumed":
        if (!watched) report({ type: "held", at, epoch: event.term.epoch, by: event.type });
        break;
      case "suspended":
      case "lose-leadership":
        if (!watched) report({ type: "unheld", at, epoch: event.term.epoch, by: event.type });
        break;
      case "leader-change":
        report({
          type: "leader",
          at,
          nodeId: event.leader?.nodeId ?? null,
          epoch: event.leader?.epoch ?? 0,
        });
        break;
      default:
    }
  }
}

/**
 * Spins until the process is frozen and thawed, so that `isLeader()` is the first call after the thaw. The clock is read
 * before `isLeader()`: the answer then holds no later than the recorded time.
 */
function spin(node: Node): void {
  const epoch = node.term?.epoch ?? 0;
  const start = hostNowMs();
  report({ type: "spinning", at: start });
  flushReports();
  let before = start;
  for (;;) {
    const now = hostNowMs();
    const held = node.isLeader();
    if (now - before >= FROZEN_MS) {
      report({ type: "unheld", at: before, epoch, by: "frozen" });
      report({ type: "thawed", at: now, frozenMs: now - before, leaderAfter: held });
      if (held) report({ type: "held", at: now, epoch, by: "thaw" });
      // The tight loop observes only the first instant; later turns of the event loop must not restore leadership either.
      return watchThaw(node, epoch, now);
    }
    if (now - start >= SPIN_MS) return;
    before = now;
  }
}

/** Checks `isLeader()` in every turn of the event loop until FROZEN_MS after the thaw. */
function watchThaw(node: Node, epoch: number, since: number): void {
  const now = hostNowMs();
  const term = node.term;
  if (term === null || term.epoch !== epoch || now - since > FROZEN_MS) return;
  if (node.isLeader()) report({ type: "held", at: now, epoch, by: "thaw" });
  setImmediate(() => watchThaw(node, epoch, since));
}

/** Reports the failure and ends the process. */
export function fail(error: unknown): void {
  report({
    type: "failed",
    at: hostNowMs(),
    message: messageOf(error),
  });
  flushReports();
  process.exit(1);
}
