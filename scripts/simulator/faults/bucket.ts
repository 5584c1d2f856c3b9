/** What operators and other clients do to the bucket. */
import type { LeaseEntry } from "../../../src/election/types.ts";
import type { FakeBucket } from "../../../src/testing/simulation/fakes/fake-bucket.ts";
import type { Host } from "../host.ts";
import { type FaultContext, forgerOf, type SimulatedFault } from "./fault-tools.ts";
import { forgedRecord } from "./forgery.ts";
import type { BucketFaultName } from "./names.ts";

export const bucketFaults: Readonly<Record<BucketFaultName, SimulatedFault>> = {
  "other key": ({ bucket, log }) => {
    log("another key of the bucket is written");
    if (bucket.exists) bucket.writeOtherKey();
  },
  "server clock": ({ bucket, beforeIntervention, afterPurge, log }) => {
    log("the server's wall clock jumps 20 s ahead");
    // Native buckets have no max-age, so the server's clock has no effect.
    if (bucket.maxAgeMs === 0) return;
    beforeIntervention("aged");
    bucket.expire();
    afterPurge();
  },
  "key deleted": ({ bucket, beforeIntervention, log }) => {
    log("an operator deletes the key");
    beforeIntervention("deleted");
    bucket.force((revision) => ({ kind: "deleted", revision }));
  },
  "stream purged": ({ bucket, beforeIntervention, afterPurge, random, time, quietFrom, log }, host) => {
    const purge = (): void => {
      log("an operator purges the stream");
      beforeIntervention(bucket.maxAgeMs > 0 ? "aged" : "purged");
      bucket.expire();
      afterPurge();
    };
    purge();
    if (random.chance(0.7)) return;
    // A second purge just before a late write arrives that expects an empty key. Whole terms may lie between the purges.
    const lateMs = random.between(50, 1_400);
    const happen = (): void => {
      if (time.now + lateMs >= quietFrom) return;
      host.network.delayNextWriteMs = lateMs;
      time.after(lateMs, purge);
    };
    host.atNextWrite = { kind: "acquire", happen };
  },
  garbage: ({ bucket, beforeIntervention, log }) => {
    log("an operator overwrites the lease with garbage");
    beforeIntervention("garbage");
    bucket.force((revision) => ({ kind: "garbage", revision, reason: "not JSON" }));
  },
  "forged record": (context) => {
    const { bucket, beforeIntervention, forging, log } = context;
    const entry = forgedRecord(forgerOf(context), bucket.snapshot().lastSequence + 1);
    log(`a client overwrites the lease with a forged record: ${entry.kind}`);
    beforeIntervention(entry.kind === "record" ? "forged" : "garbage");
    forging(() => bucket.force(() => entry));
  },
  /** Power loss without sync: the server has acknowledged messages that it does not have any more. */
  "history lost": ({ bucket, beforeIntervention, afterPurge, random, log }) => {
    let kept = bucket.entry;
    for (let lost = random.between(1, 4); lost > 0; lost -= 1) kept = storedBefore(bucket, kept) ?? kept;
    if (!bucket.exists || kept === null || kept === bucket.entry) return;
    log(`the server loses every message after revision ${kept.revision}`);
    beforeIntervention("lost");
    bucket.rollBackTo(kept.revision, kept);
    afterPurge();
  },
  "bucket deleted": (context, host) => {
    const { bucket, quietFrom, random, log, time } = context;
    if (!bucket.exists) return;
    if (afterSilence(context, () => context.strike("bucket deleted", host))) return;
    deleteBucket(context, "the bucket is deleted");
    if (!random.chance(0.5)) return;
    time.after(random.between(1, 1_500), () => {
      if (!bucket.exists) log("the bucket is recreated");
      bucket.recreate();
    });
    if (random.chance(0.2)) return deleteBehindFirstWrite(context, host);
    // Deletes the next bucket, too, after a node has led on it, while a restarted node remembers neither bucket.
    const againMs = random.between(11_000, 25_000);
    if (random.chance(0.7) || time.now + againMs >= quietFrom) return;
    time.after(againMs - random.between(1, 500), () => context.strike("kill -9", host));
    time.after(againMs, () => context.strike("bucket deleted", host));
  },
};

/** The message on the key before this one, without those that were lost before. */
function storedBefore({ log }: FakeBucket, entry: LeaseEntry | null): LeaseEntry | undefined {
  if (entry === null) return undefined;
  return log.findLast(({ revision }) => revision < entry.revision);
}

/** Sometimes: `happen` when other nodes have confirmed the silence of a leader, if there is one that promises it, and time. */
function afterSilence({ hosts, quietFrom, random, strike, time }: FaultContext, happen: () => void): boolean {
  const leader = hosts.find(({ process }) => {
    const { role } = process.driver.state;
    return "term" in role && role.term.promises;
  });
  const silentMs = (leader?.options.silenceMs ?? 0) + 1_000;
  if (leader === undefined || time.now + silentMs >= quietFrom || random.chance(0.7)) return false;
  strike("vanished", leader);
  time.after(silentMs, happen);
  return true;
}

/** Reads that returned an earlier state of the bucket end with it. */
function deleteBucket({ bucket, beforeIntervention, hosts, log }: FaultContext, how: string): void {
  log(how);
  beforeIntervention("recreated", true);
  for (const { network } of hosts) network.staleSnapshot = null;
  bucket.delete();
}

/**
 * Deletes the next bucket right after its first write, while that message is under way to `host`. After that, `host` learns
 * nothing but the death of the writer.
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
        deleteBucket(context, "the bucket is deleted behind its first write");
        network.dropWatch = true;
        time.after(restMs, () => bucket.recreate());
        time.after(killAfterMs, () => context.strike("kill -9", writer ?? host));
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
