/** A member of a world, seen from the run. */
import { hostNowMs } from "../../chaos/harness/host-clock.ts";
import { type LanePlace, LaneProcess, type LaneTask } from "../../chaos/harness/lane-process.ts";
import type { MemberCommand, MemberReport, MemberStats, MemberTask } from "./messages.ts";

const END_MS = 20_000;
const PROGRAM = new URL("./child", import.meta.url);

export type MemberSettings = Omit<MemberTask, keyof LaneTask>;

export class MemberProcess extends LaneProcess<MemberCommand, MemberReport> {
  readonly settings: MemberSettings;
  /** When each resource was last written by it, in milliseconds of the host's clock. */
  readonly wroteAtMs: Map<string, number> = new Map();
  /** By code. */
  readonly warnings: Record<string, number> = {};

  constructor(lane: string, settings: MemberSettings, place: LanePlace) {
    super({ lane, what: "member", program: PROGRAM, endMs: END_MS }, place);
    this.settings = settings;
  }

  /** `null`: it does not run, or does not answer. */
  async stats(timeoutMs: number): Promise<MemberStats | null> {
    if (!this.started) return null;
    const stats = this.report("stats", timeoutMs);
    this.send({ do: "stats" });
    return (await stats) ?? null;
  }

  protected override taskOf(common: LaneTask): MemberTask {
    return { ...this.settings, ...common };
  }

  protected override onStart(): () => void {
    this.wroteAtMs.clear();
    return () => this.wroteAtMs.clear();
  }

  protected override onReport({ wrote, warning }: MemberReport): void {
    if (wrote !== undefined) this.wroteAtMs.set(wrote.resource, hostNowMs());
    if (warning !== undefined) this.warnings[warning] = (this.warnings[warning] ?? 0) + 1;
  }
}
