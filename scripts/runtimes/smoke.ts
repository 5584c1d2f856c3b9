/** The smoke test of one runtime: every scene on the packed tarball and a real server. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { MemberProcess } from "./member-process.ts";
import type { Project } from "./project.ts";
import type { Runtime } from "./runtimes.ts";

/** A port on which nothing listens: the discard service. */
const NO_SERVER = "nats://127.0.0.1:9";

export const SCENES = [
  "start",
  "service",
  "kill -9",
  "SIGTERM",
  "stop in a hook",
  "channels",
  "no server",
] as const;
export type SceneName = (typeof SCENES)[number];

export interface SceneResult {
  readonly scene: SceneName;
  readonly ok: boolean;
  readonly ms: number;
  readonly error?: string;
}

/** Runs the scenes one after the other. The first that fails is the last. */
export async function smokeTest(runtime: Runtime, project: Project, server: string): Promise<SceneResult[]> {
  await using scenes = new Scenes(runtime, project, server);
  const results: SceneResult[] = [];
  for (const scene of SCENES) {
    const startedAt = performance.now();
    const error = await scenes.run(scene).then(
      () => undefined,
      (reason: unknown) => (reason instanceof Error ? reason.message : String(reason)),
    );
    const ms = Math.round(performance.now() - startedAt);
    results.push({ scene, ok: error === undefined, ms, ...(error === undefined ? {} : { error }) });
    if (error !== undefined) break;
  }
  return results;
}

class Scenes implements AsyncDisposable {
  readonly #runtime: Runtime;
  readonly #project: Project;
  readonly #server: string;
  readonly #clusterId = `smoke-${randomUUID().slice(0, 8)}`;
  readonly #members = new Map<string, MemberProcess>();
  #nats: NatsConnection | undefined;

  constructor(runtime: Runtime, project: Project, server: string) {
    this.#runtime = runtime;
    this.#project = project;
    this.#server = server;
  }

  run(scene: SceneName): Promise<void> {
    switch (scene) {
      case "start":
        return this.#startAndLead();
      case "service":
        return this.#answersPing();
      case "kill -9":
        return this.#leaderIsKilled();
      case "SIGTERM":
        return this.#leaderIsStopped();
      case "stop in a hook":
        return this.#hookStops();
      case "channels":
        return this.#channelsCarryTerms();
      case "no server":
        return this.#noServer();
      default:
        return scene satisfies never;
    }
  }

  async #startAndLead(): Promise<void> {
    const a = this.#start("a");
    await a.event("become-leader");
    const b = this.#start("b");
    await b.event("started");
    assert(!b.has("become-leader"), "a second node leads at the same time");
  }

  async #answersPing(): Promise<void> {
    this.#nats ??= await connect({ servers: this.#server });
    const answer = await this.#nats.request(`$SRV.PING.cluster_${this.#clusterId}`, "", { timeout: 5000 });
    const { type, name } = answer.json<{ type?: string; name?: string }>();
    assert.equal(type, "io.nats.micro.v1.ping_response");
    assert.equal(name, `cluster_${this.#clusterId}`);
  }

  async #leaderIsKilled(): Promise<void> {
    const killed = this.#member("a");
    const { epoch = 0 } = await killed.event("become-leader");
    killed.kill("SIGKILL");
    const next = await this.#member("b").event("become-leader");
    assert((next.epoch ?? 0) > epoch, `epoch ${next.epoch} does not follow ${epoch}`);
  }

  async #leaderIsStopped(): Promise<void> {
    const c = this.#start("c");
    await c.event("started");
    const stopped = this.#member("b");
    stopped.kill("SIGTERM");
    await c.event("become-leader");
    assert.equal((await stopped.event("lose-leadership")).reason, "stopped");
    assert.equal(await stopped.exitCode(), 0, "exit code after SIGTERM");
    c.kill("SIGTERM");
    assert.equal(await c.exitCode(), 0, "exit code after SIGTERM");
  }

  /** Only V8 shows which code awaits a call: elsewhere the node is stopped by a rule that does not need to know it. */
  async #hookStops(): Promise<void> {
    await using member = new MemberProcess(
      this.#runtime,
      this.#project,
      this.#server,
      `${this.#clusterId}-hook`,
      "e",
      "stop-in-hook",
    );
    assert.equal((await member.event("work")).epoch, 1, "work registered in onBecomeLeader");
    assert.equal((await member.event("stop-answered")).pending, true, "the answer of stop() in a hook");
    assert.equal(
      (await member.event("released")).drain,
      "complete",
      "the drain of a hook that awaits stop()",
    );
    await member.event("ended");
    assert.equal(await member.exitCode(), 0, "exit code after stop() in a hook");
  }

  async #channelsCarryTerms(): Promise<void> {
    const cluster = `${this.#clusterId}-channels`;
    await using member = new MemberProcess(
      this.#runtime,
      this.#project,
      this.#server,
      cluster,
      "f",
      "channels",
    );
    assert.equal((await member.event("term-start")).epoch, 1);
    assert.equal((await member.event("uncaught")).message, "of a subscriber");
    assert(!member.has("term-end"), "a subscriber that throws has ended the term");
    member.kill("SIGTERM");
    assert.equal((await member.event("term-end")).reason, "stopped");
    assert.equal(await member.exitCode(), 0, "exit code after SIGTERM");
  }

  async #noServer(): Promise<void> {
    const member = this.#start("d", NO_SERVER);
    const { code, message } = await member.event("failed");
    assert.equal(code, "NO_CONNECTION", message);
    assert.equal(await member.exitCode(), 1, "exit code without a server");
  }

  #start(nodeId: string, server: string = this.#server): MemberProcess {
    const member = new MemberProcess(this.#runtime, this.#project, server, this.#clusterId, nodeId);
    this.#members.set(nodeId, member);
    return member;
  }

  #member(nodeId: string): MemberProcess {
    const member = this.#members.get(nodeId);
    if (member === undefined) throw new Error(`node ${nodeId} was not started`);
    return member;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#members.values()].map((member) => member[Symbol.asyncDispose]()));
    await this.#nats?.close();
  }
}
