/** What can go wrong, and for how long. Every fault heals by itself before the quiet end of a history. */
import type { Snapshot } from "../../../src/election/types.ts";
import { LONG_MS } from "../../../src/testing/simulation/random-faults.ts";
import type { Host } from "../host.ts";
import {
  cut,
  type Fault,
  type FaultContext,
  type FaultName,
  frozen,
  lasting,
  network,
  restartLater,
} from "./fault-tools.ts";

/** What may happen between a write and its answer. */
const underWay: readonly FaultName[] = [
  "responses lost",
  "watch lost",
  "late write",
  "pause",
  "cut while frozen",
  "kill -9",
  "disconnected",
  "server restart",
  "presence lost",
  "stop",
  "step down",
  "only follow",
];

const faults: Readonly<Record<FaultName, Fault>> = {
  latency: network(
    "latency",
    (host, random) => {
      host.network.latencyMs = random.between(1, 2_000);
    },
    (host) => {
      host.network.latencyMs = 1;
    },
  ),
  "requests lost": network(
    "requests lost",
    (host) => {
      host.network.dropRequests = true;
    },
    (host) => {
      host.network.dropRequests = false;
    },
  ),
  "responses lost": network(
    "responses lost",
    (host) => {
      host.network.dropResponses = true;
    },
    (host) => {
      host.network.dropResponses = false;
    },
  ),
  "watch lost": network(
    "watch lost",
    (host) => {
      host.network.dropWatch = true;
    },
    (host) => {
      host.network.dropWatch = false;
    },
  ),
  blackhole: network(
    "blackhole",
    (host) => {
      host.network.dropRequests = true;
      host.network.dropResponses = true;
    },
    (host) => {
      host.network.dropRequests = false;
      host.network.dropResponses = false;
    },
  ),
  "late write": (context, host) => {
    // Often about when its sender has just given up: it finds the write applied after it had believed it lost.
    const soon = context.random.chance(0.3) && context.time.now + 1_400 < context.quietFrom;
    const ms = soon ? context.random.between(900, 1_400) : lasting(context);
    context.tell(`${host.name}: the next write arrives ${ms} ms late`);
    host.network.delayNextWriteMs = ms;
    context.time.after(ms, () => {
      host.network.delayNextWriteMs = 0;
    });
  },
  pause: frozen("pause"),
  suspend: frozen("suspend"),
  "cut while frozen": frozen("pause", "and cut"),
  "wall clock": ({ random, tell }, host) => {
    const ms = random.between(-100_000, 100_000);
    tell(`${host.name}: wall clock stepped by ${ms} ms`);
    host.process.clock.stepWall(ms);
  },
  "kill -9": (context, host) => {
    if (!host.process.alive) return;
    context.tell(`${host.process.incarnation}: kill -9`);
    host.process.kill();
    restartLater(context, host, context.random.between(1, 13_000), context.remembers);
  },
  "host lost": (context, host) => {
    if (!host.process.alive) return;
    const { random, time, quietFrom } = context;
    const lingerMs = Math.min(random.between(1, LONG_MS), Math.max(0, quietFrom - time.now));
    context.tell(`${host.process.incarnation}: the host is lost, its server finds out in ${lingerMs} ms`);
    host.process.kill(lingerMs);
    restartLater(context, host, random.between(1, 13_000), context.remembers);
  },
  disconnected: (context, host) => {
    const ms = lasting(context);
    context.tell(`${host.process.incarnation}: disconnected for ${ms} ms`);
    cut(context, host.process, ms);
  },
  "server restart": (context) => {
    const ms = lasting(context, 12_000);
    context.tell(`the server is restarted, everybody is disconnected for ${ms} ms and a little`);
    for (const { process } of context.hosts) cut(context, process, ms + context.random.between(0, 2_000));
  },
  "quorum lost": (context) => {
    const { bucket, random, time, tell } = context;
    if (bucket.outage !== null) return;
    const ms = lasting(context);
    const commitsLate = random.chance(0.5);
    tell(
      `the quorum is lost for ${ms} ms; what is written meanwhile ${commitsLate ? "commits late" : "is lost"}`,
    );
    bucket.loseQuorum(commitsLate);
    time.after(ms, () => bucket.regainQuorum());
  },
  "presence lost": ({ hosts, tell }, host) => {
    const presence = host.process.session.link?.presence;
    if (presence === undefined) return;
    tell(`${host.process.incarnation}: its presence consumer is lost, but it lives`);
    for (const other of hosts) other.process.session.hearOf(presence);
  },
  "stale reads": (context, host) => {
    const snapshot: Snapshot = context.bucket.snapshot();
    const ms = lasting(context);
    context.tell(`${host.name}: reads show the state of now for ${ms} ms`);
    host.network.staleSnapshot = snapshot;
    context.time.after(ms, () => {
      host.network.staleSnapshot = null;
    });
  },
  "old event": ({ bucket, random, tell }) => {
    const entry = bucket.log[bucket.log.length - random.between(1, 4)];
    if (entry === undefined || entry.revision > (bucket.entry?.revision ?? 0)) return;
    tell(`revision ${entry.revision} is reported again`);
    bucket.repeat(entry);
  },
  // Far ahead of what the bucket will get to: a takeover that expects it is refused. One that guesses the very next revision
  // could be applied; see the README on strangers in the account.
  "false hint": ({ bucket, random, tell }) => {
    const revision = bucket.snapshot().lastSequence + random.between(1_000, 2_000);
    tell(`a message that nobody has written is reported: revision ${revision}`);
    bucket.forge(
      random.chance(0.5) ? { kind: "deleted", revision } : { kind: "garbage", revision, reason: "not JSON" },
    );
  },
  // What matters most happens between a write and its answer, which mostly takes milliseconds: there it is hard to hit.
  "trouble under way": (context, host) => {
    const { random, time, quietFrom, tell } = context;
    const kind = random.pick(["acquire", "acquire", "renew", "release"] as const);
    const latencyMs = random.between(5, 490);
    const troubles = Array.from({ length: random.between(1, 2) }, () => ({
      name: random.pick(underWay),
      afterMs: random.between(0, 2 * latencyMs),
    }));
    const happen = (): void => {
      if (time.now + 2 * latencyMs >= quietFrom) return;
      tell(`${host.name}: its write to ${kind} takes ${latencyMs} ms each way`);
      host.network.latencyMs = latencyMs;
      time.after(2 * latencyMs, () => {
        host.network.latencyMs = 1;
      });
      for (const { name, afterMs } of troubles) {
        time.after(afterMs, () => {
          strike(name, context, host);
          context.stirred();
        });
      }
    };
    host.atNextWrite = { kind, happen };
  },
  "other key": ({ bucket, tell }) => {
    tell("some other key of the bucket is written");
    if (bucket.exists) bucket.writeOtherKey();
  },
  stop: (context, host) => {
    context.tell(`${host.process.incarnation}: stop()`);
    const { process } = host;
    process.clock.deliver(() => process.driver.dispatch({ type: "stop" }));
    restartLater(context, host, context.random.between(300, 20_000), true);
  },
  // What an orchestrator does to a process that hangs. It is cut off first, as a rule: that is why it seems to hang.
  "stop while frozen": (context, host) => {
    const { process } = host;
    if (!process.alive || !process.clock.running) return;
    const { random, time, tell } = context;
    const ms = lasting(context);
    tell(`${process.incarnation}: hangs for ${ms} ms, stop() meanwhile`);
    if (random.chance(0.7)) cut(context, process, random.between(1, 2 * ms));
    if (process.clock.caughtUp) process.frozenAt = time.now;
    process.clock.pause(ms, random.chance(0.7) ? "messages" : "timers");
    process.clock.deliver(() => process.driver.dispatch({ type: "stop" }));
    restartLater(context, host, ms + random.between(1, 5_000), context.remembers);
  },
  "step down": ({ random, hosts, tell }, { process }) => {
    const successor = random.chance(0.5) ? random.pick(hosts).options.nodeId : undefined;
    const reason = random.chance(0.8) ? "released" : "hook-failed";
    tell(`${process.incarnation}: resign ${reason} ${successor ?? ""}`);
    process.clock.deliver(() =>
      process.driver.dispatch({ type: "resign", reason, ...(successor === undefined ? {} : { successor }) }),
    );
  },
  "only follow": (context, host) => {
    const { process } = host;
    if (!host.options.competes) return;
    const ms = lasting(context, 13_000);
    context.tell(`${process.incarnation}: only follows for ${ms} ms`);
    const compete = (competes: boolean): void =>
      process.clock.deliver(() => process.driver.dispatch({ type: "compete", competes }));
    compete(false);
    context.time.after(ms, () => compete(true));
  },
  "server clock": ({ bucket, beforeTampering, afterPurge, tell }) => {
    tell("the server's wall clock jumps 20 s ahead");
    // Native buckets have no max-age: nothing in them depends on that clock.
    if (bucket.maxAgeMs === 0) return;
    beforeTampering(bucket.maxAgeMs > 0 ? "aged" : "vanished");
    bucket.expire();
    afterPurge();
  },
  "key deleted": ({ bucket, beforeTampering, tell }) => {
    tell("the operator deletes the key");
    beforeTampering("deleted");
    bucket.force((revision) => ({ kind: "deleted", revision }));
  },
  "stream purged": ({ bucket, beforeTampering, afterPurge, random, time, quietFrom, tell }, host) => {
    const purge = (): void => {
      tell("the operator purges the stream");
      beforeTampering(bucket.maxAgeMs > 0 ? "aged" : "vanished");
      bucket.expire();
      afterPurge();
    };
    purge();
    if (random.chance(0.7)) return;
    // And again, just before a late write arrives that expects an empty key: whole terms have come and gone meanwhile.
    const lateMs = random.between(50, 1_400);
    const happen = (): void => {
      if (time.now + lateMs >= quietFrom) return;
      host.network.delayNextWriteMs = lateMs;
      time.after(lateMs, purge);
    };
    host.atNextWrite = { kind: "acquire", happen };
  },
  garbage: ({ bucket, beforeTampering, tell }) => {
    tell("the operator writes garbage");
    beforeTampering("garbage");
    bucket.force((revision) => ({ kind: "garbage", revision, reason: "not JSON" }));
  },
  "bucket deleted": (context, host) => {
    const { bucket, beforeTampering, hosts, quietFrom, random, tell, time } = context;
    if (!bucket.exists) return;
    tell("the bucket is deleted");
    beforeTampering("vanished", true);
    for (const host of hosts) host.network.staleSnapshot = null;
    bucket.delete();
    if (!random.chance(0.5)) return;
    time.after(random.between(1, 1_500), () => {
      if (!bucket.exists) tell("the bucket is created anew");
      bucket.recreate();
    });
    if (random.chance(0.2)) return deleteBehindFirstWrite(context, host);
    // That one is deleted, too, once somebody has led on it, and somebody who knows nothing of all this is at hand.
    const againMs = random.between(11_000, 25_000);
    if (random.chance(0.7) || time.now + againMs >= quietFrom) return;
    time.after(againMs - random.between(1, 500), () => strike("kill -9", context, host));
    time.after(againMs, () => strike("bucket deleted", context, host));
  },
};

/**
 * The next bucket is deleted as soon as it is written to, with that message still on its way to one of the nodes, which then
 * hears of nothing but the writer's death.
 */
function deleteBehindFirstWrite(context: FaultContext, host: Host): void {
  const { bucket, hosts, quietFrom, random, time } = context;
  const { network } = host;
  const latencyMs = random.between(300, 1_500);
  const restMs = random.between(1, 300);
  const killAfterMs = latencyMs + random.between(1, 2_000);
  const unwatch = bucket.watch({
    entry: (entry) => {
      if (entry.revision > 1) return;
      unwatch();
      const writer = hosts.find(
        ({ process }) => entry.kind === "record" && process.incarnation === entry.record.incarnation,
      );
      time.after(0, () => {
        network.latencyMs = 1;
        if (time.now + killAfterMs >= quietFrom || !bucket.exists) return;
        context.beforeTampering("vanished", true);
        bucket.delete();
        network.dropWatch = true;
        time.after(restMs, () => bucket.recreate());
        time.after(killAfterMs, () => strike("kill -9", context, writer ?? host));
        time.at(Math.min(time.now + killAfterMs + 3_000, quietFrom), () => {
          network.dropWatch = false;
        });
      });
    },
    gone: () => {},
  });
  network.latencyMs = latencyMs;
  time.after(10_000, () => {
    unwatch();
    if (network.latencyMs === latencyMs) network.latencyMs = 1;
  });
}

export const operatorFaults: readonly FaultName[] = [
  "key deleted",
  "stream purged",
  "garbage",
  "server clock",
];
export const bucketFaults: readonly FaultName[] = ["bucket deleted"];
export const commonFaults: readonly FaultName[] = (Object.keys(faults) as FaultName[]).filter(
  (name) => !operatorFaults.includes(name) && !bucketFaults.includes(name),
);

/** Lets one of them happen. */
export function strike(name: FaultName, context: FaultContext, host: Host): void {
  faults[name](context, host);
}
