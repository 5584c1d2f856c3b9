/** Reads a group for a command. */
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { groupIds, readGroup } from "../../manager/group-client.ts";
import { type GroupView, groupView } from "../../manager/group-view.ts";
import { named } from "../../manager/known-clusters.ts";
import { CliError, EXIT } from "../exit.ts";

/** @throws CliError if there is no such group. */
export async function readView(client: ClusterClient, groupId: string): Promise<GroupView> {
  const content = await readGroup(client, groupId);
  if (content === null) throw await unknownGroup(client, groupId);
  return groupView(groupId, content);
}

export async function unknownGroup(client: ClusterClient, groupId: string): Promise<CliError> {
  const ids = await groupIds(client).catch(() => []);
  const known = ids.length === 0 ? "" : ` (this account has the ${named("group", ids)})`;
  return new CliError(
    EXIT.error,
    "BUCKET_MISSING",
    `there is no group "${groupId}": no member of it has ever run${known}`,
  );
}

/** @throws CliError if there is no such resource. */
export function checkResource({ groupId, resources }: GroupView, resource: string): void {
  if (resources.some((row) => row.resource === resource)) return;
  const ids = resources.map((row) => row.resource);
  const known = ids.length === 0 ? "it has none" : `it has the ${ids.length} ${named("resource", ids)}`;
  throw new CliError(
    EXIT.usage,
    "INVALID_CONFIG",
    `group "${groupId}" has no resource "${resource}"; ${known}`,
  );
}

/** @throws CliError if there is no such member. */
export function checkMember({ groupId, members }: GroupView, member: string): void {
  if (members.some(({ memberId }) => memberId === member)) return;
  const ids = members.map(({ memberId }) => memberId).join(", ");
  const known = `its members are ${ids === "" ? "none" : ids}`;
  throw new CliError(EXIT.usage, "INVALID_CONFIG", `group "${groupId}" has no member "${member}"; ${known}`);
}
