/** Faults of the network, of connections and of the servers. */
import type { Snapshot } from "../../../src/election/types.ts";
import { timing } from "../host.ts";
import { cut, forgerOf, lasting, network, type SimulatedFault } from "./fault-tools.ts";
import { forgedHint } from "./forgery.ts";
import type { NetworkFaultName, SimulatedFaultName } from "./names.ts";

/** Faults that are injected between a write and its answer. */
const underWay: readonly SimulatedFaultName[] = [
  "requests lost",
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
  "vanished",
  "count late",
  "frozen and cut off",
];

/** What happens to a lease that was just acquired, or to its holder. */
const afterAcquire: readonly SimulatedFaultName[] = [
  "key deleted",
  "key deleted",
  "garbage",
  "stop",
  "step down",
];

export const networkFaults: Readonly<Record<NetworkFaultName, SimulatedFault>> = {
  latency: network(
    "latency",
    (host, random) => {
      // Requests take two ways, and time out after a second. A promise of silence allows round trips of up to three eighths of F.
      const { silenceMs = 0 } = host.options;
      const isNearLimit = silenceMs > 0 && random.chance(0.3);
      const [least, most] = isNearLimit
        ? [0.15 * silenceMs, 0.3 * silenceMs]
        : [1, random.pick([500, 2_000])];
      host.network.latencyMs = random.between(Math.round(least), Math.round(most));
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
    // Often just after the sender has given up: it finds the write applied after it has treated it as lost.
    const soon = context.random.chance(0.3) && context.time.now + 1_400 < context.quietFrom;
    const ms = soon ? context.random.between(900, 1_400) : lasting(context);
    context.log(`${host.name}: the next write arrives ${ms} ms late`);
    host.network.delayNextWriteMs = ms;
    context.time.after(ms, () => {
      host.network.delayNextWriteMs = 0;
    });
  },
  disconnected: (context, host) => {
    const ms = lasting(context);
    context.log(`${host.process.incarnation}: disconnected for ${ms} ms`);
    cut(context, host.process, ms);
  },
  "server restart": (context) => {
    const ms = lasting(context, 12_000);
    context.log(`the server restarts; every node is disconnected for ${ms} ms and up to 2 s more`);
    for (const { process } of context.hosts) cut(context, process, ms + context.random.between(0, 2_000));
  },
  "quorum lost": (context) => {
    const { bucket, random, time, log } = context;
    if (bucket.outage !== null) return;
    const ms = lasting(context);
    const commitsLate = random.chance(0.5);
    log(`the quorum is lost for ${ms} ms; writes until then ${commitsLate ? "commit late" : "are lost"}`);
    bucket.loseQuorum(commitsLate);
    time.after(ms, () => bucket.regainQuorum());
  },
  /** Megabytes wait in the socket of the process. Mostly the server drops the connection while they do, as that of a slow consumer. */
  backlog: (context, { process }) => {
    const { random, time, quietFrom, log } = context;
    if (!process.alive || process.session.link === null) return;
    const ms = Math.min(random.between(50, 4_000), quietFrom - time.now);
    log(`${process.incarnation}: what arrives waits in its socket for ${ms} ms`);
    process.session.stall(ms);
    // An answer that has waited may make a term held without an event.
    time.after(ms, () => context.invalidate());
    if (!random.chance(0.6)) return;
    const cutAfter = random.between(0, ms);
    time.after(cutAfter, () => {
      log(`${process.incarnation}: its server drops the connection`);
      cut(context, process, ms - cutAfter + random.between(0, 1_500));
    });
  },
  /** No packet says that the server has closed the connection: the process notices by its own pings. */
  "reset by the server": (context, { process }) => {
    const { random, time, quietFrom, log } = context;
    if (!process.alive || process.session.link === null) return;
    const ms = Math.min(random.between(100, 4_000), quietFrom - time.now);
    log(`${process.incarnation}: its server closes the connection; it notices after ${ms} ms`);
    process.session.resetByServer(ms);
    time.after(ms, () => context.invalidate());
    const reconnectAt = Math.min(time.now + ms + random.between(0, 1_500), quietFrom);
    time.at(reconnectAt, () => {
      if (process.alive) process.session.reconnect();
    });
  },
  /** A read buffer of the connection keeps the server busy: what is in it is delivered, and counted late. */
  "count late": (context, { process }) => {
    const { random, time, quietFrom, log } = context;
    const { link } = process.session;
    if (!process.alive || link === null) return;
    const ms = Math.min(random.between(10, random.chance(0.5) ? 500 : 5_000), quietFrom - time.now);
    // A server that drops the connection in that time lists it as closed before it has handled the buffer, or after.
    const closesEarly = random.chance(0.5);
    log(
      `${process.incarnation}: the server needs ${ms} ms for its next read buffer${closesEarly ? ", even if it drops the connection" : ""}`,
    );
    process.session.slowDown(ms, closesEarly);
    // The messages of one buffer are those that a process sent while its loop stood still, or the server did not read.
    const before = Math.min(random.between(1, 3_000), quietFrom - time.now);
    const first = random.pick(["timers", "messages", "server", "server", "none", "none"] as const);
    if (first === "none") return;
    if (first === "server") {
      log(`the server stands still for ${before} ms`);
      return process.session.freezeServer(before);
    }
    if (process.clock.caughtUp) process.frozenAt = time.now;
    process.clock.pause(before, first);
  },
  "server frozen": (context, { process }) => {
    const ms = lasting(context, 6_000);
    context.log(`the server stands still for ${ms} ms`);
    process.session.freezeServer(ms);
  },
  /** Once in 20 s at most: two false answers in a row are an exception that the documents name. */
  "false answer": ({ log, mayLie }, { process }) => {
    if (!mayLie()) return;
    log("the server will answer once that an open connection is closed");
    process.session.lieOnce();
  },
  /** No question about a connection is answered, as by a server of version 2.9 after a reload: often until the faults end. */
  "no answers": (context, { process }) => {
    const leftMs = Math.max(0, context.quietFrom - context.time.now);
    const ms = context.random.chance(0.2) ? leftMs : lasting(context);
    context.log(`the server answers nothing about connections for ${ms} ms`);
    process.session.muteServer(ms);
  },
  /** The server looks, and its answer about a connection takes long to leave. */
  "answers late": (context, { process }) => {
    const ms = context.random.between(10, 990);
    const forMs = Math.min(context.random.between(2_000, 20_000), context.quietFrom - context.time.now);
    context.log(`answers about connections leave the server ${ms} ms late, for ${forMs} ms`);
    process.session.slowAnswers(ms, forMs);
  },
  /** After 10 000 other ends a server lists a closed connection no longer. */
  "closed forgotten": ({ log }, { process }) => {
    log("the server forgets its closed connections");
    process.session.forgetClosed();
  },
  /** The host is cut off, and nothing is closed. */
  vanished: (context, host) => {
    const ms = Math.min(context.random.between(1_000, 12_000), context.quietFrom - context.time.now);
    context.log(`${host.name}: cut off for ${ms} ms`);
    host.network.dropRequests = true;
    host.network.dropResponses = true;
    context.time.after(ms, () => {
      host.network.dropRequests = false;
      host.network.dropResponses = false;
    });
  },
  /** As a virtual machine that is moved: what has arrived is read when it goes on, and what it sends is lost. */
  "frozen and cut off": (context, host) => {
    const { random, time, quietFrom, log } = context;
    const { process, network } = host;
    const leftMs = Math.max(0, quietFrom - time.now);
    const ms = Math.min(random.between(50, 2_500), leftMs);
    const cutMs = Math.min(ms + random.between(500, 5_000), leftMs);
    log(`${process.incarnation}: stands still for ${ms} ms, and is cut off for ${cutMs} ms`);
    if (process.clock.caughtUp) process.frozenAt = time.now;
    process.clock.pause(ms, random.chance(0.5) ? "timers" : "messages");
    network.dropRequests = true;
    network.dropResponses = true;
    time.after(cutMs, () => {
      network.dropRequests = false;
      network.dropResponses = false;
    });
  },
  "presence lost": ({ hosts, log }, host) => {
    const presence = host.process.session.link?.presence;
    if (presence === undefined) return;
    log(`${host.process.incarnation}: its presence consumer is lost, the process runs on`);
    for (const other of hosts) other.process.session.receiveAdvisory(presence);
  },
  "stale reads": (context, host) => {
    const snapshot: Snapshot = context.bucket.snapshot();
    const ms = lasting(context);
    context.log(`${host.name}: reads return the present state for ${ms} ms`);
    host.network.staleSnapshot = snapshot;
    context.time.after(ms, () => {
      host.network.staleSnapshot = null;
    });
  },
  "old event": ({ bucket, random, log }) => {
    const entry = bucket.log[bucket.log.length - random.between(1, 4)];
    if (entry === undefined || entry.revision > (bucket.entry?.revision ?? 0)) return;
    log(`the watchers receive revision ${entry.revision} again`);
    bucket.repeat(entry);
  },
  // Mostly one message, sometimes a flood. Its revision may be the very next one: a write that expects it would be applied.
  "false hint": (context) => {
    const { bucket, random, time, quietFrom, log } = context;
    const forge = (): void => {
      if (!bucket.exists || time.now >= quietFrom) return;
      const { lastSequence } = bucket.snapshot();
      const revision =
        lastSequence + random.pick([1, 1, 2, random.between(1_000, 2_000), 9e14 - lastSequence]);
      bucket.forge(forgedHint(forgerOf(context), revision));
    };
    const count = random.chance(0.8) ? 1 : random.between(50, 200);
    log(`the watchers receive forged messages: ${count}`);
    for (let index = 0; index < count; index += 1) time.after(index * 10, forge);
  },
  /** The ack of the next acquiring write takes long, and what the server sends after it does not: the consequences of one more fault. */
  "overtaken acquire": (context, host) => {
    const { random, time, quietFrom, log } = context;
    const latencyMs = random.between(50, 490);
    const name = random.pick(afterAcquire);
    const afterMs = random.between(2, latencyMs - 20);
    const happen = (): void => {
      if (time.now + 2 * latencyMs >= quietFrom) return;
      log(`${host.name}: the ack of its acquire write takes ${latencyMs} ms, what follows it does not`);
      host.network.latencyMs = latencyMs;
      // The server has answered by then.
      time.after(latencyMs + 1, () => {
        host.network.latencyMs = 1;
      });
      time.after(latencyMs + afterMs, () => {
        context.strike(name, host);
        context.invalidate();
      });
    };
    host.atNextWrite = { kind: "acquire", happen };
  },
  /**
   * The ack of the next release takes long, and its message does not arrive. Before the ack the bucket is deleted, so the next bucket gives
   * the revision of the release to another message.
   */
  "overtaken release": (context, host) => {
    const { random, time, quietFrom, log } = context;
    const latencyMs = random.between(50, 490);
    const happen = (): void => {
      if (time.now + 2 * latencyMs >= quietFrom) return;
      log(`${host.name}: the ack of its release takes ${latencyMs} ms, and the bucket is deleted before`);
      host.network.latencyMs = latencyMs;
      host.network.dropWatch = true;
      // The server has answered by then.
      time.after(latencyMs + 1, () => {
        host.network.latencyMs = 1;
        host.network.dropWatch = false;
        context.strike("bucket deleted", host);
        context.invalidate();
      });
    };
    host.atNextWrite = { kind: "release", happen };
  },
  /** The leader loses its connection and its lease, and its reads return what was stored before its last renewals. */
  "replaced unseen": (context) => {
    const { random, time, quietFrom, bucket, log } = context;
    const leader = context.hosts.find(({ process }) => process.driver.isHeld());
    const staleMs = timing.leaseTtlMs + random.between(4_000, 8_000);
    if (leader === undefined || time.now + staleMs >= quietFrom) return;
    const { network } = leader;
    log(`${leader.name}: reads return the present state for ${staleMs} ms`);
    const snapshot = bucket.snapshot();
    network.staleSnapshot = snapshot;
    time.after(staleMs, () => {
      if (network.staleSnapshot === snapshot) network.staleSnapshot = null;
    });
    time.after(random.between(1, 4_000), () => {
      // Most of the rest of its lease: once that has expired it campaigns against its own record, and is refused.
      const ms = random.between(timing.leaseTtlMs / 2, timing.leaseTtlMs);
      log(`${leader.process.incarnation}: disconnected for ${ms} ms`);
      cut(context, leader.process, ms);
    });
  },
  // Faults between a write and its answer matter most, but the answer takes milliseconds, so random times rarely hit it.
  "trouble under way": (context, host) => {
    const { random, time, quietFrom, log } = context;
    const kind = random.pick(["acquire", "acquire", "renew", "release", "promise"] as const);
    const latencyMs = random.between(5, 490);
    const troubles = Array.from({ length: random.between(1, 2) }, () => ({
      name: random.pick(underWay),
      afterMs: random.between(0, 2 * latencyMs),
    }));
    const happen = (): void => {
      if (time.now + 2 * latencyMs >= quietFrom) return;
      log(`${host.name}: latency of its ${kind} write is ${latencyMs} ms each way`);
      host.network.latencyMs = latencyMs;
      time.after(2 * latencyMs, () => {
        host.network.latencyMs = 1;
      });
      for (const { name, afterMs } of troubles) {
        time.after(afterMs, () => {
          context.strike(name, host);
          context.invalidate();
        });
      }
    };
    host.atNextWrite = { kind, happen };
    if (kind !== "promise" || !("term" in host.process.driver.state.role)) return;
    // A leader that reconnects names its promise only once a beat has come back.
    const ms = Math.min(random.between(1, 500), quietFrom - time.now);
    log(`${host.process.incarnation}: disconnected for ${ms} ms`);
    cut(context, host.process, ms);
  },
};
