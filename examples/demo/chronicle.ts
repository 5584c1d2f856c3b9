/** What is known of the demo so far, from the reports of its processes and from what was done to them. */
import type { NodeProcess } from "./processes.ts";
import { now, type Report } from "./report.ts";

export type Seen = Report & { readonly node: string; readonly pid: number };
export type Condition = "starting" | "follower" | "leader" | "stopping" | "frozen" | "gone";

/** A stretch of one lane. It lasts until the next one. */
interface Stretch {
  readonly at: number;
  readonly condition: Condition;
  readonly epoch: number;
}

export interface Lane {
  readonly node: string;
  readonly stretches: Stretch[];
  count: number;
}

/** When one process took itself for the leader: from `onBecomeLeader` to the last time that it did. */
interface Hold {
  readonly node: string;
  readonly epoch: number;
  readonly from: number;
  to: number;
  /** First and last round of work. */
  firstWork?: number;
  lastWork?: number;
}

export interface Outcome {
  readonly from: string;
  readonly to: string;
  readonly epoch: number;
  readonly tookMs: number;
  readonly overlapMs: number;
}

export interface SceneEntry {
  readonly title: string;
  readonly why: readonly string[];
  /** When it was done what the scene is about, and what came of it. */
  since?: number;
  outcome?: Outcome;
}

export class Chronicle {
  readonly startedAt: number = now();
  readonly lanes: readonly Lane[];
  readonly holds: Hold[] = [];
  readonly scenes: readonly SceneEntry[];
  readonly reports: Seen[] = [];
  readonly notes: { readonly at: number; readonly text: string }[] = [];
  #scene = -1;
  readonly #listeners = new Set<() => void>();
  readonly #onNote: (at: number, text: string) => void;

  constructor(
    nodes: readonly string[],
    scenes: readonly SceneEntry[],
    onNote: (at: number, text: string) => void,
  ) {
    this.lanes = nodes.map((node) => ({ node, stretches: [], count: 0 }));
    this.scenes = scenes;
    this.#onNote = onNote;
  }

  get scene(): number {
    return this.#scene;
  }

  enter(scene: number): SceneEntry {
    const entry = this.scenes[scene];
    if (entry === undefined) throw new RangeError(`there is no scene ${scene}`);
    this.#scene = scene;
    return entry;
  }

  /** One sentence for the audience. */
  tell(text: string, at: number = now()): void {
    this.notes.push({ at, text });
    this.#onNote(at - this.startedAt, text);
  }

  /** What was done to a process. Whatever it held, it can't use any more once it is gone. */
  set(node: string, condition: Condition, at: number = now()): void {
    const hold = this.holds.findLast((one) => one.node === node);
    if (condition === "gone" && this.condition(node) === "leader" && hold !== undefined) hold.to = at;
    this.#stretch(node, condition, 0, at);
  }

  condition(node: string): Condition {
    return this.#lane(node).stretches.at(-1)?.condition ?? "gone";
  }

  report(report: Report, from: NodeProcess): void {
    const seen: Seen = { ...report, node: from.nodeId, pid: from.pid };
    this.reports.push(seen);
    this.#note(seen);
    for (const listener of this.#listeners) listener();
  }

  /** The first report that matches, of those that came and those to come. */
  until(matches: (report: Seen) => boolean, signal: AbortSignal): Promise<Seen> {
    let looked = 0;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        this.#listeners.delete(look);
        signal.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        end();
        reject(signal.reason);
      };
      const look = (): void => {
        const found = this.reports.slice(looked).find(matches);
        looked = this.reports.length;
        if (found === undefined) return;
        end();
        resolve(found);
      };
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort);
      this.#listeners.add(look);
      look();
    });
  }

  hold(epoch: number): Hold {
    const hold = this.holds.find((one) => one.epoch === epoch);
    if (hold === undefined) throw new RangeError(`no process has led with epoch ${epoch}`);
    return hold;
  }

  /** For how long `hold` was held while an earlier one still was; without `hold`, the sum over all of them. */
  overlapMs(hold?: Hold): number {
    if (hold === undefined) return this.holds.reduce((sum, one) => sum + this.overlapMs(one), 0);
    const earlier = this.holds.filter((one) => one.epoch < hold.epoch);
    return Math.max(0, ...earlier.map((one) => Math.min(one.to, hold.to) - hold.from));
  }

  #note(seen: Seen): void {
    const { node, at } = seen;
    const lane = this.#lane(node);
    switch (seen.type) {
      case "starting":
        return this.#stretch(node, "starting", 0, at);
      case "started":
        if (this.condition(node) === "starting") this.#stretch(node, "follower", 0, at);
        return;
      case "become":
        this.holds.push({ node, epoch: seen.epoch, from: at, to: at });
        this.tell(`${node} leads, epoch ${seen.epoch}`, at);
        return this.#stretch(node, "leader", seen.epoch, at);
      case "tick": {
        if (!seen.held) return;
        const hold = this.hold(seen.epoch);
        hold.firstWork ??= at;
        hold.lastWork = at;
        hold.to = Math.max(hold.to, at);
        lane.count = seen.count;
        return;
      }
      case "lose": {
        const graceful = seen.reason === "released" || seen.reason === "stopped";
        // A term that ran out ended by the clock; its last "held" counts, not when the process could say so.
        if (graceful) this.hold(seen.epoch).to = at;
        this.tell(`${node} is not the leader any more: ${seen.reason}`, at);
        return this.#stretch(node, seen.reason === "stopped" ? "stopping" : "follower", 0, at);
      }
      case "thawed": {
        const hold = this.holds.findLast((one) => one.node === node);
        if (seen.isLeader && hold !== undefined) hold.to = at;
        return;
      }
      case "leader":
        return;
      case "warning":
        return this.tell(`${node} warns: ${seen.message}`, at);
      default:
        seen satisfies never;
    }
  }

  #stretch(node: string, condition: Condition, epoch: number, at: number): void {
    this.#lane(node).stretches.push({ at, condition, epoch });
  }

  #lane(node: string): Lane {
    const lane = this.lanes.find((one) => one.node === node);
    if (lane === undefined) throw new RangeError(`there is no node ${node}`);
    return lane;
  }
}
