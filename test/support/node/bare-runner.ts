/** The application side of a node without an election: what it would send to the election is recorded. */
import { ApplicationRunner, type RunnerOptions } from "../../../src/node/application-runner.ts";
import type { Driver } from "../../../src/runtime/driver.ts";
import { systemClock } from "../../../src/runtime/system-clock.ts";

export interface BareRunner {
  readonly runner: ApplicationRunner;
  /** Types of events for the election. */
  readonly sent: string[];
  /** Steps that failed. */
  readonly defects: string[];
}

export function runnerWith(changes: Partial<RunnerOptions> = {}): BareRunner {
  const sent: string[] = [];
  const defects: string[] = [];
  const driver = {
    dispatch: ({ type }: { type: string }) => void sent.push(type),
    isHeld: () => true,
    remainingMs: () => 1_000,
    leaseRemainingMs: () => 1_000,
    expire() {},
  };
  const runner = new ApplicationRunner({
    config: {
      drainTimeoutMs: 1_000,
      slowAfterMs: 1_000,
      selfWaitMs: 500,
      hooks: new Set(["onBecomeLeader", "onLoseLeadership"]),
      failureBackOffMs: 250,
      maxFailureBackOffMs: 8_000,
    },
    identity: { clusterId: "c", nodeId: "a", incarnation: "i" },
    hooks: {},
    clock: systemClock(),
    keepAlive: () => () => {},
    driver: driver as unknown as Driver,
    notify() {},
    untilHeld: async () => {},
    close: async () => {},
    defect: (during) => void defects.push(during),
    ...changes,
  });
  return { runner, sent, defects };
}
