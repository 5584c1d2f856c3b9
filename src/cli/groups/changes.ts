/** The commands that change who owns what. Each sends a request to a running member; none joins the group. */
import { setTimeout as pause } from "node:timers/promises";
import { ClusterError } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { askMember, type GroupContent, readGroup } from "../../manager/group-client.ts";
import { type GroupView, groupView } from "../../manager/group-view.ts";
import { CliError, EXIT } from "../exit.ts";
import { type ClusterFlags, withServers } from "../options.ts";
import { print, printJson } from "../output.ts";
import { interruptible } from "../signals.ts";
import { checkMember, checkResource, readView, unknownGroup } from "./read-group.ts";

export interface ChangeFlags extends ClusterFlags {
  readonly wait?: number;
}

const CHANGE_TIMEOUT_MS = 15_000;
const POLL_MS = 50;

/** A change that was requested: when it counts as done, and what to say then. */
interface Change {
  readonly done: (view: GroupView) => boolean;
  readonly text: string;
  readonly pending: string;
}

/** Requests a change, and waits until it is done. */
export async function changed(
  groupId: string,
  flags: ChangeFlags,
  request: (client: ClusterClient) => Promise<Change>,
): Promise<void> {
  const started = performance.now();
  const waitMs = flags.wait ?? CHANGE_TIMEOUT_MS;
  const { text, pending } = await interruptible((signal) =>
    withServers(
      flags,
      async (client) => {
        const change = await request(client);
        return { ...change, pending: await untilDone(client, groupId, change, started + waitMs, signal) };
      },
      { signal },
    ),
  );
  const tookMs = Math.round(performance.now() - started);
  const isDone = pending === null;
  if (!isDone && waitMs > 0)
    throw new ClusterError("TIMEOUT", `timed out after ${waitMs} ms: ${pending}`, { recoverable: true });
  if (flags.json === true) printJson({ ok: true, done: isDone, tookMs });
  else print(isDone ? `${text} (${tookMs} ms)` : "requested");
}

/** Why it is not done in time; `null`: it is done. A read that fails for now, as when a server is lost, is repeated. */
async function untilDone(
  client: ClusterClient,
  groupId: string,
  { done, pending }: Change,
  deadline: number,
  signal: AbortSignal,
): Promise<string | null> {
  let content: GroupContent | null = null;
  let failed: string | null = null;
  while (performance.now() < deadline) {
    try {
      content = await readGroup(client, groupId, content);
      failed = null;
    } catch (error) {
      if (!(error instanceof ClusterError && error.recoverable)) throw error;
      failed = error.message;
    }
    if (failed === null && content === null) throw await unknownGroup(client, groupId);
    if (failed === null && content !== null && done(groupView(groupId, content))) return null;
    await pause(POLL_MS, undefined, { signal });
  }
  return failed === null ? pending : `it was requested, and whether it is done is not known: ${failed}`;
}

export async function drain(client: ClusterClient, groupId: string, member: string): Promise<Change> {
  checkMember(await readView(client, groupId), member);
  await askMember(client, groupId, member, "drain");
  return {
    done: ({ members }) => {
      const row = members.find(({ memberId }) => memberId === member);
      return row === undefined || (row.state === "draining" && row.owns === 0);
    },
    text: `${member} owns nothing`,
    pending: `member "${member}" drains, and its work has not ended yet ("nats-leader group ${groupId}" shows what it still owns)`,
  };
}

export async function rejoin(client: ClusterClient, groupId: string, member: string): Promise<Change> {
  checkMember(await readView(client, groupId), member);
  await askMember(client, groupId, member, "rejoin");
  return {
    done: ({ members }) => members.find(({ memberId }) => memberId === member)?.state === "live",
    text: `${member} takes resources again`,
    pending: `member "${member}" has not renewed its session since`,
  };
}

export async function move(
  client: ClusterClient,
  groupId: string,
  resource: string,
  member: string,
): Promise<Change> {
  const view = await readView(client, groupId);
  checkMember(view, member);
  checkResource(view, resource);
  if (view.coordinator === null)
    throw new CliError(
      EXIT.noLeader,
      "NO_LEADER",
      `group "${groupId}" has no coordinator at the moment; try again`,
    );
  await askMember(client, groupId, view.coordinator, "move", { resource, to: member });
  return {
    done: ({ resources }) => resources.find((row) => row.resource === resource)?.owner === member,
    text: `${member} owns ${resource}`,
    pending: `"${resource}" has not moved yet: the work of its owner has not ended, or the plan has changed`,
  };
}
