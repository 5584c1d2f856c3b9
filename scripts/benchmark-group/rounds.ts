/** The rounds of each mode: what happens to the group, and what is counted of it. */
import { hostNowMs } from "../../src/bench/messages.ts";
import { percentile } from "../../src/bench/stats.ts";
import { place, plan } from "../../src/group/plan/plan.ts";
import type { PlanInput } from "../../src/group/plan/types.ts";
import type { Crew, Crewman } from "./crew.ts";

export const MODES = ["idle", "kill", "leave", "host", "join", "scale"] as const;
export type Mode = (typeof MODES)[number];

/** One disturbance of a group that had settled, until it has settled again. Times are counted from the mode's start, see `startOf`. */
export interface Round {
  readonly firstOwnedMs: number;
  readonly lastOwnedMs: number;
  /** Terms that began. */
  readonly moved: number;
  /** Terms that had to begin: by the planner, from the owners before. */
  readonly minimumMoves: number;
  /** For how long each resource that moved had no owner. */
  readonly gapsMs: readonly number[];
  /** The 99th percentile of the stranger's publishes from the start until the last resource was owned again. */
  readonly strangerMs: readonly number[];
  /** Mode `host`. */
  readonly cut: Cut | null;
}

/** From the cut: until when the member held its terms, and how long after another member had begun a term of the first of them. */
export interface Cut {
  readonly heldMs: number;
  readonly overlapMs: number;
}

/** From what the times of a mode are counted. */
export const START_OF: Readonly<Record<Mode, string>> = {
  idle: "the start of the first member",
  kill: "just before SIGKILL of a member",
  leave: "the end of the last work (onDisown) of a member that got SIGTERM",
  host: "just before the cable of a member's host is pulled",
  join: "the moment at which the new member takes part; it then waits for settleMs",
  scale: "the moment at which the last of the new members takes part; they then wait for settleMs",
};

/** Runs one round, and brings the group back to as many members as before. `to`: number of members in mode `scale`. */
export async function runRound(
  crew: Crew,
  mode: Exclude<Mode, "idle">,
  number: number,
  to: number,
): Promise<Round> {
  const before = crew.owners();
  const members = crew.ids;
  const first = crew.begins.length;
  const victim = crew.member(members[number % members.length] ?? "");
  const lost = new Set(crew.ownedBy(victim.id));
  let start: number;
  let minimumMoves: number;
  let added: Crewman[] = [];
  let cut: Cut | null = null;
  switch (mode) {
    case "kill":
      start = crew.kill(victim);
      minimumMoves = minimumWithout(before, members, victim.id);
      break;
    case "leave": {
      await crew.leave(victim);
      start = Math.max(...[...lost].map((resource) => crew.endedAt(resource, victim.id) ?? 0));
      minimumMoves = minimumWithout(before, members, victim.id);
      break;
    }
    case "host":
      start = crew.cut(victim);
      minimumMoves = minimumWithout(before, members, victim.id);
      break;
    case "join":
    case "scale":
      added = await crew.add(mode === "join" ? 1 : to - members.length);
      start = hostNowMs();
      minimumMoves = plan(inputOf(before, crew.ids)).moves;
      break;
    default:
      return mode satisfies never;
  }
  await crew.settled();
  const begins = crew.begins.slice(first);
  if (mode === "host") {
    const heldUntil = await crew.givenUp(victim);
    const firstBegin = Math.min(...begins.map(({ at }) => at));
    cut = { heldMs: heldUntil - start, overlapMs: Math.max(0, heldUntil - firstBegin) };
    crew.mend(victim);
  }
  const times = begins.map(({ at }) => at).sort((one, other) => one - other);
  const last = times.at(-1) ?? start;
  const gapsMs = begins.map(({ resource, at }) => {
    const owner = before.get(resource);
    return at - ((owner === undefined ? null : crew.endedAt(resource, owner)) ?? start);
  });
  const strangerMs = crew.published.filter(({ at }) => at >= start && at <= last).map(({ ms }) => ms);
  // Back to where it was.
  if (mode === "host") {
    // The member that was cut off takes part again.
  } else if (added.length > 0) await Promise.all(added.map((member) => crew.leave(member)));
  else await crew.add(1);
  await crew.settled();
  return {
    firstOwnedMs: (times[0] ?? start) - start,
    lastOwnedMs: last - start,
    moved: begins.length,
    minimumMoves,
    gapsMs,
    strangerMs,
    cut,
  };
}

/** What the member had, and what the others have to exchange: nothing, unless the planner says so. */
function minimumWithout(
  owners: ReadonlyMap<string, string>,
  members: readonly string[],
  gone: string,
): number {
  const left = members.filter((id) => id !== gone);
  const input = inputOf(owners, left);
  const orphans = input.resources.filter(({ owner }) => owner === gone).length;
  const placed = place(input);
  // Balanced already by `place`: the plan that follows moves nothing more.
  return orphans + placed.moves + plan(inputOf(placed.owners, left)).moves;
}

function inputOf(owners: ReadonlyMap<string, string>, members: readonly string[]): PlanInput {
  return {
    members: members.map((id) => ({ id, weight: 1, draining: false })),
    resources: [...owners].map(([name, owner]) => ({ name, owner })),
  };
}

export function p99(samples: readonly number[]): number {
  return percentile(samples, 99);
}
