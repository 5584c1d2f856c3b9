/** Faults of processes and their clocks, and requests to a node. */
import { LONG_MS } from "../../../src/testing/simulation/random-faults.ts";
import { cut, frozen, lasting, restartLater, type SimulatedFault } from "./fault-tools.ts";
import type { ProcessFaultName } from "./names.ts";

export const processFaults: Readonly<Record<ProcessFaultName, SimulatedFault>> = {
  pause: frozen("pause"),
  suspend: frozen("suspend"),
  "cut while frozen": frozen("pause", "and cut"),
  "wall clock": ({ random, log }, host) => {
    const ms = random.between(-100_000, 100_000);
    log(`${host.name}: wall clock stepped by ${ms} ms`);
    host.process.clock.stepWall(ms);
  },
  "kill -9": (context, host) => {
    if (!host.process.alive) return;
    context.log(`${host.process.incarnation}: kill -9`);
    host.process.kill();
    restartLater(context, host, context.random.between(1, 13_000), context.remembers);
  },
  "host lost": (context, host) => {
    if (!host.process.alive) return;
    const { random, time, quietFrom } = context;
    const lingerMs = Math.min(random.between(1, LONG_MS), Math.max(0, quietFrom - time.now));
    context.log(`${host.process.incarnation}: host lost; its server notices after ${lingerMs} ms`);
    host.process.kill(lingerMs);
    restartLater(context, host, random.between(1, 13_000), context.remembers);
  },
  stop: (context, host) => {
    context.log(`${host.process.incarnation}: stop()`);
    const { process } = host;
    process.clock.deliver(() => process.stop());
    restartLater(context, host, context.random.between(300, 20_000), true);
  },
  // An orchestrator stops a process that hangs. Mostly the process is cut off first: that is why it seems to hang.
  "stop while frozen": (context, host) => {
    const { process } = host;
    if (!process.alive || !process.clock.running) return;
    const { random, time, log } = context;
    const ms = lasting(context);
    log(`${process.incarnation}: hangs for ${ms} ms, stop() is called`);
    if (random.chance(0.7)) cut(context, process, random.between(1, 2 * ms));
    if (process.clock.caughtUp) process.frozenAt = time.now;
    process.clock.pause(ms, random.chance(0.7) ? "messages" : "timers");
    process.clock.deliver(() => process.stop());
    restartLater(context, host, ms + random.between(1, 5_000), context.remembers);
  },
  "step down": ({ random, hosts, log }, { process }) => {
    const successor = random.chance(0.5) ? random.pick(hosts).options.nodeId : undefined;
    const reason = random.chance(0.8) ? "released" : "hook-failed";
    log(`${process.incarnation}: resign ${reason} ${successor ?? ""}`);
    process.clock.deliver(() =>
      process.driver.dispatch({ type: "resign", reason, ...(successor === undefined ? {} : { successor }) }),
    );
  },
  "only follow": (context, host) => {
    const { process } = host;
    if (!host.options.competes) return;
    const ms = lasting(context, 13_000);
    context.log(`${process.incarnation}: only follows for ${ms} ms`);
    const compete = (competes: boolean): void =>
      process.clock.deliver(() => process.driver.dispatch({ type: "compete", competes }));
    compete(false);
    context.time.after(ms, () => compete(true));
  },
};
