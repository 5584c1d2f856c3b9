/** The tables of groups, their members and their resources. */
import {
  type DryRun,
  type GroupMemberRow,
  type GroupResourceRow,
  type GroupView,
  isAlive,
  type PlannedMove,
} from "../../manager/group-view.ts";
import { showSeconds } from "./duration.ts";
import { table } from "./table.ts";
import { bad, dim, good, type Line, line, type Part, strong, wrap } from "./text.ts";

/** Lists of more differing resources than this are cut, on terminals and elsewhere; `--json` has all. */
const MAX_SHOWN = 50;
const NONE_IN_TIME = "no member is alive: none has renewed its session in time, and no resource is worked on";

export function groupsTable(views: readonly GroupView[], columns: number): Line[] {
  const rows = views.map((view) => [
    view.groupId,
    membersText(view),
    String(view.resources.length),
    String(view.owned),
    view.moving === 0 ? "0" : strong(String(view.moving)),
    view.unowned === 0 ? "0" : bad(String(view.unowned)),
    view.coordinator ?? "-",
  ]);
  return table(["GROUP", "MEMBERS", "RESOURCES", "OWNED", "MOVING", "UNOWNED", "COORDINATOR"], rows, columns);
}

function membersText({ members }: GroupView): Part {
  const late = members.filter(({ state }) => state === "late").length;
  return late === 0 ? String(members.length) : bad(`${members.length}, ${late} late`);
}

/** @param all Every resource, not only those that move or have no owner. */
export function groupLines(view: GroupView, all: boolean, columns: number): Line[] {
  const { members, plan, resources } = view;
  const age = plan === null ? "" : `, made ${showSeconds(plan.ageMs)} ago by ${plan.madeBy}`;
  const head = [
    line`${strong(`group ${view.groupId}`)}: ${view.resources.length} resources, ${view.owned} owned, ${view.moving} moving, ${unownedText(view)}`,
    line`coordinator ${view.coordinator ?? "none"}, plan ${plan === null ? "none" : plan.revision}${age}`,
  ];
  const shown = all ? resources : resources.filter(({ state }) => state !== "owned");
  return [
    ...head.flatMap((one) => wrap(one, columns, 2)),
    [],
    ...(members.length === 0 ? [line`${bad("no member is alive")}`] : memberTable(members, columns)),
    ...(members.length > 0 && !isAlive(view) ? [[], line`${bad(NONE_IN_TIME)}`] : []),
    ...differingLists(members),
    ...(shown.length === 0 ? [] : [[], ...resourceTable(shown, all, columns)]),
  ];
}

function unownedText({ unowned }: GroupView): Part {
  return unowned === 0 ? "0 unowned" : bad(`${unowned} unowned`);
}

function memberTable(members: readonly GroupMemberRow[], columns: number): Line[] {
  const rows = members.map((row) => [
    row.coordinates ? strong(row.memberId) : row.memberId,
    stateText(row),
    String(row.owns),
    row.planned === null ? "-" : String(row.planned),
    String(row.weight),
    row.maxOwned === null ? "-" : String(row.maxOwned),
    row.zone ?? "-",
    row.refuses.length === 0 ? "-" : bad(row.refuses.join(" ")),
    `${(row.renewedMs / 1_000).toFixed(1)} s ago`,
    String(row.session),
  ]);
  const head = [
    "MEMBER",
    "STATE",
    "OWNS",
    "PLANNED",
    "WEIGHT",
    "MAX",
    "ZONE",
    "REFUSES",
    "RENEWED",
    "SESSION",
  ];
  return table(head, rows, columns);
}

function stateText({ state }: GroupMemberRow): Part {
  if (state === "live") return good(state);
  return state === "late" ? bad(state) : strong(state);
}

function differingLists(members: readonly GroupMemberRow[]): Line[] {
  const lists = new Set(members.map(({ listHash }) => listHash));
  if (lists.size <= 1) return [];
  return [line`${bad(`the members have ${lists.size} different lists of resources`)}`];
}

function resourceTable(resources: readonly GroupResourceRow[], all: boolean, columns: number): Line[] {
  const limit = all ? resources.length : MAX_SHOWN;
  const rows = resources
    .slice(0, limit)
    .map((row) => [
      row.resource,
      row.owner ?? bad(row.state === "unknown" ? "unknown" : "none"),
      row.epoch === 0 ? "-" : String(row.epoch),
      row.forMs === null ? "-" : showSeconds(row.forMs),
      noteOn(row),
    ]);
  const lines = table(["RESOURCE", "OWNER", "EPOCH", "FOR", "NOTE"], rows, columns);
  const hidden = resources.length - rows.length;
  return hidden <= 0 ? lines : [...lines, line`${dim(`… ${hidden} more; --resources lists them`)}`];
}

function noteOn({ state, target, why }: GroupResourceRow): Part {
  switch (state) {
    case "owned":
      return "";
    case "moving":
      return `moves to ${target ?? "no member"}`;
    case "unknown":
      return bad("its key holds no record of a group");
    case "unowned": {
      const reason = why === null ? "" : why === "released" ? "released" : `owner's session ended: ${why}`;
      const next = target === null ? "" : `planned for ${target}`;
      return [reason, next].filter((part) => part !== "").join("; ");
    }
    default:
      return state satisfies never;
  }
}

export function dryRunLines({ taken, balanced, shares }: DryRun, columns: number): Line[] {
  const rows = shares.map(({ memberId, before, after }) => [
    memberId,
    String(before),
    String(after),
    after === before ? "0" : `${after > before ? "+" : ""}${after - before}`,
  ]);
  return [
    ...table(["MEMBER", "OWNS", "THEN", "CHANGE"], rows, columns),
    [],
    line`${strong(`${taken.length}`)} taken over at once, ${strong(`${balanced.length}`)} moved for balance`,
    ...moveTable("taken over", taken, columns),
    ...moveTable("moved", balanced, columns),
  ];
}

function moveTable(title: string, moves: readonly PlannedMove[], columns: number): Line[] {
  if (moves.length === 0) return [];
  const rows = moves
    .slice(0, MAX_SHOWN)
    .map(({ resource, from, to }) => [resource, from ?? "-", to ?? bad("none")]);
  const hidden = moves.length - rows.length;
  const more = hidden <= 0 ? [] : [line`${dim(`… ${hidden} more; --json has them`)}`];
  return [[], ...table([title.toUpperCase(), "FROM", "TO"], rows, columns), ...more];
}
