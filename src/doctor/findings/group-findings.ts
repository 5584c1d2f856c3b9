/** Findings about a group: its bucket, its members, the plan, and resources without an owner. */
import type { GroupMemberRow } from "../../manager/group-view.ts";
import { groupBucket } from "../../nats/group/group-bucket.ts";
import type { ExaminedGroup, Facts } from "../facts.ts";
import { groupStreamFindings } from "./bucket-findings.ts";
import type { Finding, Severity, Sign } from "./finding.ts";
import { permissionFindings } from "./node-findings.ts";
import { MOVE_MS, PLAN_PERCENT, UNOWNED_MS } from "./thresholds.ts";

/** Names in one finding. */
const MAX_NAMED = 5;

export function groupFindings(facts: Facts): Sign[] {
  return facts.groups.flatMap((group) => [
    ...bucketSigns(facts, group),
    ...memberFindings(group),
    ...planFindings(group),
    ...unownedFindings(group),
    ...permissionFindings(group.permissions),
  ]);
}

type Find = (severity: Severity, code: string, what: string, todo: string) => Finding;

function finder(where: string): Find {
  return (severity, code, what, todo) => ({ severity, code, where, what, todo });
}

function bucketSigns(facts: Facts, { groupId, bucket, problem }: ExaminedGroup): Sign[] {
  const find = finder(`group ${groupId}`);
  if (problem !== null)
    return [
      {
        ...find(
          "critical",
          "bucket-unreadable",
          problem,
          "check that JetStream is enabled and that the bucket's servers run",
        ),
        aftermath: true,
      },
    ];
  if (bucket === null) return [];
  if (!bucket.exists)
    return [
      find(
        "warning",
        "bucket-missing",
        "its bucket does not exist: no member has ever run",
        `check the id of the group and the account; an administrator creates the bucket with "nats-leader create-bucket --group ${groupId}", or the first member that may do so`,
      ),
    ];
  const kind = groupBucket(groupId);
  const incompatible = kind.problems(bucket.config).map((what) => ({
    ...finder(`bucket ${kind.bucket}`)(
      "critical",
      "bucket-incompatible",
      what,
      "change the bucket, or delete it while no member runs",
    ),
  }));
  return [...incompatible, ...groupStreamFindings(facts, bucket)];
}

function memberFindings({ groupId, view }: ExaminedGroup): Finding[] {
  if (view === null) return [];
  const { members, resources } = view;
  const find = finder(`group ${groupId}`);
  const found: Finding[] = [];
  if (members.length === 0) {
    const what = `no member is alive, and ${resources} resources have no owner`;
    found.push(
      find("warning", "group-no-members", what, "start a member; its log has the reason if it has ended"),
    );
  } else if (view.coordinator === null) {
    const what = "it has no coordinator: resources stay where they are, and nothing moves for balance";
    const todo = "a member takes the role within seconds; if it persists, see the warnings of the members";
    found.push(find("warning", "group-no-coordinator", what, todo));
  }
  found.push(...differences(members, find));
  return [...found, ...members.flatMap((row) => rowFindings(groupId, row, view.unowned))];
}

/** What should be the same on all members. */
function differences(members: readonly GroupMemberRow[], find: Find): Finding[] {
  const found: Finding[] = [];
  const lists = by(members, ({ listHash }) => listHash);
  if (lists.size > 1) {
    const each = [...lists.values()].map((ids) => named(ids)).join(" / ");
    const what = `the members have ${lists.size} different lists of resources: ${each}`;
    const todo =
      "none while a release is under way; otherwise give all members one list: a member owns only what is on its own";
    found.push(find("warning", "group-lists-differ", what, todo));
  }
  const ttls = by(members, ({ ttlMs }) => String(ttlMs));
  if (ttls.size > 1) {
    const each = [...ttls].map(([ttlMs, ids]) => `${ttlMs} ms: ${named(ids)}`).join(" / ");
    const what = `the members have different lease TTLs (${each})`;
    found.push(find("warning", "ttl-differs", what, "give all members the same leaseTtlMs"));
  }
  return found;
}

function by(
  members: readonly GroupMemberRow[],
  key: (row: GroupMemberRow) => string,
): ReadonlyMap<string, string[]> {
  const found = new Map<string, string[]>();
  for (const row of members) found.set(key(row), [...(found.get(key(row)) ?? []), row.memberId]);
  return found;
}

function rowFindings(groupId: string, row: GroupMemberRow, unowned: number): Finding[] {
  const find = finder(`member ${row.memberId} of group ${groupId}`);
  const found: Finding[] = [];
  if (row.state === "late") {
    const what = `it has not renewed its session for ${row.renewedMs} ms, with a TTL of ${row.ttlMs} ms, and no member has ended it`;
    const todo =
      "check its process and host, and that another member runs: that one ends the session and takes over";
    found.push(find("critical", "group-session-late", what, todo));
  }
  if (!row.presence) {
    const what = `it promises no presence: if it crashes, its resources have no owner for its TTL of ${row.ttlMs} ms`;
    const todo = 'its log has the reason (warning SESSION); with crashDetection "lease" this is intended';
    found.push(find("warning", "group-member-presence", what, todo));
  }
  if (row.refuses.length > 0) {
    const what = `it refuses ${named(row.refuses)}: their hook or work has failed`;
    found.push(
      find(
        "warning",
        "group-member-refuses",
        what,
        "see its log (hook-error), and correct the hook or the work",
      ),
    );
  }
  if (row.state === "draining") {
    const what = `it is draining, and owns ${row.owns} resources`;
    const todo = `it takes resources again after "nats-leader group rejoin ${groupId} ${row.memberId}", or a restart`;
    found.push(find("note", "group-member-draining", what, todo));
  }
  if (row.maxOwned !== null && row.owns >= row.maxOwned) {
    const what = `it owns ${row.owns} resources, as many as it may (maxOwned)`;
    const todo = "raise maxOwned, or start another member";
    found.push(find(unowned > 0 ? "warning" : "note", "group-member-full", what, todo));
  }
  return found;
}

function planFindings({ groupId, view }: ExaminedGroup): Finding[] {
  if (view === null || view.plan === null) return [];
  const { plan, members } = view;
  const find = finder(`group ${groupId}`);
  const found: Finding[] = [];
  const percent = (plan.bytes / plan.limitBytes) * 100;
  const todo = "use shorter names of resources, or several groups";
  if (plan.members.length === 0 && members.length > 0) {
    const what =
      "the plan is too large for one message: members share the resources without one, and not evenly";
    found.push(find("warning", "group-plan-too-large", what, todo));
  } else if (percent > PLAN_PERCENT) {
    const what = `its plan has ${plan.bytes} bytes, ${percent.toFixed(0)} % of what one message may have`;
    found.push(find("warning", "group-plan-large", what, todo));
  }
  if (view.moving > 0 && plan.ageMs > MOVE_MS) {
    const what = `${view.moving} resources have been planned for another member for ${plan.ageMs} ms and have not moved`;
    const why =
      "their owners wait for hooks or work (warning DRAIN_SLOW), or the planned member refuses them";
    found.push(find("warning", "group-moves-stuck", what, `see the logs of the members: ${why}`));
  }
  const absent = members
    .filter(({ memberId }) => !plan.members.includes(memberId))
    .map(({ memberId }) => memberId);
  if (absent.length > 0 && plan.members.length > 0 && plan.ageMs > MOVE_MS) {
    const what = `the plan is ${plan.ageMs} ms old and does not have ${named(absent)}`;
    const more =
      "a member is planned for once no member has joined or left for settleMs: one that restarts again and again delays that";
    found.push(find("warning", "group-plan-old", what, more));
  }
  return found;
}

function unownedFindings({ groupId, view }: ExaminedGroup): Finding[] {
  if (view === null || view.members.length === 0 || view.overdue.length === 0) return [];
  const { overdue } = view;
  const names = named(overdue.map(({ resource }) => resource));
  const reasons = [...new Set(overdue.flatMap(({ why }) => why ?? []))].join(", ");
  const ended = reasons === "" ? "" : ` (ended: ${reasons})`;
  return [
    finder(`group ${groupId}`)(
      "critical",
      "group-unowned",
      `${overdue.length} resources have had no owner for more than ${UNOWNED_MS} ms: ${names}${ended}`,
      `see "nats-leader group ${groupId}" for members that drain, refuse resources or own as many as they may; with rejoinGraceMs, resources are kept for a member that is to come back`,
    ),
  ];
}

function named(names: readonly string[]): string {
  const more = names.length - MAX_NAMED;
  return `${names.slice(0, MAX_NAMED).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
