/** Two ways to watch the demo: a picture that is redrawn in place, and plain lines for pipes, logs and CI. */
import { bold, clearScreen, dim, green, hideCursor, hues, overwrite, red, showCursor } from "./ansi.ts";
import type { Chronicle, Condition, Lane } from "./chronicle.ts";
import { now } from "./report.ts";
import { seconds, tableHead, tableRows } from "./text.ts";

export interface View {
  /** Whether somebody watches, who needs time to read. */
  readonly live: boolean;
  open(chronicle: Chronicle, title: string): void;
  scene(index: number): void;
  note(afterMs: number, text: string): void;
  /** The last picture, with the summary. */
  close(verdict: string, ok: boolean): void;
}

const REDRAW_MS = 100;
const MIN_COLUMNS = 78;
const MIN_ROWS = 24;

export function openView(out: NodeJS.WriteStream): View {
  const { env } = process;
  const wanted = out.isTTY && !env["NO_COLOR"] && !env["CI"] && env["TERM"] !== "dumb";
  const fits = out.columns >= MIN_COLUMNS && out.rows >= MIN_ROWS;
  return wanted && fits ? new LiveView(out) : new PlainView(out);
}

class PlainView implements View {
  readonly live = false;
  readonly #out: NodeJS.WriteStream;
  #chronicle: Chronicle | undefined;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  open(chronicle: Chronicle, title: string): void {
    this.#chronicle = chronicle;
    this.#print(title);
  }

  scene(index: number): void {
    const scene = this.#chronicle?.scenes[index];
    if (scene !== undefined)
      this.#print("", `-- ${index + 1}  ${scene.title}`, ...scene.why.map((line) => `   ${line}`));
  }

  note(afterMs: number, text: string): void {
    this.#print(`${seconds(afterMs)} s  ${text}`);
  }

  close(verdict: string): void {
    const table = this.#chronicle === undefined ? [] : tableRows(this.#chronicle, now());
    this.#print("", tableHead(), ...table.map((row) => row.text), "", verdict);
  }

  #print(...lines: string[]): void {
    this.#out.write(`${lines.map((line) => line.trimEnd()).join("\n")}\n`);
  }
}

const MARKS: Record<Condition, string> = {
  starting: "○ starting",
  follower: "○ follower",
  leader: "● LEADER",
  stopping: "○ stopping",
  frozen: "▒ frozen",
  gone: "✕ gone",
};
const LANE_HEAD = 35;
const NOTES = 4;

class LiveView implements View {
  readonly live = true;
  readonly #out: NodeJS.WriteStream;
  #chronicle: Chronicle | undefined;
  #title = "";
  #height = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #onResize = (): void => {
    this.#out.write(clearScreen);
    this.#height = 0;
    this.#draw();
  };
  readonly #onExit = (): void => void this.#out.write(`${showCursor}\n`);

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  open(chronicle: Chronicle, title: string): void {
    this.#chronicle = chronicle;
    this.#title = title;
    this.#out.write(hideCursor);
    this.#out.on("resize", this.#onResize);
    process.on("exit", this.#onExit);
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS).unref();
    this.#draw();
  }

  scene(): void {
    this.#draw();
  }

  note(): void {
    this.#draw();
  }

  close(verdict: string, ok: boolean): void {
    clearInterval(this.#timer);
    this.#draw((ok ? green : red)(verdict));
    this.#out.off("resize", this.#onResize);
    process.off("exit", this.#onExit);
    this.#onExit();
  }

  #draw(verdict?: string): void {
    const chronicle = this.#chronicle;
    if (chronicle === undefined) return;
    const at = now();
    const width = Math.min(this.#out.columns - 1, 110);
    const scene = chronicle.scenes[chronicle.scene];
    const clock = `${((at - chronicle.startedAt) / 1_000).toFixed(1)} s`;
    const headline = scene === undefined ? "" : `${chronicle.scene + 1}/${chronicle.scenes.length}  ${scene.title}`;
    const notes = chronicle.notes.slice(-NOTES).map((note) => {
      const text = `${seconds(note.at - chronicle.startedAt)} s  ${note.text}`.slice(0, width - 1);
      return note === chronicle.notes.at(-1) ? text : dim(text);
    });
    const lines = [
      `${bold("nats-leader")}  ${dim(this.#title.padEnd(width - 13 - clock.length).slice(0, width - 13 - clock.length))}${clock}`,
      "",
      bold(headline),
      ...[0, 1].map((line) => dim((scene?.why[line] ?? "").slice(0, width))),
      "",
      ...chronicle.lanes.map((lane, index) => this.#lane(lane, index, width - LANE_HEAD, at)),
      dim(this.#axis(width - LANE_HEAD, at)),
      "",
      dim(tableHead()),
      ...tableRows(chronicle, at).map(({ text, state }) =>
        state === "open" ? dim(text) : state === "on" ? bold(text) : text,
      ),
      "",
      ...notes,
      ...Array.from({ length: NOTES - notes.length }, () => ""),
      ...(verdict === undefined ? [] : [verdict]),
    ];
    this.#out.write(overwrite(lines, this.#height));
    this.#height = lines.length;
  }

  #lane(lane: Lane, index: number, width: number, at: number): string {
    const hue = hues[index % hues.length] ?? { text: bold, bar: bold };
    const last = lane.stretches.at(-1);
    const condition = last?.condition ?? "gone";
    const leads = condition === "leader";
    const mark = (last === undefined ? "" : MARKS[condition]).padEnd(11);
    const facts = `${(leads ? `epoch ${last?.epoch}` : "").padEnd(8)}${`work ${lane.count}`.padStart(9)}`;
    const plain = condition === "follower" || condition === "starting";
    return ` ${hue.text(lane.node)}  ${leads ? hue.text(mark) : plain ? mark : red(mark)}${leads ? facts : dim(facts)}   ${this.#bar(lane, hue.bar, width, at)}`;
  }

  /** One cell for a piece of time: what the lane's condition was at the end of it, but every term gets a cell. */
  #bar(lane: Lane, solid: (text: string) => string, width: number, at: number): string {
    const cellMs = this.#cellMs(width, at);
    const startedAt = this.#chronicle?.startedAt ?? at;
    const cells = Math.min(width, Math.floor((at - startedAt) / cellMs) + 1);
    let bar = "";
    for (let cell = 0; cell < cells; cell++) {
      const from = startedAt + cell * cellMs;
      const until = lane.stretches.filter((one) => one.at < from + cellMs);
      const begun = until.findLast((one) => one.condition === "leader" && one.at >= from);
      const stretch = begun ?? until.at(-1);
      bar += begun === undefined ? cellOf(stretch?.condition, solid) : solid(String(begun.epoch % 10));
    }
    return bar;
  }

  #axis(width: number, at: number): string {
    const perCell = this.#cellMs(width, at) / 1_000;
    let axis = " ".repeat(LANE_HEAD);
    for (let second = 0; Math.round(second / perCell) + 3 < width; second += 5)
      axis = axis.padEnd(LANE_HEAD + Math.round(second / perCell)) + (second === 0 ? "0 s" : String(second));
    return axis;
  }

  #cellMs(width: number, at: number): number {
    const elapsedMs = at - (this.#chronicle?.startedAt ?? at);
    return Math.max(600, Math.ceil(elapsedMs / width / 100) * 100);
  }
}

function cellOf(condition: Condition | undefined, solid: (text: string) => string): string {
  switch (condition) {
    case "leader":
      return solid(" ");
    case "frozen":
      return dim("▒");
    case "follower":
    case "starting":
    case "stopping":
      return dim("─");
    case "gone":
      return red("·");
    case undefined:
      return " ";
    default:
      return condition satisfies never;
  }
}
