/** The scenes of the demo. Each acts on the leader and measures the time until the next leader enters `onBecomeLeader`. */
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Chronicle, Hold, Scene } from "./chronicle.ts";
import { NodeProcess } from "./processes.ts";
import { now } from "./report.ts";
import { milliseconds, type View } from "./view.ts";

export const NODES: readonly string[] = ["a", "b", "c"];

/** Longer than a lease (10 s), so that even the worst case is measured. */
const PATIENCE_MS = 60_000;

/** A scene did not end as the library guarantees. */
export class UnexpectedOutcome extends Error {}

export interface Stage {
  readonly chronicle: Chronicle;
  readonly view: View;
  readonly nats: NatsConnection;
  readonly url: string;
  readonly signal: AbortSignal;
}

export class Play {
  readonly #chronicle: Chronicle;
  readonly #stage: Stage;
  readonly #broken = new AbortController();
  readonly #signal: AbortSignal;
  readonly #processes = new Map<string, NodeProcess>();
  /** The current term. */
  #hold: Hold = { node: "-", epoch: 0, from: 0, to: 0 };

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#chronicle = stage.chronicle;
    this.#signal = AbortSignal.any([stage.signal, this.#broken.signal]);
  }

  async election(): Promise<void> {
    const scene = await this.#scene("election", [
      "Three processes start at the same moment and compete for one lease.",
      "Only one compare-and-set succeeds. The work of the leader is to count.",
    ]);
    for (const node of NODES) this.#spawn(node);
    scene.since = await this.#until("a process to start", () => {
      const stretches = this.#chronicle.lanes.flatMap((lane) => lane.stretches);
      return stretches.find(({ condition }) => condition === "follower")?.at;
    });
    await this.#succession(scene);
    for (const node of NODES) await this.#following(node);
  }

  async gracefulStop(): Promise<void> {
    const scene = await this.#scene("graceful stop (SIGTERM)", [
      "As in a deploy: the leader stops its work, then deletes its lease. The",
      "next one leads within milliseconds, and their work never overlaps.",
    ]);
    const { node } = this.#hold;
    const old = this.#begin(scene, `SIGTERM to ${node}`);
    this.#chronicle.set(node, "stopping");
    old.signal("SIGTERM");
    await this.#succession(scene);
    this.#showOrder();
    await old.ended;
    this.#spawn(node);
    await this.#following(node);
    this.#chronicle.note(`${node} runs as a new process, and follows`);
  }

  async stepDown(): Promise<void> {
    const scene = await this.#scene("step-down by NATS request", [
      "A client requests a step-down: work stops first, and no process restarts.",
      "The old leader then does not compete for the length of a lease.",
    ]);
    const subject = `cluster_demo.control.${this.#hold.node}.stepdown`;
    this.#begin(scene, `request to ${subject}`);
    const asked = this.#stage.nats.request(subject, undefined, { timeout: PATIENCE_MS });
    const [answer] = await Promise.all([asked, this.#succession(scene)]);
    if (!answer.string().includes('"ok":true'))
      throw new UnexpectedOutcome(`the step-down request was answered with ${answer.string()}`);
    this.#showOrder();
  }

  async crash(): Promise<void> {
    const scene = await this.#scene("crash (kill -9)", [
      "Its lease lasts for seconds. But the server sees the socket close, and the",
      "others confirm that the connection is gone, so they need not wait 10 s.",
    ]);
    const { node } = this.#hold;
    const old = this.#begin(scene, `kill -9 of ${node}`);
    this.#chronicle.set(node, "gone");
    old.signal("SIGKILL");
    const tookMs = await this.#succession(scene);
    await old.ended;
    if (tookMs > 1_000)
      this.#chronicle.note(
        "the closed connection was not confirmed: silence, or the end of the lease, decided",
      );
    else
      this.#chronicle.note(
        `replaced ${milliseconds(tookMs)} after the kill; with the lease alone: up to 10 s`,
      );
  }

  async restart(): Promise<void> {
    const scene = await this.#scene("restart after the crash", [
      "The killed node starts again. It follows, although it led before:",
      "a returning node does not take over from a leader.",
    ]);
    const { node: to, epoch } = this.#hold;
    const node = NODES.find((one) => this.#chronicle.lane(one).condition === "gone") ?? "";
    this.#begin(scene, `${node} is started again`);
    this.#spawn(node);
    await this.#following(node);
    const tookMs = now() - (scene.since ?? 0);
    scene.outcome = { from: to, to, epoch, tookMs, overlapMs: 0 };
    this.#chronicle.note(`${node} follows ${to}; most of that was the start of its process`);
  }

  async freeze(): Promise<void> {
    const scene = await this.#scene("frozen leader (SIGSTOP), thawed", [
      "Its socket stays open, but its beats stop. When its server has confirmed 2 s of",
      "silence, another leads. After the thaw, its first isLeader() must be false.",
    ]);
    const { node } = this.#hold;
    const old = this.#begin(scene, `SIGSTOP to ${node}; the others wait until its silence is confirmed`);
    this.#chronicle.set(node, "frozen");
    old.signal("SIGSTOP");
    await this.#succession(scene);
    await this.#rest(1_000);
    this.#chronicle.lane(node).thawed = null;
    this.#chronicle.note(`SIGCONT to ${node}`);
    old.signal("SIGCONT");
    const thawed = await this.#until(
      "the frozen process to run",
      () => this.#chronicle.lane(node).thawed ?? undefined,
    );
    this.#chronicle.note(`${node} runs again; its first isLeader() is ${thawed.isLeader}`);
    if (thawed.isLeader) throw new UnexpectedOutcome(`${node} answered isLeader() with true after the thaw`);
    await this.#until(
      "its term to end",
      () => this.#chronicle.lane(node).condition === "follower" || undefined,
    );
    await this.#rest(1_000);
  }

  /** Displays the title of a scene and pauses, so that it can be read. */
  async #scene(title: string, why: Scene["why"]): Promise<Scene> {
    if (this.#chronicle.scenes.length > 0) await this.#rest(1_200);
    const scene: Scene = { title, why };
    this.#chronicle.scenes.push(scene);
    this.#stage.view.scene(scene);
    await this.#rest(1_200);
    return scene;
  }

  /** Starts the clock of a scene; returns the leading process. */
  #begin(scene: Scene, what: string): NodeProcess {
    const { node } = this.#hold;
    const leader = this.#processes.get(node);
    if (leader === undefined || this.#chronicle.lane(node).condition !== "leader")
      throw new UnexpectedOutcome(`${node} does not lead any more`);
    this.#chronicle.note(what);
    scene.since = now();
    return leader;
  }

  /** Waits for the next leader and its first work. Resolves with the time from the action to its leadership. */
  async #succession(scene: Scene): Promise<number> {
    const { node: from, epoch } = this.#hold;
    this.#hold = await this.#until("a new leader at work", () =>
      this.#chronicle.holds.find((hold) => hold.epoch > epoch && hold.firstWork !== undefined),
    );
    const tookMs = this.#hold.from - (scene.since ?? 0);
    const overlapMs = this.#chronicle.overlapMs(this.#hold);
    scene.outcome = { from, to: this.#hold.node, epoch: this.#hold.epoch, tookMs, overlapMs };
    if (overlapMs > 0) throw new UnexpectedOutcome(`two led at once for ${milliseconds(overlapMs)}`);
    return tookMs;
  }

  /** Checks that the old leader's last work precedes the new leader's first work, and displays the gap. */
  #showOrder(): void {
    const [old, next] = this.#chronicle.holds.slice(-2);
    if (old?.lastWork === undefined || next?.firstWork === undefined)
      throw new UnexpectedOutcome("a leader did no work");
    if (old.lastWork >= next.firstWork)
      throw new UnexpectedOutcome(`${old.node} and ${next.node} worked at once`);
    const gap = milliseconds(next.firstWork - old.to);
    this.#chronicle.note(`${old.node} stopped its work ${gap} before ${next.node} began its own`);
  }

  #spawn(node: string): void {
    this.#chronicle.set(node, "starting");
    const child = new NodeProcess(node, this.#stage.url, (report) => this.#chronicle.report(node, report));
    this.#processes.set(node, child);
    void child.ended.then((description) => {
      const { condition } = this.#chronicle.lane(node);
      if (condition !== "stopping" && condition !== "gone")
        this.#broken.abort(new UnexpectedOutcome(description));
    });
  }

  /** Resolves when the node's current process runs and sees the leader. */
  async #following(node: string): Promise<void> {
    await this.#until(`${node} to see the leader`, () => this.#chronicle.lane(node).follows ?? undefined);
  }

  /** Calls `probe` after every report until it returns a value. */
  async #until<T>(what: string, probe: () => T | undefined): Promise<T> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    const signal = AbortSignal.any([this.#signal, late]);
    for (;;) {
      this.#signal.throwIfAborted();
      const found = probe();
      if (found !== undefined) return found;
      if (late.aborted)
        throw new UnexpectedOutcome(`timed out after ${PATIENCE_MS / 1_000} s waiting for ${what}`);
      await once(this.#chronicle.reports, "report", { signal }).catch(() => {});
    }
  }

  async #rest(ms: number): Promise<void> {
    const wait = pause(this.#stage.view.live ? ms : ms / 5, undefined, { signal: this.#signal });
    await wait.catch(() => this.#signal.throwIfAborted());
  }
}
