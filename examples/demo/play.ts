/** The scenes, in order. Each does something to the leader and measures until the next one enters `onBecomeLeader`. */
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import type { Chronicle, Hold, Scene } from "./chronicle.ts";
import { NodeProcess } from "./processes.ts";
import { now } from "./report.ts";
import { milliseconds, type View } from "./view.ts";

export const NODES: readonly string[] = ["a", "b", "c"];

/** Longer than a lease (10 s) takes to run out, so that the worst that may happen is still measured. */
const PATIENCE_MS = 15_000;

/** Something did not go as this library promises. */
export class BrokenPromise extends Error {}

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
  /** The present term. */
  #hold: Hold = { node: "-", epoch: 0, from: 0, to: 0 };

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#chronicle = stage.chronicle;
    this.#signal = AbortSignal.any([stage.signal, this.#broken.signal]);
  }

  async election(): Promise<void> {
    const scene = await this.#scene("election", [
      "Three processes start at the same moment and compete for one lease.",
      "Only one compare-and-set can win. The work of a leader is to count.",
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
      "A deploy: the leader first stops its work, then deletes its lease. The",
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
    this.#chronicle.tell(`${node} is back as a new process, and follows`);
  }

  async stepDown(): Promise<void> {
    const scene = await this.#scene("step-down by NATS request", [
      "Any client may ask the leader to hand over: same order, nobody restarts.",
      "It then leaves leadership to the others for the length of a lease.",
    ]);
    const subject = `cluster_demo.control.${this.#hold.node}.stepdown`;
    this.#begin(scene, `request to ${subject}`);
    const asked = this.#stage.nats.request(subject, undefined, { timeout: PATIENCE_MS });
    const [answer] = await Promise.all([asked, this.#succession(scene)]);
    if (!answer.string().includes('"ok":true')) throw new BrokenPromise(`answered with ${answer.string()}`);
    this.#showOrder();
  }

  async crash(): Promise<void> {
    const scene = await this.#scene("crash (kill -9)", [
      "Its lease has seconds left. But the server sees the socket close, and the",
      "others make sure that the connection is gone: nobody waits for the 10 s.",
    ]);
    const { node } = this.#hold;
    const old = this.#begin(scene, `kill -9 of ${node}`);
    this.#chronicle.set(node, "gone");
    old.signal("SIGKILL");
    const tookMs = await this.#succession(scene);
    await old.ended;
    if (tookMs > 1_000)
      this.#chronicle.tell("crash detection was not effective here: the lease had to run out");
    else
      this.#chronicle.tell(`replaced ${milliseconds(tookMs)} after the kill; by the lease alone: up to 10 s`);
  }

  async restart(): Promise<void> {
    const scene = await this.#scene("restart after the crash", [
      "The killed process starts again. It follows, though it once led:",
      "leadership changes hands when it has to, not when somebody comes back.",
    ]);
    const { node: to, epoch } = this.#hold;
    const node = NODES.find((one) => this.#chronicle.lane(one).condition === "gone") ?? "";
    this.#begin(scene, `${node} is started again`);
    this.#spawn(node);
    await this.#following(node);
    const tookMs = now() - (scene.since ?? 0);
    scene.outcome = { from: to, to, epoch, tookMs, overlapMs: 0 };
    this.#chronicle.tell(`${node} follows ${to}; most of that was the start of its process`);
  }

  async freeze(): Promise<void> {
    const scene = await this.#scene("frozen leader (SIGSTOP), thawed", [
      "Its socket stays open: it may just be slow. So the lease has to run out,",
      "up to 10 s. Thawed, it must not believe for an instant that it leads.",
    ]);
    const { node } = this.#hold;
    const old = this.#begin(scene, `SIGSTOP to ${node}; now the others can only wait`);
    this.#chronicle.set(node, "frozen");
    old.signal("SIGSTOP");
    await this.#succession(scene);
    await this.#rest(1_000);
    this.#chronicle.lane(node).thawed = null;
    this.#chronicle.tell(`SIGCONT to ${node}`);
    old.signal("SIGCONT");
    const thawed = await this.#until(
      "the frozen process to run",
      () => this.#chronicle.lane(node).thawed ?? undefined,
    );
    this.#chronicle.tell(`${node} runs again; its first isLeader() says ${thawed.isLeader}`);
    if (thawed.isLeader) throw new BrokenPromise(`${node} was thawed and took itself for the leader`);
    await this.#until(
      "its term to end",
      () => this.#chronicle.lane(node).condition === "follower" || undefined,
    );
    await this.#rest(1_000);
  }

  /** Announces a scene, and leaves time to read. */
  async #scene(title: string, why: Scene["why"]): Promise<Scene> {
    if (this.#chronicle.scenes.length > 0) await this.#rest(1_200);
    const scene: Scene = { title, why };
    this.#chronicle.scenes.push(scene);
    this.#stage.view.scene(scene);
    await this.#rest(1_200);
    return scene;
  }

  /** Starts the watch of a scene; returns the process that leads. */
  #begin(scene: Scene, what: string): NodeProcess {
    const { node } = this.#hold;
    const leader = this.#processes.get(node);
    if (leader === undefined || this.#chronicle.lane(node).condition !== "leader")
      throw new BrokenPromise(`${node} should lead, but does not`);
    this.#chronicle.tell(what);
    scene.since = now();
    return leader;
  }

  /** Waits for the next leader and its first work. Resolves with how long the scene took until it led. */
  async #succession(scene: Scene): Promise<number> {
    const { node: from, epoch } = this.#hold;
    this.#hold = await this.#until("a new leader at work", () =>
      this.#chronicle.holds.find((hold) => hold.epoch > epoch && hold.firstWork !== undefined),
    );
    const tookMs = this.#hold.from - (scene.since ?? 0);
    const overlapMs = this.#chronicle.overlapMs(this.#hold);
    scene.outcome = { from, to: this.#hold.node, epoch: this.#hold.epoch, tookMs, overlapMs };
    if (overlapMs > 0) throw new BrokenPromise(`two led at once for ${milliseconds(overlapMs)}`);
    return tookMs;
  }

  /** In a graceful handover, the old leader's last work comes before the new one's first. */
  #showOrder(): void {
    const [old, next] = this.#chronicle.holds.slice(-2);
    if (old?.lastWork === undefined || next?.firstWork === undefined)
      throw new BrokenPromise("there was no work");
    if (old.lastWork >= next.firstWork)
      throw new BrokenPromise(`${old.node} and ${next.node} worked at once`);
    const gap = milliseconds(next.firstWork - old.to);
    this.#chronicle.tell(`${old.node} had stopped its work ${gap} before ${next.node} began its own`);
  }

  #spawn(node: string): void {
    this.#chronicle.set(node, "starting");
    const child = new NodeProcess(node, this.#stage.url, (report) => this.#chronicle.report(node, report));
    this.#processes.set(node, child);
    void child.ended.then((story) => {
      const { condition } = this.#chronicle.lane(node);
      if (condition !== "stopping" && condition !== "gone") this.#broken.abort(new BrokenPromise(story));
    });
  }

  /** The node's present process takes part and knows who leads. */
  async #following(node: string): Promise<void> {
    await this.#until(`${node} to know who leads`, () => this.#chronicle.lane(node).follows ?? undefined);
  }

  /** Resolves with what `look` finds, now or after a later report. */
  async #until<T>(what: string, look: () => T | undefined): Promise<T> {
    const late = AbortSignal.timeout(PATIENCE_MS);
    const signal = AbortSignal.any([this.#signal, late]);
    for (;;) {
      this.#signal.throwIfAborted();
      const found = look();
      if (found !== undefined) return found;
      if (late.aborted) throw new BrokenPromise(`waited ${PATIENCE_MS / 1_000} s in vain for ${what}`);
      await once(this.#chronicle.reports, "report", { signal }).catch(() => {});
    }
  }

  async #rest(ms: number): Promise<void> {
    const wait = pause(this.#stage.view.live ? ms : ms / 5, undefined, { signal: this.#signal });
    await wait.catch(() => this.#signal.throwIfAborted());
  }
}
