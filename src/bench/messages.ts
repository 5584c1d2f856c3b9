/** What the benchmark and its child processes say to each other, over Node's IPC channel. */
import type { CrashDetection } from "../election/types.ts";

/** A child's only argument, as JSON. */
export type ChildTask =
  | {
      readonly role: "node";
      readonly clusterId: string;
      readonly nodeId: string;
      readonly servers: readonly string[];
      readonly leaseTtlMs: number;
      readonly crashDetection: CrashDetection;
      readonly cooldownMs: number;
      readonly successorGraceMs?: number;
    }
  /** A bare nats.js client with a presence consumer: the floor of every crash detection by presence. */
  | {
      readonly role: "presence";
      readonly servers: readonly string[];
      readonly stream: string;
      readonly consumer: string;
    };

/** Told to a node: look at `isLeader()` in a tight loop, without leaving it, until you notice that you were frozen. */
export interface SpinCommand {
  readonly do: "spin";
}

/** `at`: milliseconds of the host's monotonic clock, the same for all processes. */
export type ChildReport =
  /** It takes part. Of a presence child: its consumer is there. */
  | { readonly type: "ready"; readonly at: number }
  | { readonly type: "failed"; readonly at: number; readonly message: string }
  /** The first instruction of `onBecomeLeader`. */
  | { readonly type: "become"; readonly at: number; readonly epoch: number }
  /** `onLoseLeadership` is about to resolve. */
  | { readonly type: "lose-hook"; readonly at: number; readonly epoch: number; readonly reason: string }
  | {
      readonly type: "held";
      readonly at: number;
      readonly epoch: number;
      readonly by: "become" | "resumed" | "thaw";
    }
  | {
      readonly type: "unheld";
      readonly at: number;
      readonly epoch: number;
      readonly by: "suspended" | "lose" | "frozen";
    }
  /** Whom the node takes for the leader; `null`: nobody. */
  | { readonly type: "leader"; readonly at: number; readonly nodeId: string | null; readonly epoch: number }
  | { readonly type: "spinning"; readonly at: number }
  /** The tight loop stood still for `frozenMs`; `leaderAfter` is what the first `isLeader()` after it said. */
  | {
      readonly type: "thawed";
      readonly at: number;
      readonly frozenMs: number;
      readonly leaderAfter: boolean;
    };

/** Milliseconds of CLOCK_MONOTONIC: comparable between the processes of one host. */
export function hostNowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

const unsent: ChildReport[] = [];

/**
 * Tells the parent, after the events at hand have been handled: to serialize and write a message takes as long as a
 * compare-and-set. `at` was read before. What was not sent when a SIGKILL comes is lost.
 */
export function report(message: ChildReport): void {
  unsent.push(message);
  if (unsent.length === 1) setImmediate(flushReports);
}

/** Tells what is waiting to be told, at once. */
export function flushReports(): void {
  for (const message of unsent.splice(0)) {
    // The channel is closed when the parent has died; "disconnect" ends this process then.
    if (process.connected) process.send?.(message, () => {});
  }
}
