/** Faults of processes and their clocks, and what operators and applications ask of a member. */
import type { GroupEntry } from "../../../src/group/core/types.ts";
import type { Host } from "../world/host.ts";
import { type FaultContext, frozen, type GroupFault, lasting, restartLater } from "./fault-tools.ts";
import type { ProcessFaultName } from "./names.ts";

const MAX_DOWN_MS = 8_000;

export const processFaults: Readonly<Record<ProcessFaultName, GroupFault>> = {
  pause: frozen("pause"),
  suspend: frozen("suspend"),
  "cut while frozen": frozen("pause", "and cut"),
  "wall clock": ({ random, log }, { name, member }) => {
    const ms = random.between(-100_000, 100_000);
    log(`${name}: wall clock stepped by ${ms} ms`);
    member?.clock.stepWall(ms);
  },
  "kill -9": (context, host) => {
    if (host.member?.alive !== true) return;
    context.log(`${host.member.incarnation}: kill -9`);
    host.member.kill();
    restartLater(context, host, context.random.between(1, MAX_DOWN_MS));
  },
  "host lost": (context, host) => {
    if (host.member?.alive !== true) return;
    const { random, time, quietFrom } = context;
    const lingerMs = Math.min(random.between(1, 10_000), Math.max(0, quietFrom - time.now));
    context.log(`${host.member.incarnation}: host lost; its server notices after ${lingerMs} ms`);
    host.member.kill(lingerMs);
    restartLater(context, host, random.between(1, MAX_DOWN_MS));
  },
  stop: (context, host) => {
    context.log(`${host.name}: stop()`);
    host.member?.stop(false);
    restartLater(context, host, context.random.between(300, MAX_DOWN_MS));
  },
  restart: (context, host) => {
    context.log(`${host.name}: stop(), it will be back`);
    host.member?.stop(true);
    restartLater(context, host, context.random.between(50, 2_000));
  },
  /** The member that makes one of the next claims is killed by it. */
  "killed while claiming": (context) => {
    const { bucket, random, time, quietFrom, hosts, log } = context;
    const after = random.chance(0.5) ? random.between(1, 5) : random.between(1, 60);
    let left = after;
    const seen = (entry: GroupEntry): void => {
      if (entry.kind !== "record" || entry.record.kind !== "claim" || entry.key.kind !== "owner") return;
      left -= 1;
      if (left > 0) return;
      unwatch();
      const { incarnation } = entry.record;
      const host = hosts.find(({ member }) => member?.incarnation === incarnation);
      if (host === undefined || time.now >= quietFrom) return;
      log(`${incarnation}: killed at the claim of ${entry.key.resource}, the ${after}th`);
      // Not within the write of another process.
      time.after(0, () => context.strike("kill -9", host));
    };
    const unwatch = bucket.watch({ commit: ({ entry }) => seen(entry), gone: () => {} });
    time.at(quietFrom, unwatch);
  },
  "member drains": (context, host) => {
    const ms = lasting(context);
    context.log(`${host.name}: drains for ${ms} ms`);
    host.setDraining(true);
    context.time.after(ms, () => host.setDraining(false));
  },
  "weight changes": ({ random, log }, host) => {
    const weight = random.pick([0, 1, 1, 2, 5]);
    log(`${host.name}: weight ${weight}`);
    host.setWeight(weight);
  },
  /** A resource is added or removed: the members learn of it at different times. */
  "list changes": (context) => {
    const { random, time, hosts, resources, quietFrom, log, setResources } = context;
    const removes = resources.length > 1 && random.chance(0.5);
    const changed = removes
      ? resources.filter((_, index) => index !== 0)
      : [...resources, { name: `n${resources.length}-${Math.round(time.now * 10)}` }];
    log(`the list of resources becomes ${changed.map(({ name }) => name).join(" ")}`);
    setResources(changed);
    for (const host of hosts) {
      const at = Math.min(time.now + (random.chance(0.5) ? 0 : random.between(1, 3_000)), quietFrom);
      time.at(at, () => host.setResources(changed));
    }
  },
  "list differs": (context, host) => {
    const ms = lasting(context);
    const own = host.resources.filter(() => context.random.chance(0.6));
    context.log(`${host.name}: knows only ${own.map(({ name }) => name).join(" ")} for ${ms} ms`);
    host.setResources(own);
    context.time.after(ms, () => host.setResources(context.resources));
  },
  "drains hang": (context, { name, member }) => {
    if (member === null) return;
    const ms = lasting(context);
    context.log(`${name}: its work does not stop when asked, for ${ms} ms`);
    member.application.hangs = true;
    context.time.after(ms, () => member.application.release());
  },
  "resource refused": (context, host) => {
    const resource = ownedBy(context, host);
    if (resource === null) return;
    const forMs = lasting(context, 4_000);
    context.log(`${host.name}: refuses ${resource} for ${forMs} ms`);
    host.member?.deliver({ type: "refuse", resource, forMs });
  },
  "move wished": ({ random, hosts, resources, log }, host) => {
    const [resource, to] = [random.pick(resources).name, random.pick(hosts).plan.memberId];
    log(`${host.name}: asked to move ${resource} to ${to}`);
    host.member?.deliver({ type: "move", resource, to });
  },
  /** Another member becomes the coordinator, while the plan of this one is still under way. */
  "coordinator stands still": (context) => {
    const { bucket, hosts, random, log } = context;
    const entry = bucket.get({ kind: "coordinator" });
    const incarnation = entry?.kind === "record" ? entry.record.incarnation : null;
    const host = hosts.find(({ member }) => member?.incarnation === incarnation);
    if (host === undefined) return;
    log(`${incarnation}: the coordinator`);
    host.network.lateWrites.push({ kind: "plan", ms: random.between(500, 8_000) });
    context.strike(
      random.pick(["cut while frozen", "pause", "disconnected", "weight changes"] as const),
      host,
    );
  },
};

function ownedBy({ resources, random }: FaultContext, { member }: Host): string | null {
  const owned = resources.filter(({ name }) => member?.isHeld(name) === true);
  return owned.length === 0 ? null : random.pick(owned).name;
}
