/** What is known of the demo so far: from the reports of its processes, and from what was done to them. */
import { EventEmitter } from "node:events";
import { now, type Report } from "./report.ts";

export type Condition = "starting" | "follower" | "leader" | "stopping" | "frozen" | "gone";

export interface Lane {
  readonly node: string;
  /** Each lasts until the next one. */
  readonly stretches: { readonly at: number; readonly condition: Condition; readonly epoch: number }[];
  condition: Condition;
  count: number;
  /** Whom the present process knows as the leader. */
  follows: string | null;
  /** What it said of itself when it ran again after a while. */
  thawed: { readonly isLeader: boolean } | null;
}

/** For how long one process took itself for the leader, by its own records. */
export interface Hold {
  readonly node: string;
  readonly epoch: number;
  /** `onBecomeLeader` was entered. */
  readonly from: number;
  /** The last time it asked and was the leader, or began to leave; for a killed one, the kill. */
  to: number;
  firstWork?: number;
  lastWork?: number;
}

export interface Scene {
  readonly title: string;
  readonly why: readonly [string, string];
  /** When it was done to the leader, what the scene is about. */
  since?: number;
  outcome?: { from: string; to: string; epoch: number; tookMs: number; overlapMs: number };
}

export class Chronicle {
  readonly startedAt: number = now();
  readonly lanes: readonly Lane[];
  readonly holds: Hold[] = [];
  readonly scenes: Scene[] = [];
  readonly notes: { readonly at: number; readonly text: string }[] = [];
  onNote: (at: number, text: string) => void = () => {};
  /** Emits `report` after each. */
  readonly reports: EventEmitter = new EventEmitter();

  constructor(nodes: readonly string[]) {
    this.lanes = nodes.map((node) => {
      return { node, stretches: [], condition: "gone", count: 0, follows: null, thawed: null };
    });
  }

  /** One sentence for the audience. */
  tell(text: string, at: number = now()): void {
    this.notes.push({ at, text });
    this.onNote(at, text);
  }

  lane(node: string): Lane {
    const lane = this.lanes.find((one) => one.node === node);
    if (lane === undefined) throw new RangeError(`there is no node ${node}`);
    return lane;
  }

  /** What is done to a process, just before it is done. */
  set(node: string, condition: Condition, epoch = 0, at: number = now()): void {
    const lane = this.lane(node);
    const hold = this.holds.findLast((one) => one.node === node);
    if (condition === "gone" && lane.condition === "leader" && hold !== undefined) hold.to = at;
    if (condition === "starting") lane.follows = lane.thawed = null;
    lane.condition = condition;
    lane.stretches.push({ at, condition, epoch });
  }

  /** For how long two processes held leadership at once: `hold` and earlier ones, or any two of all. */
  overlapMs(hold?: Hold): number {
    if (hold === undefined) return this.holds.reduce((sum, one) => sum + this.overlapMs(one), 0);
    const earlier = this.holds.filter((one) => one.epoch < hold.epoch);
    return Math.max(0, ...earlier.map((one) => Math.min(one.to, hold.to) - hold.from));
  }

  report(node: string, report: Report): void {
    const { at } = report;
    const lane = this.lane(node);
    const hold = this.holds.findLast((one) => one.node === node);
    switch (report.type) {
      case "starting":
        this.set(node, "follower", 0, at);
        break;
      case "become":
        this.holds.push({ node, epoch: report.epoch, from: at, to: at });
        this.tell(`${node} leads, epoch ${report.epoch}`, at);
        this.set(node, "leader", report.epoch, at);
        break;
      case "round":
        lane.count = report.count;
        if (!report.held || hold === undefined) break;
        hold.firstWork ??= at;
        hold.lastWork = at;
        hold.to = Math.max(hold.to, at);
        break;
      case "lose":
        // A term that ran out has ended by the clock, not when the process came to say so.
        if (hold !== undefined && /released|stopped/.test(report.reason)) hold.to = at;
        this.tell(`${node} leads no more: ${report.reason}`, at);
        this.set(node, report.reason === "stopped" ? "stopping" : "follower", 0, at);
        break;
      case "follow":
        lane.follows = report.leader;
        break;
      case "thawed":
        lane.thawed = report;
        if (report.isLeader && hold !== undefined) hold.to = at;
        break;
      case "warning":
        this.tell(`${node} warns: ${report.message}`, at);
        break;
      default:
        report satisfies never;
    }
    this.reports.emit("report");
  }
}
