/** Two views of the demo: a picture that is redrawn in place on terminals, and plain lines for pipes, logs and CI. */
import { bold, clearScreen, dim, green, hideCursor, hues, overwrite, red, showCursor } from "./ansi.ts";
import type { Chronicle, Condition, Lane, Scene } from "./chronicle.ts";
import { now } from "./report.ts";

export interface View {
  /** True for a terminal: scenes pause so that they can be read. */
  readonly live: boolean;
  /** Called when a scene begins. */
  scene(scene: Scene): void;
  /** Shows the summary. */
  close(verdict: string, ok: boolean): void;
}

const CELL_MS = 600;
/** Columns in front of a lane's bar. */
const HEAD = 36;
const NOTES = 3;
const SCENES = 6;

export function openView(out: NodeJS.WriteStream, chronicle: Chronicle, title: string): View {
  const { NO_COLOR, CI, TERM } = process.env;
  const live = out.isTTY && out.columns >= 80 && out.rows >= 24 && !NO_COLOR && !CI && TERM !== "dumb";
  return live ? liveView(out, chronicle, title) : plainView(out, chronicle, title);
}

function plainView(out: NodeJS.WriteStream, chronicle: Chronicle, title: string): View {
  const print = (...lines: string[]): void => {
    out.write(lines.map((line) => `${line.trimEnd()}\n`).join(""));
  };
  chronicle.onNote = (at, text) => print(`${clock(at - chronicle.startedAt)}  ${text}`);
  print(title);
  return {
    live: false,
    scene: ({ title, why }) =>
      print("", `${chronicle.scenes.length}  ${title}`, ...why.map((line) => `   ${line}`), ""),
    close: (verdict) => print("", tableHead, ...chronicle.scenes.map(row), "", verdict),
  };
}

function liveView(out: NodeJS.WriteStream, chronicle: Chronicle, title: string): View {
  let height = 0;
  let verdict: string | undefined;
  const draw = (): void => {
    const lines = picture(chronicle, title, Math.min(out.columns - 1, 110));
    if (verdict !== undefined) lines.push(verdict);
    out.write(overwrite(lines, height));
    height = lines.length;
  };
  const onResize = (): void => {
    out.write(clearScreen);
    height = 0;
    draw();
  };
  const onExit = (): void => void out.write(`${showCursor}\n`);
  const timer = setInterval(draw, 100);
  out.on("resize", onResize).write(hideCursor);
  process.on("exit", onExit);
  chronicle.onNote = draw;
  return {
    live: true,
    scene: draw,
    close: (text, ok) => {
      clearInterval(timer);
      out.off("resize", onResize);
      verdict = ok ? green(text) : red(text);
      draw();
    },
  };
}

function picture(chronicle: Chronicle, title: string, width: number): string[] {
  const { scenes, lanes, startedAt } = chronicle;
  const scene = scenes.at(-1);
  const elapsedMs = now() - startedAt;
  const cellMs = Math.max(CELL_MS, Math.ceil(elapsedMs / (width - HEAD)));
  const marks = Array.from({ length: 1 + Math.floor(((width - HEAD - 3) * cellMs) / 5_000) }, (_, five) =>
    String(five * 5).padEnd(
      Math.round((five * 5_000 + 5_000) / cellMs) - Math.round((five * 5_000) / cellMs),
    ),
  );
  const notes = chronicle.notes.slice(-NOTES).map(({ at, text }) => `${clock(at - startedAt)}  ${text}`);
  return [
    `${bold("nats-leader")}  ${dim(title.padEnd(width - 21))}${clock(elapsedMs)}`,
    "",
    bold(`${scenes.length}/${SCENES}  ${scene?.title ?? ""}`),
    ...(scene?.why ?? ["", ""]).map((line) => dim(`     ${line}`.slice(0, width))),
    "",
    ...lanes.map((lane, index) => laneText(lane, index) + bar(lane, index, startedAt, elapsedMs, cellMs)),
    dim(`${"".padEnd(HEAD)}${marks.join("")}`.slice(0, width)),
    "",
    dim(tableHead),
    ...Array.from({ length: SCENES }, (_, index) => {
      const one = scenes[index];
      return one === undefined ? "" : one.outcome === undefined ? bold(row(one, index)) : row(one, index);
    }),
    "",
    ...Array.from({ length: NOTES }, (_, index) => (notes[index] ?? "").slice(0, width)),
  ];
}

const signs: Record<Condition, string> = {
  starting: "○ starting",
  follower: "○ follower",
  leader: "● LEADER",
  stopping: "○ stopping",
  frozen: "▒ frozen",
  gone: "✕ gone",
};

function laneText(lane: Lane, index: number): string {
  const [hue = bold] = hues[index] ?? [];
  const sign = (lane.stretches.length === 0 ? "" : signs[lane.condition]).padEnd(12);
  const epoch = (lane.condition === "leader" ? `epoch ${lane.stretches.at(-1)?.epoch}` : "").padEnd(9);
  const work = `work ${lane.count}`.padEnd(HEAD - 24);
  if (lane.condition === "leader") return ` ${hue(lane.node)} ${hue(sign + epoch)}${work}`;
  return ` ${hue(lane.node)} ${lane.condition === "follower" ? sign : red(sign)}${epoch}${dim(work)}`;
}

/** One cell per period: the lane's condition at its end. The first cell of a term shows the epoch. */
function bar(lane: Lane, index: number, startedAt: number, elapsedMs: number, cellMs: number): string {
  const [, solid = bold] = hues[index] ?? [];
  const cells: Record<Condition, string> = {
    starting: " ",
    follower: dim("─"),
    leader: solid(" "),
    stopping: dim("─"),
    frozen: dim("▒"),
    gone: red("·"),
  };
  return Array.from({ length: Math.floor(elapsedMs / cellMs) + 1 }, (_, cell) => {
    const from = startedAt + cell * cellMs;
    const begun = lane.stretches.filter((one) => one.at < from + cellMs);
    const term = begun.findLast((one) => one.condition === "leader" && one.at >= from);
    if (term !== undefined) return solid(String(term.epoch % 10));
    return cells[begun.at(-1)?.condition ?? "starting"];
  }).join("");
}

export function milliseconds(ms: number): string {
  const digits = ms > 0 && ms < 100 ? 1 : 0;
  const format = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return `${ms.toLocaleString("en-US", format)} ms`;
}

function clock(ms: number): string {
  return `${(ms / 1_000).toFixed(1).padStart(5)} s`;
}

const tableHead: string = columns("   scene", "leader", "epoch", "took", "overlap");

/** One row of the summary; for the current scene, the time since its action. */
function row({ title, since, outcome }: Scene, index: number): string {
  const name = `${index + 1}  ${title}`;
  if (outcome === undefined)
    return columns(name, "", "", since === undefined ? "" : milliseconds(now() - since), "");
  const { from, to, epoch, tookMs, overlapMs } = outcome;
  const leaders = from === to ? `${to} stays` : `${from} -> ${to}`;
  return columns(name, leaders, String(epoch), milliseconds(tookMs), milliseconds(overlapMs));
}

function columns(scene: string, leaders: string, epoch: string, took: string, overlap: string): string {
  return `${scene.padEnd(37)}${leaders.padEnd(9)}${epoch.padStart(6)}${took.padStart(13)}${overlap.padStart(11)}`;
}
