/** A node of a world, seen from the run. */
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { hostNowMs } from "../harness/host-clock.ts";
import { type LanePlace, LaneProcess, type LaneTask } from "../harness/lane-process.ts";
import type { NodeCommand, NodeReport, NodeTask } from "./messages.ts";

const TICK_MS = 20;
const END_MS = 15_000;
const PROGRAM = new URL("./child", import.meta.url);

export type NodeSettings = Omit<NodeTask, keyof LaneTask | "recording">;

export class NodeProcess extends LaneProcess<NodeCommand, NodeReport> {
  #settings: NodeSettings;
  readonly #folder: string;
  /** Epoch in which it leads by its own report, 0 when it does not lead. */
  epoch = 0;
  /** Epoch of its newest stored write. */
  wroteEpoch = 0;
  /** When that report arrived. */
  wroteAtMs = 0;

  /** @param folder for its recordings */
  constructor(lane: string, settings: NodeSettings, place: LanePlace, folder: string) {
    super({ lane, what: "node", program: PROGRAM, endMs: END_MS }, place);
    this.#settings = settings;
    this.#folder = folder;
  }

  get nodeId(): string {
    return this.#settings.nodeId;
  }

  /** `leaseTtlMs` of processes that are started from now on. */
  setLease(ms: number): void {
    this.#settings = { ...this.#settings, leaseTtlMs: ms };
  }

  /** How its writes ended, by error code. */
  async outcomes(): Promise<Readonly<Record<string, number>>> {
    if (!this.started) return {};
    const outcomes = this.report("outcomes", 5000);
    this.send({ do: "stats" });
    return (await outcomes) ?? {};
  }

  protected override taskOf(common: LaneTask): NodeTask {
    const { lane, processNumber } = common;
    const recording = join(this.#folder, `${lane.replace("'", "-twin")}-${processNumber}.held`);
    return { ...this.#settings, ...common, recording };
  }

  protected override onStart({ stdin }: ChildProcess): () => void {
    this.epoch = 0;
    this.wroteEpoch = 0;
    // A frozen process finds its ticks in the pipe when it resumes.
    const ticker = setInterval(() => void stdin?.write("\n"), TICK_MS);
    return () => {
      clearInterval(ticker);
      this.epoch = 0;
    };
  }

  protected override onReport({ leads, lost, wrote }: NodeReport): void {
    if (leads !== undefined) this.epoch = leads;
    if (lost === this.epoch) this.epoch = 0;
    if (wrote !== undefined) {
      this.wroteEpoch = wrote;
      this.wroteAtMs = hostNowMs();
    }
  }
}
