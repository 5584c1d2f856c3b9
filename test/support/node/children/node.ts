/**
 * A process with one node, for faults that only a process can have: SIGKILL, SIGSTOP, SIGTERM, a blocked event loop.
 * Argument: the options as JSON, with how its hooks behave. Times are `process.hrtime`, one clock for the whole host.
 */
import { setTimeout as pause } from "node:timers/promises";
import { Node, type NodeOptions } from "../../../../src/index.ts";
import { createLogger } from "../../../../src/log/logger.ts";
import { listen, say } from "../../processes/child-io.ts";

export interface ChildNodeOptions {
  readonly node: NodeOptions;
  /** How long onLoseLeadership takes. */
  readonly loseTakesMs?: number;
  /** It logs 1 MB a second to its stderr, which the parent does not read. */
  readonly floodsLogWithoutReader?: boolean;
}

export interface HookLine<T extends string> {
  readonly type: T;
  readonly epoch?: number;
  readonly reason?: string;
  readonly atNs: string;
}

export type ChildLine =
  | HookLine<"become">
  | HookLine<"lose-begins">
  | HookLine<"lose-ended">
  | HookLine<"disconnected">
  | HookLine<"reconnected">
  | { readonly type: "started" }
  | { readonly type: "stopped" }
  | { readonly type: "spinning" }
  | { readonly type: "status"; readonly held: boolean; readonly role: string; readonly epoch: number }
  | Spin;

/** What a synchronous loop recorded around a freeze of the process. */
export interface Spin {
  readonly type: "spun";
  /** The longest pause between two turns of the loop. */
  readonly gapMs: number;
  /** `isLeader()` on the last turn before it, and on the first after it. */
  readonly before: boolean;
  readonly after: boolean;
}

export type ChildCommand =
  | { readonly do: "status" | "stop" | "step-down" }
  /** Asks `isLeader()` in a loop until there was a pause of `gapMs`, at most for `limitMs`. */
  | { readonly do: "spin"; readonly gapMs: number; readonly limitMs: number }
  | { readonly do: "block"; readonly ms: number };

const {
  node: options,
  loseTakesMs = 0,
  floodsLogWithoutReader = false,
} = JSON.parse(process.argv[2] ?? "") as ChildNodeOptions;
const atNs = (): string => String(process.hrtime.bigint());

const node = new Node(
  { logLevel: "warn", ...options },
  {
    onBecomeLeader: ({ epoch }) => say({ type: "become", epoch, atNs: atNs() }),
    async onLoseLeadership({ epoch }, reason) {
      say({ type: "lose-begins", epoch, reason, atNs: atNs() });
      await pause(loseTakesMs);
      say({ type: "lose-ended", epoch, reason, atNs: atNs() });
    },
    onNatsDisconnect: () => say({ type: "disconnected", atNs: atNs() }),
    onNatsReconnect: () => say({ type: "reconnected", atNs: atNs() }),
  },
);

/**
 * The loop handles no event, timer or message, so `isLeader()` has only the clocks. Most of the loop's time passes between two
 * calls of `isLeader()`, so a freeze usually falls there; if it falls into a call, the result of that call is discarded.
 */
function spin(gapMs: number, limitMs: number): Spin {
  const begun = performance.now();
  let last = begun;
  let before = node.isLeader();
  for (let turn = 0; ; turn++) {
    const now = performance.now();
    const held = node.isLeader();
    if (now - last >= gapMs || now - begun >= limitMs) {
      return { type: "spun", gapMs: now - last, before, after: held };
    }
    const answered = performance.now();
    if (answered - now >= gapMs) {
      return { type: "spun", gapMs: answered - now, before, after: node.isLeader() };
    }
    before = held;
    last = answered;
    // Reported from inside the loop: a SIGSTOP sent on this report stops the process in this turn or the next.
    if (turn === 0) say({ type: "spinning" });
    while (performance.now() - answered < 0.05) {
      // busy wait: the loop must not return to the event loop
    }
  }
}

process.on("SIGTERM", () => {
  void node.stop().then(() => {
    say({ type: "stopped" });
    process.exit(0);
  });
});

if (floodsLogWithoutReader) {
  const logger = createLogger({ level: "info" });
  setInterval(() => logger.info({ text: "x".repeat(10_000) }, "flood"), 10);
}

await node.start();
say({ type: "started" });
listen<ChildCommand>(async (command) => {
  switch (command.do) {
    case "status":
      say({ type: "status", held: node.isLeader(), role: node.role, epoch: node.epoch });
      return;
    case "stop":
      await node.stop();
      say({ type: "stopped" });
      return;
    case "step-down":
      await node.stepDown();
      return;
    case "spin":
      say(spin(command.gapMs, command.limitMs));
      return;
    case "block":
      say(spin(Number.POSITIVE_INFINITY, command.ms));
      return;
    default:
      command satisfies never;
  }
});
