/** The record of the demo: reports of its processes, and actions on them. */
import { EventEmitter } from "node:events";
import { now, type Report } from "./report.ts";

export type Condition = "starting" | "follower" | "leader" | "stopping" | "frozen" | "gone";

export interface Lane {
  readonly node: string;
  /** Each stretch lasts until the next one begins. */
  readonly stretches: { readonly at: number; readonly condition: Condition; readonly epoch: number }[];
  condition: Condition;
  count: number;
  /** The leader in the view of the current process. */
  follows: string | null;
  /** Result of the first `isLeader()` after the process was frozen. */
  thawed: { readonly isLeader: boolean } | null;
}

/** How long one process was leader, by its own reports. */
export interface Hold {
  readonly node: string;
  readonly epoch: number;
  /** `onBecomeLeader` was entered. */
  readonly from: number;
  /** The last time at which it was leader or began to give up; for a killed process, the time of the kill. */
  to: number;
  firstWork?: number;
  lastWork?: number;
}

export interface Scene {
  readonly title: string;
  readonly why: readonly [string, string];
  /** Time of the action that the scene measures. */
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
  /** Emits `report` after each report. */
  readonly reports: EventEmitter = new EventEmitter();

  constructor(nodes: readonly string[]) {
    this.lanes = nodes.map((node) => {
      return { node, stretches: [], condition: "gone", count: 0, follows: null, thawed: null };
    });
  }

  /** Records one line of text and displays it. */
  note(text: string, at: number = now()): void {
    this.notes.push({ at, text });
    this.onNote(at, text);
  }

  lane(node: string): Lane {
    const lane = this.lanes.find((one) => one.node === node);
    if (lane === undefined) throw new RangeError(`unknown node ${node}`);
    return lane;
  }

  /** Records an action on a process, or a change of its condition. */
  set(node: string, condition: Condition, epoch = 0, at: number = now()): void {
    const lane = this.lane(node);
    const hold = this.holds.findLast((one) => one.node === node);
    if (condition === "gone" && lane.condition === "leader" && hold !== undefined) hold.to = at;
    if (condition === "starting") lane.follows = lane.thawed = null;
    lane.condition = condition;
    lane.stretches.push({ at, condition, epoch });
  }

  /** How long `hold` overlaps with earlier ones; without an argument, the sum over all holds. */
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
        this.note(`${node} leads, epoch ${report.epoch}`, at);
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
        // An expired term ended at its deadline, not at the time of this report.
        if (hold !== undefined && /released|stopped/.test(report.reason)) hold.to = at;
        this.note(`${node} no longer leads: ${report.reason}`, at);
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
        this.note(`warning of ${node}: ${report.message}`, at);
        break;
      default:
        report satisfies never;
    }
    this.reports.emit("report");
  }
}
