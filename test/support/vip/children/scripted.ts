/** A `VirtualIp` with a scripted term: the test sets the rest of the lease and of the stretch, whether the term is held, and when it ends. */

import type { Term } from "../../../../src/index.ts";
import { VirtualIp } from "../../../../src/vip.ts";
import { listen, say } from "../../processes/child-io.ts";

const options = JSON.parse(process.argv[2] ?? "{}");
const log =
  (level: string) =>
  (fields: object, message = ""): void =>
    say({ level, message, ...fields });
const vip = new VirtualIp({
  ...options,
  logger: { debug: () => {}, info: log("info"), warn: log("warn"), error: log("error") },
});
vip.onChange((state) => say({ state, at: Number(process.hrtime.bigint()) / 1e6 }));

let end = new AbortController();
let deadlineMs = 0;
/** Until when no other node leads because the leader promises silence. */
let stretchMs = Number.POSITIVE_INFINITY;
let held = true;
let epoch = 0;

function term(): Term {
  const { signal } = end;
  epoch += 1;
  return {
    clusterId: "lab",
    nodeId: "a",
    incarnation: "i",
    epoch,
    acquiredAt: Date.now(),
    signal,
    get held() {
      return held && !signal.aborted && performance.now() < Math.min(deadlineMs, stretchMs);
    },
    get remainingMs() {
      return signal.aborted ? 0 : Math.max(0, Math.min(deadlineMs, stretchMs) - performance.now());
    },
    get provenRemainingMs() {
      return this.remainingMs;
    },
    get leaseRemainingMs() {
      return signal.aborted ? 0 : Math.max(0, deadlineMs - performance.now());
    },
    lossReason: null,
    untilHeld: () => Promise.resolve(),
  };
}

interface Command {
  readonly do:
    | "check"
    | "acquire"
    | "renew"
    | "beat"
    | "hold"
    | "suspend"
    | "end"
    | "release"
    | "health"
    | "keeper"
    | "block";
  readonly ms?: number;
}

async function act(command: Command): Promise<object> {
  switch (command.do) {
    case "check":
      await vip.check();
      return {};
    case "acquire":
      end = new AbortController();
      held = true;
      deadlineMs = performance.now() + (command.ms ?? 0);
      await vip.acquire(term());
      return { state: vip.state };
    case "renew":
      deadlineMs = performance.now() + (command.ms ?? 0);
      return {};
    case "beat":
      stretchMs = performance.now() + (command.ms ?? 0);
      return {};
    case "hold":
    case "suspend":
      held = command.do === "hold";
      return {};
    case "end":
      end.abort();
      return {};
    case "release":
      await vip.release();
      return { state: vip.state };
    case "health":
      return { ...(await vip.health()) };
    case "keeper":
      return { keeper: vip.keeperPid };
    case "block": {
      const until = performance.now() + (command.ms ?? 0);
      while (performance.now() < until);
      return {};
    }
    default:
      return command.do satisfies never;
  }
}

listen<Command>((command) => {
  // Not awaited, so that "end" can overtake an "acquire" that waits.
  void act(command).then(
    (result) => say({ done: command.do, ...result }),
    (error: Error & { code?: string }) =>
      say({ failed: command.do, code: error.code, message: error.message }),
  );
});
say({ ready: true });
