/** Random faults of a `SimulatedCluster`, built from the same methods that a test can call. */
import type { Random } from "./random.ts";
import type { SimulatedProcess } from "./simulated-process.ts";
import type { VirtualTime } from "./time/virtual-time.ts";

/** Two leases: longer than anything that waits for one lease. */
export const LONG_MS = 20_000;
/** About one request timeout. */
export const SHORT_MS = 1_300;

export interface FaultScene {
  readonly random: Random;
  readonly time: VirtualTime;
  readonly processes: readonly SimulatedProcess[];
  /** True time by which every fault is over. */
  readonly until: number;
  restartServer(downMs: number): void;
  loseQuorum(forMs: number): void;
}

type Fault = (scene: FaultScene, process: SimulatedProcess, ms: number) => void;

/** A lasting fault of the network. */
function network(begin: (process: SimulatedProcess, random: Random) => void): Fault {
  return ({ random, time }, process, ms) => {
    begin(process, random);
    time.after(ms, () => process.heal());
  };
}

/** Ends the process and starts it again when it has ended. */
function restart(end: (process: SimulatedProcess, random: Random) => void): Fault {
  return ({ random, time }, process, ms) => {
    end(process, random);
    const attempt = (): void => {
      if (process.alive) time.after(50, attempt);
      else process.start();
    };
    time.after(ms, attempt);
  };
}

const faults: Readonly<Record<string, Fault>> = {
  crash: restart((process) => process.crash()),
  "host lost": restart((process, random) => process.crash({ noticedAfterMs: random.between(1, LONG_MS) })),
  terminate: restart((process) => process.terminate()),
  pause: (_, process, ms) => process.pause(ms),
  disconnect: (_, process, ms) => process.disconnect(ms),
  partition: network((process) => process.partition()),
  "requests lost": network((process) => process.dropRequests()),
  "responses lost": network((process) => process.dropResponses()),
  latency: network((process, random) => process.setLatency(random.between(1, 2_000))),
  "late write": network((process, random) => process.delayNextWrite(random.between(1, LONG_MS))),
  "late calls": network((process, random) => process.delayCalls(random.between(1, LONG_MS))),
  "wall clock": ({ random }, process) => process.stepWallClock(random.between(-100_000, 100_000)),
  "server restart": ({ restartServer }, _, ms) => restartServer(Math.min(ms, 12_000)),
  "quorum lost": ({ loseQuorum }, _, ms) => loseQuorum(ms),
};

/** Schedules `count` faults at random times between now and `scene.until`. */
export function planFaults(scene: FaultScene, count: number): void {
  const { random, time, processes, until } = scene;
  const names = Object.keys(faults);
  for (let left = count; left > 0; left -= 1) {
    const at = time.now + random.between(0, Math.floor(until - time.now));
    const fault = faults[random.pick(names)];
    const process = random.pick(processes);
    const wantedMs = random.between(1, random.chance(0.5) ? LONG_MS : SHORT_MS);
    time.at(at, () => fault?.(scene, process, Math.min(wantedMs, until - time.now)));
  }
}
