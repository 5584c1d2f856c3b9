/** The screen of `watch`. */
import type { NodeRow } from "../../manager/cluster-nodes.ts";
import type { ClusterStatus } from "../../manager/cluster-status.ts";
import { showTime } from "./duration.ts";
import { fitScreen, type ScreenSize } from "./fit-screen.ts";
import { nodeTable } from "./node-table.ts";
import { statusLines } from "./status-lines.ts";
import { bad, dim, type Line, line, strong, styled } from "./text.ts";

/** Changes that are kept. As many of the newest as fit are shown. */
export const MAX_EVENTS = 8;
/** Rows for changes when the nodes do not fit. */
const LEAST_EVENTS = 2;

export interface WatchState {
  /** `null`: not known yet. */
  readonly status: ClusterStatus | null;
  readonly nodes: readonly NodeRow[];
  /** When the connection was lost: the state is older. `null`: connected. */
  readonly outSince: number | null;
  /** Why the state could not be read. */
  readonly problem: string | null;
  /** Oldest first. */
  readonly events: readonly Line[];
}

/** From top to bottom: the status, the nodes, the newest changes. What does not fit is cut in the order nodes, status. */
export function watchScreen(state: WatchState, size: ScreenSize, now: number): Line[] {
  const { status, nodes, problem, events, outSince } = state;
  const out = outSince === null ? "" : ` not connected: as of ${showTime(outSince)}`;
  const title = line`${strong(`=== Cluster Status [${showTime(now)}] ===`)}${bad(out)}`;
  const head = [title, [], ...(status === null ? [] : [...statusLines(status, nodes.length === 0), []])];
  if (problem !== null) head.push(styled(problem, "bad"), []);
  const foot = [[], line`${dim("Press Ctrl+C to stop watching...")}`];
  const room = Math.max(0, size.rows - head.length - foot.length);
  const kept = events.slice(-Math.max(1, Math.min(MAX_EVENTS, events.length, room)));
  const table = nodes.length === 0 ? [] : [...nodeTable(nodes, size.columns), []];
  if (table.length < room) {
    const newest = kept.slice(-Math.max(1, room - table.length));
    return fitScreen(head, [...table, ...newest], foot, size);
  }
  const least = kept.slice(-LEAST_EVENTS);
  if (least.length >= room) return fitScreen(head, [...table, ...kept], foot, size);
  return fitScreen(head, table, [...least, ...foot], size);
}
