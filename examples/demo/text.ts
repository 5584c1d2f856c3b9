/** The words and numbers that both views share. */
import type { Chronicle, Outcome } from "./chronicle.ts";

export function milliseconds(ms: number): string {
  const digits = ms < 100 ? 1 : 0;
  const text = ms.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${text} ms`;
}

export function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1).padStart(5);
}

/** The summary, one row for each scene; a scene that is on shows how long it has been going on. */
export function tableRows(chronicle: Chronicle, at: number): { text: string; state: "open" | "on" | "done" }[] {
  return chronicle.scenes.map(({ title, since, outcome }, index) => {
    const name = `${index + 1}  ${title}`;
    if (outcome !== undefined) return { text: row(name, outcome), state: "done" };
    if (since === undefined) return { text: row(name), state: "open" };
    return { text: row(name, { tookMs: at - since }), state: "on" };
  });
}

export function tableHead(): string {
  return columns("   scene", "leader", "epoch", "took", "overlap");
}

function row(title: string, outcome: Partial<Outcome> = {}): string {
  const { from, to, epoch, tookMs, overlapMs } = outcome;
  const leaders = to === undefined ? "" : from === to ? `${to} stays` : `${from} -> ${to}`;
  return columns(
    title,
    leaders,
    epoch === undefined ? "" : String(epoch),
    tookMs === undefined ? "" : milliseconds(tookMs),
    overlapMs === undefined ? "" : milliseconds(overlapMs).replace(/^0\.0 /, "0 "),
  );
}

function columns(title: string, leaders: string, epoch: string, took: string, overlap: string): string {
  return `${title.padEnd(34)}${leaders.padEnd(9)}${epoch.padStart(6)}${took.padStart(13)}${overlap.padStart(11)}`;
}
