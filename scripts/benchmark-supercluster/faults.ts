/** Faults between regions, and their effect on the leadership. */
import { hostNowMs } from "../../src/bench/messages.ts";
import { round } from "../../src/bench/stats.ts";
import type { Failure, Layout, Regions } from "../shared/regions.ts";
import type { Election } from "./election.ts";
import type { FaultTimes } from "./report.ts";

const RETURN_MS = 90_000;

/** Regions whose servers and nodes are killed with SIGKILL, or links between regions that fail. */
type Damage =
  | { readonly lose: readonly string[] }
  | { readonly break: readonly (readonly [one: string, other: string])[]; readonly failure: Failure };

interface Plan {
  readonly fault: string;
  readonly leader: string;
  readonly streamLeader: string;
  readonly damage: Damage;
}

/** The first region holds the bucket, or one of its replicas. */
export function faultsOf(
  layout: Layout,
  [one, two, three]: readonly [string, string, string],
): readonly Plan[] {
  const isolated = [
    [one, two],
    [one, three],
  ] as const;
  if (layout === "gateways") {
    const bucket = { streamLeader: one };
    return [
      { fault: `${two} lost`, leader: one, ...bucket, damage: { lose: [two] } },
      { fault: `${two} lost`, leader: two, ...bucket, damage: { lose: [two] } },
      { fault: `${one} lost`, leader: one, ...bucket, damage: { lose: [one] } },
      { fault: `${one} lost`, leader: two, ...bucket, damage: { lose: [one] } },
      ...(["cut", "silent"] as const).map((failure) => ({
        fault: `gateway ${one}-${two} ${failure}`,
        leader: two,
        ...bucket,
        damage: { break: [[one, two]] as const, failure },
      })),
      {
        fault: `gateway ${one}-${two} cut`,
        leader: one,
        ...bucket,
        damage: { break: [[one, two]], failure: "cut" },
      },
      {
        fault: `gateway ${two}-${three} cut`,
        leader: two,
        ...bucket,
        damage: { break: [[two, three]], failure: "cut" },
      },
    ];
  }
  return [
    { fault: `${one} lost`, leader: one, streamLeader: one, damage: { lose: [one] } },
    { fault: `${two} lost`, leader: one, streamLeader: two, damage: { lose: [two] } },
    { fault: `${three} lost`, leader: one, streamLeader: two, damage: { lose: [three] } },
    { fault: `${two} and ${three} lost`, leader: one, streamLeader: one, damage: { lose: [two, three] } },
    ...(["cut", "silent"] as const).map((failure) => ({
      fault: `routes of ${one} ${failure}`,
      leader: one,
      streamLeader: one,
      damage: { break: isolated, failure },
    })),
    {
      fault: `routes ${one}-${two} cut`,
      leader: one,
      streamLeader: two,
      damage: { break: [[one, two]], failure: "cut" },
    },
  ];
}

export async function inflict(
  regions: Regions,
  election: Election,
  plan: Plan,
  options: { readonly ttlMs: number; readonly signal: AbortSignal },
): Promise<FaultTimes> {
  const { fleet } = election;
  await election.settled();
  await election.moveStreamTo(plan.streamLeader);
  await election.leadIn(plan.leader);
  await election.settled();
  const leader = fleet.leader();
  const epoch = election.newestEpoch();
  let stoppedAt: number | null = null;
  const unlisten = fleet.listen((report, member) => {
    if (member !== leader) return;
    if (report.type === "unheld") stoppedAt ??= report.at;
    if (report.type === "held") stoppedAt = null;
  });
  const start = hostNowMs();
  await cause(regions, election, plan.damage);
  if (leader.leaving) stoppedAt = start;
  // Enough for a takeover: a whole TTL, plus an election of the stream's leader.
  const patienceMs = 1.5 * options.ttlMs + 5_000;
  const next = await fleet.nextTerm(epoch, patienceMs).catch(() => null);
  options.signal.throwIfAborted();
  unlisten();
  const end = hostNowMs();
  const stopped: number | null = stoppedAt;
  await repair(regions, election, plan.damage);
  let backMs: number | null = null;
  if (stopped !== null && next === null) backMs = round((await fleet.nextTerm(epoch, RETURN_MS)).at - end);
  await election.settled();
  return {
    fault: plan.fault,
    leader: plan.leader,
    streamLeader: plan.streamLeader,
    stoppedMs: stopped === null ? null : round(stopped - start),
    nextMs: next === null ? null : round(next.at - start),
    next: next === null ? null : election.homeOf(next.node),
    lastedMs: round(end - start),
    backMs,
  };
}

async function cause(regions: Regions, election: Election, damage: Damage): Promise<void> {
  if ("break" in damage) {
    for (const [one, other] of damage.break) regions.break(one, other, damage.failure);
    return;
  }
  for (const region of damage.lose) {
    for (const node of election.nodesIn(region)) election.kill(node);
  }
  await Promise.all(damage.lose.map((region) => regions.lose(region)));
}

async function repair(regions: Regions, election: Election, damage: Damage): Promise<void> {
  if ("break" in damage) {
    for (const [one, other] of damage.break) regions.mend(one, other);
    return;
  }
  await Promise.all(damage.lose.map((region) => regions.restore(region)));
  for (const region of damage.lose) election.addNode(region);
}
