/** Faults of the network, of connections and of the servers. */
import type { GroupEntry, GroupKey, GroupRecord } from "../../../src/group/core/types.ts";
import type { RequestKind } from "../../../src/testing/simulation/fakes/group-network.ts";
import type { SeededRandom } from "../../../src/testing/simulation/random.ts";
import { REQUEST_TIMEOUT_MS } from "../timing.ts";
import { cut, type FaultContext, type GroupFault, lasting, network, reconnectLater } from "./fault-tools.ts";
import type { GroupFaultName, NetworkFaultName } from "./names.ts";

const WRITES: readonly RequestKind[] = [
  "session",
  "session",
  "session-end",
  "claim",
  "claim",
  "release",
  "plan",
];
const KINDS: readonly RequestKind[] = [...WRITES, "read", "bulk"];

/** Faults that are injected between a write and its answer. */
const underWay: readonly GroupFaultName[] = [
  "requests lost",
  "answers lost",
  "disconnected",
  "pause",
  "cut while frozen",
  "kill -9",
  "stale reads",
  "stop",
  "late write",
  "backlog",
  "member drains",
  "list changes",
  "watch lost",
];

export const networkFaults: Readonly<Record<NetworkFaultName, GroupFault>> = {
  latency: network(
    "latency",
    (one, random) => {
      one.latencyMs = random.between(1, random.chance(0.5) ? 100 : 900);
    },
    (one) => {
      one.latencyMs = 1;
    },
  ),
  /** Some answers arrive just before their request is given up, others just after. */
  "latency near the timeout": network(
    "latency near the timeout",
    (one, random) => {
      one.latencyMs = REQUEST_TIMEOUT_MS / 2 + random.between(-25, 15);
    },
    (one) => {
      one.latencyMs = 1;
    },
  ),
  /** Of at most 580 ms: no request is given up. */
  "slow round trips": ({ random, time, quietFrom, log }, { name, network: slow }) => {
    const latencyMs = random.between(150, 290);
    const ms = Math.min(random.between(3_000, 9_000), quietFrom - time.now);
    log(`${name}: latency ${latencyMs} ms each way for ${ms} ms`);
    slow.latencyMs = latencyMs;
    time.after(ms, () => {
      slow.latencyMs = 1;
    });
  },
  "requests lost": network(
    "requests lost",
    (one) => {
      one.dropRequests = true;
    },
    (one) => {
      one.dropRequests = false;
    },
  ),
  "answers lost": network(
    "answers lost",
    (one) => {
      one.dropResponses = true;
    },
    (one) => {
      one.dropResponses = false;
    },
  ),
  "one kind of request lost": oneKindLost("requests", "lostRequests"),
  "one kind of answer lost": oneKindLost("answers", "lostAnswers"),
  "watch lost": network(
    "watch lost",
    (one) => {
      one.dropWatch = true;
    },
    (one) => {
      one.dropWatch = false;
    },
  ),
  "watch unreliable": network(
    "watch unreliable",
    (one, random) => {
      one.watchLoss = random.pick([0, 0.1, 0.5]);
      one.watchRepeats = random.pick([0, 0.3]);
      one.watchJitterMs = random.pick([0, 20, 1_000]);
    },
    (one) => {
      one.watchLoss = 0;
      one.watchRepeats = 0;
      one.watchJitterMs = 0;
    },
  ),
  blackhole: network(
    "blackhole",
    (one) => {
      one.dropRequests = true;
      one.dropResponses = true;
    },
    (one) => {
      one.dropRequests = false;
      one.dropResponses = false;
    },
  ),
  /** Often so late that its sender has just given it up, or has ended its session since. */
  "late write": (context, host) => {
    const { random, time, quietFrom, log } = context;
    const kind = context.kind ?? random.pick(WRITES);
    const ms = random.chance(0.5) ? random.between(500, 1_400) : lasting(context);
    if (time.now + ms >= quietFrom) return;
    log(`${host.name}: its next ${kind} arrives ${ms} ms late`);
    host.network.lateWrites.push({ kind, ms });
  },
  "stale reads": (context, host) => {
    const ms = lasting(context);
    context.log(`${host.name}: reads return the present state for ${ms} ms`);
    const { network: own } = host;
    const state = context.bucket.state();
    own.stale = state;
    context.time.after(ms, () => {
      if (own.stale === state) own.stale = null;
    });
  },
  "old message": ({ bucket, random, log }) => {
    const count = random.between(1, 5);
    log(`the watchers receive ${count} old messages again`);
    for (let left = count; left > 0 && bucket.committed.length > 0; left -= 1)
      bucket.repeat(random.pick(bucket.committed.slice(-30)));
  },
  "message of another bucket": (context) => {
    const forged = forgedFrom(context, (record) => ({ ...record, generation: "generation-0" }));
    if (forged !== null) deliver(context, forged);
  },
  "forged end of a session": (context, host) => {
    const entry = context.bucket.get({ kind: "session", memberId: host.plan.memberId });
    if (entry?.kind !== "record" || entry.record.kind !== "session") return;
    const { record } = entry;
    const revision = context.bucket.lastSequence + context.random.pick([0, 1, 1, 2, 50]);
    deliver(context, {
      ...entry,
      revision,
      record: {
        kind: "session-end",
        memberId: "evil",
        incarnation: "evil1",
        nonce: 1,
        generation: record.generation,
        above: record.above,
        of: record.memberId,
        number: (record.number ?? entry.revision) + context.random.pick([0, 0, 0, 1, 1_000]),
        reason: "closed",
      },
    });
  },
  /** A record of any kind with some of its numbers changed. */
  "forged message": (context) => {
    const count = context.random.chance(0.8) ? 1 : 30;
    for (let left = count; left > 0; left -= 1) {
      const { random } = context;
      const forged = forgedFrom(context, (record) => changed(record, random));
      if (forged !== null)
        deliver(context, { ...forged, revision: forged.revision + random.pick([0, 0, 1, 2, 1_000]) });
    }
  },
  /** Bursts of messages with the revisions that come next: they are taken in, until something shows that they are forged. */
  "forged in a row": (context) => {
    const { random, time, bucket, log } = context;
    const untilMs = time.now + lasting(context, 3_000);
    log(`the watchers receive bursts of forged messages for ${Math.round(untilMs - time.now)} ms`);
    const burst = (): void => {
      if (time.now > untilMs || !bucket.exists) return;
      const after = bucket.lastSequence;
      for (let next = 1, count = random.between(1, random.chance(0.2) ? 40 : 3); next <= count; next += 1) {
        const forged = forgedAt(context, after + next);
        if (forged === null) continue;
        context.forged(forged);
        bucket.repeat(forged);
      }
      time.after(random.between(1, random.chance(0.5) ? 20 : 500), burst);
    };
    burst();
  },
  // Faults between a write and its answer matter most, but the answer takes milliseconds, so random times rarely hit it.
  "trouble under way": (context, host) => {
    const { random, time, quietFrom, log } = context;
    const kind = context.kind ?? random.pick(WRITES);
    const latencyMs = random.between(5, 290);
    const troubles = Array.from({ length: random.between(1, 2) }, () => ({
      name: random.pick(underWay),
      afterMs: random.between(0, 2 * latencyMs),
    }));
    const happen = (): void => {
      if (time.now + 2 * latencyMs >= quietFrom) return;
      log(`${host.name}: latency of its ${kind} is ${latencyMs} ms each way`);
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
  },
  /** A session ends while a write of it is under way, and the next one may have begun when the answer arrives. */
  "ended under way": (context, host) => {
    const { random, time, quietFrom, log } = context;
    const kind = context.kind ?? random.pick(WRITES);
    const ms = random.between(5, REQUEST_TIMEOUT_MS - 10);
    const endsAfterMs = random.between(0, ms);
    const happen = (): void => {
      if (time.now + REQUEST_TIMEOUT_MS >= quietFrom) return;
      log(`${host.name}: its ${kind} takes ${ms} ms; its session ends after ${endsAfterMs} ms`);
      time.after(endsAfterMs, () => {
        context.strike("forged end of a session", host);
        context.invalidate();
      });
    };
    host.network.lateWrites.push({ kind, ms });
    host.atNextWrite = { kind, happen };
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
  "server restart": (context) => {
    const ms = lasting(context, 6_000);
    context.log(`the server restarts; every member is disconnected for ${ms} ms and up to 2 s more`);
    for (const { member } of context.hosts)
      if (member !== null) cut(context, member, ms + context.random.between(0, 2_000));
  },
  disconnected: (context, { member }) => {
    if (member === null) return;
    const ms = lasting(context);
    context.log(`${member.incarnation}: disconnected for ${ms} ms`);
    cut(context, member, ms);
  },
  /** No packet says that the server has closed the connection: the process notices by its own pings. */
  "reset by the server": (context, { member }) => {
    const { random, time, quietFrom, log } = context;
    if (member?.alive !== true || member.session.link === null) return;
    const ms = Math.min(random.between(100, 4_000), quietFrom - time.now);
    log(`${member.incarnation}: its server closes the connection; it notices after ${ms} ms`);
    member.session.resetByServer(ms);
    time.after(ms, () => context.invalidate());
    reconnectLater(context, member, ms + random.between(0, 1_500));
  },
  /** Megabytes wait in the socket of the process. Often the server drops the connection while they do, as that of a slow consumer. */
  backlog: (context, { member }) => {
    const { random, time, quietFrom, log } = context;
    if (member?.alive !== true || member.session.link === null) return;
    const ms = Math.min(random.between(50, 4_000), quietFrom - time.now);
    log(`${member.incarnation}: what arrives waits in its socket for ${ms} ms`);
    member.session.stall(ms);
    time.after(ms, () => context.invalidate());
    if (!random.chance(0.6)) return;
    const cutAfter = random.between(0, ms);
    time.after(cutAfter, () => {
      log(`${member.incarnation}: its server drops the connection`);
      cut(context, member, ms - cutAfter + random.between(0, 1_500));
    });
  },
  "presence lost": ({ hosts, log }, { member }) => {
    const presence = member?.session.link?.presence;
    if (presence === undefined) return;
    log(`${member?.incarnation}: its presence consumer is lost, the process runs on`);
    for (const other of hosts) other.member?.session.receiveAdvisory(presence);
  },
  "no answers": (context, { member }) => {
    const leftMs = Math.max(0, context.quietFrom - context.time.now);
    const ms = context.random.chance(0.2) ? leftMs : lasting(context);
    context.log(`the server answers nothing about connections for ${ms} ms`);
    member?.session.muteServer(ms);
  },
  "server frozen": (context, { member }) => {
    const ms = lasting(context, 4_000);
    context.log(`the server stands still for ${ms} ms`);
    member?.session.freezeServer(ms);
  },
  /** The host is cut off, and nothing is closed. */
  vanished: (context, host) => {
    const ms = Math.min(context.random.between(500, 8_000), context.quietFrom - context.time.now);
    context.log(`${host.name}: cut off for ${ms} ms`);
    host.network.dropRequests = true;
    host.network.dropResponses = true;
    context.time.after(ms, () => {
      host.network.dropRequests = false;
      host.network.dropResponses = false;
    });
  },
};

function oneKindLost(what: string, set: "lostRequests" | "lostAnswers"): GroupFault {
  return (context, host) => {
    const ms = lasting(context);
    const kind = context.kind ?? context.random.pick(KINDS);
    context.log(`${host.name}: ${what} of kind ${kind} lost for ${ms} ms`);
    host.network[set].add(kind);
    context.time.after(ms, () => host.network[set].delete(kind));
  };
}

/** A record of the bucket, changed, at the same revision. `null`: there is none. */
function forgedFrom(
  { bucket, random }: FaultContext,
  change: (record: GroupRecord) => GroupRecord,
): GroupEntry | null {
  const records = [...bucket.state().keys.values()].filter(
    (entry): entry is Extract<GroupEntry, { kind: "record" }> => entry.kind === "record",
  );
  if (records.length === 0) return null;
  const entry = random.pick(records);
  return { ...entry, record: change(entry.record) };
}

/** Anything, on any key, at this revision. */
function forgedAt(context: FaultContext, revision: number): GroupEntry | null {
  const { random } = context;
  const forged = forgedFrom(context, (record) => (random.chance(0.5) ? record : changed(record, random)));
  if (forged === null || random.chance(0.7)) return forged === null ? null : { ...forged, revision };
  const { key } = forged;
  return random.chance(0.5)
    ? { kind: "deleted", key, revision }
    : { kind: "garbage", key, revision, reason: "forged" };
}

function changed(record: GroupRecord, random: SeededRandom): GroupRecord {
  const more = (value: number): number => value + random.pick([-1, 1, 1, 1_000]);
  const common = { ...record, ...(random.chance(0.3) ? { memberId: "evil", incarnation: "evil1" } : {}) };
  switch (common.kind) {
    case "session":
      return {
        ...common,
        number: random.chance(0.5) ? null : more(common.number ?? 1),
        nonce: more(common.nonce),
      };
    case "session-end":
      return { ...common, number: more(common.number) };
    case "claim":
      return { ...common, session: more(common.session) };
    case "release":
      return { ...common, epoch: more(common.epoch) };
    case "plan":
      return { ...common, coordinator: more(common.coordinator) };
    default:
      return common satisfies never;
  }
}

/** The watchers receive a message that is not in the bucket. */
function deliver({ bucket, log }: FaultContext, entry: GroupEntry): void {
  const key: GroupKey = entry.key;
  log(`the watchers receive a forged message: ${JSON.stringify(key)} at revision ${entry.revision}`);
  bucket.repeat(entry);
}
