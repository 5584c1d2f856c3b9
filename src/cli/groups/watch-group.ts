/** `group show --watch`: reads what has changed, and shows it. */
import { messageOf } from "../../errors.ts";
import type { ClusterClient } from "../../manager/cluster-client.ts";
import { type GroupContent, readGroup } from "../../manager/group-client.ts";
import { type GroupView, groupView } from "../../manager/group-view.ts";
import { type ClusterFlags, withServers } from "../options.ts";
import { isTerminal, print, printJsonLine, Screen } from "../output.ts";
import { showTime } from "../render/duration.ts";
import { fitScreen } from "../render/fit-screen.ts";
import { groupLines } from "../render/group-table.ts";
import { bad, dim, type Line, line, strong } from "../render/text.ts";
import { endedBySignal, every, unlessAborted } from "../signals.ts";
import { unknownGroup } from "./read-group.ts";

export interface ShowFlags extends ClusterFlags {
  readonly resources?: boolean;
  /** Hidden alias of `--resources`. */
  readonly all?: boolean;
  readonly watch?: boolean;
  readonly interval?: number;
}

/** Whether every resource is to be listed. */
export function listsAll({ resources, all }: ShowFlags): boolean {
  return resources === true || all === true;
}

const DEFAULT_INTERVAL_MS = 1_000;

/** Shows the group until a signal. */
export async function watchGroup(groupId: string, flags: ShowFlags): Promise<void> {
  await endedBySignal((signal) =>
    withServers(flags, (client) => follow(client, groupId, flags, signal), { signal }),
  );
  if (flags.json !== true && isTerminal()) print("Stopping watch...");
}

async function follow(
  client: ClusterClient,
  groupId: string,
  flags: ShowFlags,
  signal: AbortSignal,
): Promise<void> {
  const watching = new GroupWatch(client, groupId, flags);
  try {
    await unlessAborted(signal, watching.begin());
    await every(flags.interval ?? DEFAULT_INTERVAL_MS, signal, () => watching.refresh());
  } finally {
    watching.close();
  }
}

/** Reads what has changed, and shows it: on a terminal as a live table, otherwise as a line for each change. */
class GroupWatch {
  readonly #client: ClusterClient;
  readonly #groupId: string;
  readonly #flags: ShowFlags;
  readonly #screen: Screen | null;
  #content: GroupContent | null = null;
  #view: GroupView | null = null;
  /** Why the group could not be read. */
  #problem: string | null = null;
  #last = "";

  constructor(client: ClusterClient, groupId: string, flags: ShowFlags) {
    this.#client = client;
    this.#groupId = groupId;
    this.#flags = flags;
    const isLive = isTerminal() && flags.json !== true;
    this.#screen = isLive ? new Screen((size) => this.#lines(size)) : null;
  }

  /** @throws CliError if there is no such group. */
  async begin(): Promise<void> {
    this.#content = await readGroup(this.#client, this.#groupId);
    if (this.#content === null) throw await unknownGroup(this.#client, this.#groupId);
    this.#view = groupView(this.#groupId, this.#content);
    this.#show();
  }

  async refresh(): Promise<void> {
    try {
      this.#content = await readGroup(this.#client, this.#groupId, this.#content);
      this.#problem = this.#content === null ? "the bucket of the group was deleted" : null;
      if (this.#content !== null) this.#view = groupView(this.#groupId, this.#content);
    } catch (error) {
      this.#problem = messageOf(error);
    }
    this.#show();
  }

  close(): void {
    this.#screen?.close();
  }

  #show(): void {
    if (this.#screen !== null) return this.#screen.draw();
    const change = this.#change();
    const text = JSON.stringify(change);
    if (text === this.#last) return;
    this.#last = text;
    const at = new Date().toISOString();
    if (this.#flags.json === true) return printJsonLine({ at, ...change });
    print(`${at} ${changeText(change)}`);
  }

  /** What changes other than by time. */
  #change(): Summary {
    const view = this.#view;
    const members = view?.members.map(({ memberId, state, owns }) => ({ memberId, state, owns })) ?? [];
    return {
      groupId: this.#groupId,
      error: this.#problem,
      coordinator: view?.coordinator ?? null,
      plan: view?.plan?.revision ?? null,
      owned: view?.owned ?? 0,
      moving: view?.moving ?? 0,
      unowned: view?.unowned ?? 0,
      members,
    };
  }

  #lines(size: { readonly columns: number; readonly rows: number }): Line[] {
    const title = line`${strong(`=== Group [${showTime(Date.now())}] ===`)}`;
    const problem = this.#problem === null ? [] : [line`${bad(this.#problem)}`];
    const body = this.#view === null ? [] : groupLines(this.#view, listsAll(this.#flags), size.columns);
    return fitScreen(
      [title, ...problem, []],
      body,
      [[], line`${dim("Press Ctrl+C to stop watching...")}`],
      size,
    );
  }
}

interface Summary {
  readonly groupId: string;
  readonly error: string | null;
  readonly coordinator: string | null;
  readonly plan: number | null;
  readonly owned: number;
  readonly moving: number;
  readonly unowned: number;
  readonly members: ReadonlyArray<{
    readonly memberId: string;
    readonly state: string;
    readonly owns: number;
  }>;
}

function changeText({ error, owned, moving, unowned, members }: Summary): string {
  if (error !== null) return `cannot be read: ${error}`;
  const each = members.map(
    ({ memberId, state, owns }) => `${memberId} ${owns}${state === "live" ? "" : ` (${state})`}`,
  );
  return `${owned} owned, ${moving} moving, ${unowned} unowned; ${each.join(", ")}`;
}
