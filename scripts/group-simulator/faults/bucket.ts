/** What operators and servers do to the bucket. */
import { balance } from "../../../src/group/balance.ts";
import type { GroupEntry, GroupKey } from "../../../src/group/core/types.ts";
import type { FaultContext, GroupFault } from "./fault-tools.ts";
import type { BucketFaultName } from "./names.ts";

export const bucketFaults: Readonly<Record<BucketFaultName, GroupFault>> = {
  "key deleted": (context) => {
    const key = anyKey(context);
    if (key === null) return;
    context.log(`an operator deletes ${JSON.stringify(key)}`);
    context.excuse(key);
    context.bucket.force((revision) => ({ kind: "deleted", key, revision }));
  },
  "key removed": (context) => {
    const key = anyKey(context);
    if (key === null) return;
    context.log(`an operator purges ${JSON.stringify(key)}`);
    context.removed(key);
    context.bucket.remove(key);
  },
  garbage: (context) => {
    const key = anyKey(context);
    if (key === null) return;
    context.log(`an operator overwrites ${JSON.stringify(key)} with garbage`);
    context.excuse(key);
    context.bucket.force((revision) => ({ kind: "garbage", key, revision, reason: "not JSON" }));
  },
  /** A write of an earlier plan, or of one that names members and resources that do not exist. */
  "old plan": ({ bucket, random, log, excuse }) => {
    const key: GroupKey = { kind: "plan" };
    const plans = bucket.committed.filter(
      (entry): entry is Extract<GroupEntry, { kind: "record" }> =>
        entry.kind === "record" &&
        entry.record.kind === "plan" &&
        entry.record.generation === bucket.generation,
    );
    if (plans.length === 0) return;
    const { record } = random.pick(plans);
    log("an operator restores an earlier plan");
    excuse(key);
    bucket.force((revision) => ({ kind: "record", key, revision, record }));
  },
  "plan lost": ({ bucket, random, log, excuse, removed }) => {
    const key: GroupKey = { kind: "plan" };
    excuse(key);
    if (random.chance(0.5)) {
      log("the plan is purged");
      removed(key);
      bucket.remove(key);
    } else {
      log("the plan is overwritten with garbage");
      bucket.force((revision) => ({ kind: "garbage", key, revision, reason: "not a plan" }));
    }
  },
  /** What a client may write that has the right to: bytes that are no plan, and a plan of members and resources that do not exist. */
  "plan overwritten": ({ bucket, random, log, excuse }) => {
    const key: GroupKey = { kind: "plan" };
    const entry = bucket.get(key);
    if (entry?.kind !== "record" || entry.record.kind !== "plan") return;
    const { record } = entry;
    const strange = balance.encode({
      members: ["stranger", record.memberId].sort(),
      assignment: new Map([
        ["nothing", "stranger"],
        ["r0", record.memberId],
        ["r1", "stranger"],
      ]),
    });
    const plan = random.pick([
      new Uint8Array(),
      record.plan.slice(0, record.plan.length / 2),
      new TextEncoder().encode("not a plan"),
      strange ?? record.plan,
    ]);
    log(`a client overwrites the plan with ${plan.length} bytes`);
    excuse(key);
    bucket.force((revision) => ({ kind: "record", key, revision, record: { ...record, plan } }));
  },
  "bucket deleted": ({ bucket, hosts, random, time, log, excuseAll }) => {
    if (!bucket.exists) return;
    log("the bucket is deleted");
    for (const { network } of hosts) network.stale = null;
    bucket.delete();
    excuseAll();
    if (random.chance(0.5)) return;
    const above = random.chance(0.5) ? 0 : bucket.lastSequence;
    time.after(random.between(1, 1_500), () => {
      if (!bucket.exists) log(`an operator creates the bucket again, above ${above}`);
      bucket.recreate(above);
    });
  },
  "history lost": ({ bucket, hosts, random, log, lost }) => {
    if (!bucket.exists) return;
    const count = random.between(1, random.chance(0.5) ? 4 : 40);
    log(`the server loses its newest ${count} messages`);
    for (const { network } of hosts) network.stale = null;
    const before = bucket.state().keys;
    bucket.loseNewest(count);
    lost([...before.values()].filter((entry) => bucket.get(entry.key) !== entry).map(({ key }) => key));
  },
};

function anyKey({ bucket, random }: FaultContext): GroupKey | null {
  const keys = [...bucket.state().keys.values()].map(({ key }) => key);
  return keys.length === 0 ? null : random.pick(keys);
}
