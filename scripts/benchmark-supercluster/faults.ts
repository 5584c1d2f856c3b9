/** What may fail between regions, and what becomes of the leadership then. */
import { hostNowMs } from "../../src/bench/messages.ts";
import { round } from "../../src/bench/stats.ts";
import type { Failure, Layout, Regions } from "../shared/regions.ts";
import type { Election } from "./election.ts";
import type { FaultTimes } from "./report.ts";

const RETURN_MS = 90_000;

/** What is broken between which regions, or which regions are lost: servers and nodes, with SIGKILL. */
type Blow =
  | { readonly lose: readonly string[] }
  | { readonly break: readonly (readonly [one: string, other: string])[]; readonly failure: Failure };

interface Plan {
  readonly fault: string;
  readonly leader: string;
  readonly streamLeader: string;
  readonly blow: Blow;
}

/** The first region has the bucket, or one of its replicas. */
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
      { fault: `${two} lost`, leader: one, ...bucket, blow: { lose: [two] } },
      { fault: `${two} lost`, leader: two, ...bucket, blow: { lose: [two] } },
      { fault: `${one} lost`, leader: one, ...bucket, blow: { lose: [one] } },
      { fault: `${one} lost`, leader: two, ...bucket, blow: { lose: [one] } },
      ...(["cut", "silent"] as const).map((failure) => ({
        fault: `gateway ${one}-${two} ${failure}`,
        leader: two,
        ...bucket,
        blow: { break: [[one, two]] as const, failure },
      })),
      {
        fault: `gateway ${one}-${two} cut`,
        leader: one,
        ...bucket,
        blow: { break: [[one, two]], failure: "cut" },
      },
      {
        fault: `gateway ${two}-${three} cut`,
        leader: two,
        ...bucket,
        blow: { break: [[two, three]], failure: "cut" },
      },
    ];
  }
  return [
    { fault: `${one} lost`, leader: one, streamLeader: one, blow: { lose: [one] } },
    { fault: `${two} lost`, leader: one, streamLeader: two, blow: { lose: [two] } },
    { fault: `${three} lost`, leader: one, streamLeader: two, blow: { lose: [three] } },
    { fault: `${two} and ${three} lost`, leader: one, streamLeader: one, blow: { lose: [two, three] } },
    ...(["cut", "silent"] as const).map((failure) => ({
      fault: `routes of ${one} ${failure}`,
      leader: one,
      streamLeader: one,
      blow: { break: isolated, failure },
    })),
    {
      fault: `routes ${one}-${two} cut`,
      leader: one,
      streamLeader: two,
      blow: { break: [[one, two]], failure: "cut" },
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
  await election.calm();
  await election.moveStreamTo(plan.streamLeader);
  await election.leadIn(plan.leader);
  await election.calm();
  const leader = fleet.leader();
  const epoch = election.newestEpoch();
  let stoppedAt: number | null = null;
  const unlisten = fleet.listen((report, member) => {
    if (member !== leader) return;
    if (report.type === "unheld") stoppedAt ??= report.at;
    if (report.type === "held") stoppedAt = null;
  });
  const start = hostNowMs();
  await strike(regions, election, plan.blow);
  if (leader.leaving) stoppedAt = start;
  // By then whoever may take over has done so: a whole TTL, and an election of the stream's leader beside it.
  const patienceMs = 1.5 * options.ttlMs + 5_000;
  const next = await fleet.nextTerm(epoch, patienceMs).catch(() => null);
  options.signal.throwIfAborted();
  unlisten();
  const end = hostNowMs();
  const stopped: number | null = stoppedAt;
  await undo(regions, election, plan.blow);
  let backMs: number | null = null;
  if (stopped !== null && next === null) backMs = round((await fleet.nextTerm(epoch, RETURN_MS)).at - end);
  await election.calm();
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

async function strike(regions: Regions, election: Election, blow: Blow): Promise<void> {
  if ("break" in blow) {
    for (const [one, other] of blow.break) regions.break(one, other, blow.failure);
    return;
  }
  for (const region of blow.lose) {
    for (const node of election.nodesIn(region)) election.kill(node);
  }
  await Promise.all(blow.lose.map((region) => regions.lose(region)));
}

async function undo(regions: Regions, election: Election, blow: Blow): Promise<void> {
  if ("break" in blow) {
    for (const [one, other] of blow.break) regions.mend(one, other);
    return;
  }
  await Promise.all(blow.lose.map((region) => regions.restore(region)));
  for (const region of blow.lose) election.addNode(region);
}
