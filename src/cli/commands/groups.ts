import type { Command } from "commander";
import { messageOf } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { groupIds, readGroup } from "../../manager/group-client.ts";
import { type GroupView, groupView } from "../../manager/group-view.ts";
import { type ClusterFlags, withGroupOptions, withServers } from "../options.ts";
import { columnsOfOutput, note, printJson, printLines } from "../output.ts";
import { groupsTable } from "../render/group-table.ts";

export function groups(command: Command): Command {
  return withGroupOptions(command).addHelpText("after", HELP).action(run);
}

const HELP = `
Reads the bucket of every group of the account, and writes nothing.

Example:
  nats-leader groups --nats-url nats://localhost:4222`;

interface Unread {
  readonly groupId: string;
  readonly error: string;
}

async function run(flags: ClusterFlags): Promise<void> {
  const { views, unread } = await withServers(flags, readAll);
  if (flags.json === true) {
    const shown = views.map(({ members, resources, ...view }) => ({
      ...view,
      members: members.length,
      resources: resources.length,
    }));
    return printJson({ groups: shown, unread });
  }
  if (views.length > 0) printLines(groupsTable(views, columnsOfOutput()));
  for (const { groupId, error } of unread) note(`group "${groupId}" cannot be read: ${error}`);
  if (views.length === 0 && unread.length === 0) note("this account has no groups");
}

async function readAll(
  client: ClusterClient,
): Promise<{ readonly views: GroupView[]; readonly unread: Unread[] }> {
  const views: GroupView[] = [];
  const unread: Unread[] = [];
  for (const groupId of await groupIds(client)) {
    try {
      const content = await readGroup(client, groupId);
      if (content !== null) views.push(groupView(groupId, content));
    } catch (error) {
      unread.push({ groupId, error: messageOf(error) });
    }
  }
  return { views, unread };
}
