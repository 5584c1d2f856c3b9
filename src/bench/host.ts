/** Mode `host`: the cable of the leader's host is pulled. Nothing is closed, and the leader runs on. */
import { hostNowMs } from "./messages.ts";
import { everyRound, newestEpoch } from "./rounds.ts";
import type { Found, Stage } from "./stage.ts";
import { round } from "./stats.ts";

export async function runHost(stage: Stage): Promise<Found> {
  const { fleet, hosts, patienceMs } = stage;
  const cuts: { heldMs: number; overlapMs: number }[] = [];
  const samplesMs = await everyRound(stage, "host", async () => {
    const leader = fleet.leader();
    const host = hosts.get(leader.id);
    if (host === undefined) throw new Error(`${leader.id} has no host of its own`);
    const epoch = newestEpoch(fleet);
    const start = hostNowMs();
    host.pull();
    try {
      const next = await fleet.nextTerm(epoch, patienceMs);
      // An overlap lasts until the leader that was cut off gives up by itself, so the cable stays out until then.
      await fleet.until(
        () => (fleet.isHeld(leader) ? undefined : true),
        patienceMs,
        () => `${leader.id}, which is cut off, to answer isLeader() with false`,
      );
      const heldUntil = fleet.lastHeld(leader);
      cuts.push({ heldMs: round(heldUntil - start), overlapMs: round(Math.max(0, heldUntil - next.at)) });
      return next.at - start;
    } finally {
      host.mend();
    }
  });
  const sample = "cable of the leader's host pulled, to the entry of the next leader's onBecomeLeader";
  return { samplesMs, sample, cuts };
}
