/** `group history`: what the bucket says about past changes, and changes as they happen. */
import { messageOf } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { isoTime } from "../../manager/cluster-status.ts";
import { type GroupContent, readGroup } from "../../manager/group-client.ts";
import { type GroupChange, groupChanges } from "../../manager/group-history.ts";
import { groupSessions } from "../../manager/group-sessions.ts";
import { groupView } from "../../manager/group-view.ts";
import { CliError, EXIT } from "../exit.ts";
import { type ClusterFlags, withServers } from "../options.ts";
import { columnsOfOutput, note, print, printJson, printJsonLine, printLines } from "../output.ts";
import { groupChangeLine, groupHistoryTable } from "../render/group-history-table.ts";
import { endedBySignal, every, unlessAborted } from "../signals.ts";
import { checkResource, unknownGroup } from "./read-group.ts";

export const DEFAULT_CHANGES = 20;
const DEFAULT_INTERVAL_MS = 1_000;

export interface HistoryFlags extends ClusterFlags {
  readonly resource?: readonly string[];
  readonly member?: readonly string[];
  readonly since?: number;
  readonly limit?: number;
  readonly watch?: boolean;
  readonly duration?: number;
  readonly interval?: number;
}

export async function groupHistory(groupId: string, flags: HistoryFlags): Promise<void> {
  if (flags.watch === true || flags.duration !== undefined) return collect(groupId, flags);
  if (flags.interval !== undefined)
    throw new CliError(EXIT.usage, "INVALID_USAGE", "--interval must come with --watch or --duration");
  const content = await withServers(flags, (client) => readContent(client, groupId));
  checkNames(groupId, content, flags);
  const found = groupChanges(content).filter(filterOf(flags, startOf(flags, content)));
  const shown = found.slice(0, flags.limit ?? DEFAULT_CHANGES);
  const omitted = found.length - shown.length;
  if (flags.json === true)
    return printJson({ groupId, at: isoTime(content.now), changes: shown.map(changeJson), omitted });
  if (shown.length > 0) printLines(groupHistoryTable(shown, columnsOfOutput()));
  else note("no change matches");
  if (omitted > 0) note(`${omitted} more; --limit lists them`);
}

async function readContent(client: ClusterClient, groupId: string): Promise<GroupContent> {
  const content = await readGroup(client, groupId);
  if (content === null) throw await unknownGroup(client, groupId);
  return content;
}

function filterOf({ resource, member }: HistoryFlags, after: number): (change: GroupChange) => boolean {
  return (change) => {
    if (change.at < after) return false;
    if (resource !== undefined && (change.resource === null || !resource.includes(change.resource)))
      return false;
    const involved = [change.member, change.from, change.successor, change.by];
    return member === undefined || involved.some((one) => one !== null && member.includes(one));
  };
}

/** From when on changes are shown: Unix milliseconds. */
function startOf({ since }: HistoryFlags, { now }: GroupContent): number {
  return since === undefined ? 0 : now - since;
}

/** A name that does not exist is a mistake, and not a resource without changes. */
function checkNames(
  groupId: string,
  content: GroupContent,
  { resource = [], member = [] }: HistoryFlags,
): void {
  const view = groupView(groupId, content);
  // Also those that no member lists any more: their last change is in the bucket.
  const stored = new Set<string>();
  for (const { entry } of content.entries.values())
    if (entry.key.kind === "owner") stored.add(entry.key.resource);
  for (const name of resource) if (!stored.has(name)) checkResource(view, name);
  const members = new Set(groupSessions(content).keys());
  for (const change of groupChanges(content)) if (change.member !== null) members.add(change.member);
  for (const id of member) {
    if (members.has(id)) continue;
    const all = [...members].sort().join(", ");
    const text = `group "${groupId}" has never had a member "${id}"; it has had ${all === "" ? "none" : all}`;
    throw new CliError(EXIT.usage, "INVALID_CONFIG", text);
  }
}

function changeJson(change: GroupChange): object {
  return { ...change, at: isoTime(change.at) };
}

/** Prints the last changes, and those that follow, until a signal or for a duration. */
async function collect(groupId: string, flags: HistoryFlags): Promise<void> {
  const { duration } = flags;
  const limit = duration === undefined ? [] : [AbortSignal.timeout(duration)];
  await endedBySignal((signal) =>
    withServers(flags, (client) => follow(client, groupId, flags, AbortSignal.any([signal, ...limit])), {
      signal,
    }),
  );
}

async function follow(
  client: ClusterClient,
  groupId: string,
  flags: HistoryFlags,
  signal: AbortSignal,
): Promise<void> {
  const show = (changes: readonly GroupChange[]): void => {
    for (const change of changes) {
      if (flags.json === true) printJsonLine({ groupId, ...changeJson(change) });
      else print(groupChangeLine(change));
    }
  };
  let content = await unlessAborted(signal, readContent(client, groupId));
  if (content === null) return;
  const past = groupChanges(content).filter(filterOf(flags, startOf(flags, content)));
  show(past.slice(0, flags.limit ?? DEFAULT_CHANGES).reverse());
  let problem = "";
  const report = (text: string): void => {
    if (text !== "" && text !== problem) note(text);
    problem = text;
  };
  await every(flags.interval ?? DEFAULT_INTERVAL_MS, signal, async () => {
    try {
      const before: GroupContent | null = content;
      const next = await readGroup(client, groupId, before);
      if (signal.aborted) return;
      if (next === null) return report("the bucket of the group was deleted");
      report("");
      content = next;
      // What happened between two looks is recent, whatever the clocks show.
      show(groupChanges(next, before).filter(filterOf(flags, 0)).reverse());
    } catch (error) {
      report(`cannot be read: ${messageOf(error)}`);
    }
  });
}
