/** The messages between a benchmark and its child processes, sent over Node's IPC channel. */
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
      readonly silenceMs?: number | undefined;
      readonly cooldownMs: number;
      readonly successorGraceMs?: number;
      readonly user?: string;
      readonly pass?: string;
      /**
       * Reports `held` and `unheld` by asking `isLeader()` every millisecond instead of by the node's events.
       * @default false
       */
      readonly watch?: boolean;
    }
  /** One candidate of the takeover that is written by hand (`script.ts`). */
  | {
      readonly role: "script";
      readonly nodeId: string;
      readonly servers: readonly string[];
      readonly stream: string;
    }
  /** A bare nats.js client with a presence consumer, to measure the floor of crash detection by presence. */
  | {
      readonly role: "presence";
      readonly servers: readonly string[];
      readonly stream: string;
      readonly consumer: string;
    };

/** A message from the parent. */
export interface Command {
  readonly do: string;
}

/** Command to a node: call `isLeader()` in a tight loop until the loop detects that the process was frozen. */
export interface SpinCommand extends Command {
  readonly do: "spin";
}

/** `at`: milliseconds of the host's monotonic clock, the same for all processes. */
export type ChildReport =
  /** The node has started. Of a presence child: its consumer exists. */
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
      readonly by: "become-leader" | "resumed" | "thaw" | "watch";
    }
  | {
      readonly type: "unheld";
      readonly at: number;
      readonly epoch: number;
      /** `watch`: `at` is the time of the last `isLeader()` that was true. */
      readonly by: "suspended" | "lose-leadership" | "frozen" | "watch";
    }
  /** The leader in the node's view; `null`: none. */
  | { readonly type: "leader"; readonly at: number; readonly nodeId: string | null; readonly epoch: number }
  | { readonly type: "spinning"; readonly at: number }
  /** The event loop is blocked from now on. */
  | { readonly type: "blocking"; readonly at: number }
  /** The tight loop stopped for `frozenMs`; `leaderAfter` is the result of the first `isLeader()` afterwards. */
  | {
      readonly type: "thawed";
      readonly at: number;
      readonly frozenMs: number;
      readonly leaderAfter: boolean;
    };

/** Milliseconds of CLOCK_MONOTONIC; comparable between the processes of one host. */
export function hostNowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Longer than a takeover takes. */
const REPORT_AFTER_MS = 20;

const unsent: ChildReport[] = [];

/**
 * Sends a report to the parent a little later. Serializing and writing a message takes as long as a compare-and-set, and the parent
 * needs a processor to read it: neither is part of a takeover. `at` must have been read before. A SIGKILL loses reports that have
 * not been sent.
 */
export function report(message: ChildReport): void {
  unsent.push(message);
  if (unsent.length === 1) setTimeout(flushReports, REPORT_AFTER_MS);
}

/** Sends all pending reports at once. */
export function flushReports(): void {
  for (const message of unsent.splice(0)) {
    // The channel is closed after the parent's death; "disconnect" then ends this process.
    if (process.connected) process.send?.(message, () => {});
  }
}
