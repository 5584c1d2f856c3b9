/** A bucket on a real server, with nodes that use the real adapter. */
import { headers } from "@nats-io/transport-node";
import type { LeaseWrite } from "../../../src/election/types.ts";
import { JsCode } from "../../../src/nats/api/js-api.ts";
import { NatsLeaseStore } from "../../../src/nats/lease/lease-store.ts";
import { leaseSubject, streamName } from "../../../src/nats/names.ts";
import type { StoreListener } from "../../../src/runtime/ports.ts";
import type { Frame } from "../../shared/nats-frames.ts";
import type { TakenFrame } from "../../shared/proxy-types.ts";
import { waitFor } from "../../shared/wait.ts";
import { YOUNG_BUCKET } from "../deviations.ts";
import type { Lane } from "../nats-lane.ts";
import { BucketOperator } from "./bucket-operator.ts";
import {
  type BucketWorld,
  describeEntry,
  describeOpened,
  describeRead,
  describeWrite,
  Generations,
  WATCHERS,
  type Watcher,
} from "./bucket-world.ts";
import type { NodeName, SentWrite, Step } from "./operations.ts";

const TIMEOUT_MS = 5000;
/** Timeout of a write that gets no answer on purpose. */
const UNANSWERED_MS = 40;

export class NatsBucketWorld implements BucketWorld {
  readonly #lane: Lane;
  readonly #clusterId: string;
  readonly #operator: BucketOperator;
  readonly #generations = new Generations();
  readonly #stores: Readonly<Record<NodeName | "w", NatsLeaseStore>>;
  readonly #seen: Readonly<Record<Watcher, string[]>> = { a: [], w: [] };
  readonly #lates: TakenFrame[] = [];
  #passedDeviations: string[] = [];

  private constructor(lane: Lane, clusterId: string, maxAgeMs: number) {
    this.#lane = lane;
    this.#clusterId = clusterId;
    this.#operator = new BucketOperator(lane, clusterId, maxAgeMs);
    const make = (node: NodeName | "w"): NatsLeaseStore =>
      new NatsLeaseStore(lane.monitors[node], {
        clusterId,
        leaseTtlMs: maxAgeMs === 0 ? 10_000 : maxAgeMs,
        replicas: lane.target.replicas,
        interop: maxAgeMs === 0 ? "native" : "go-cluster",
        apiTimeoutMs: TIMEOUT_MS,
      });
    this.#stores = { a: make("a"), b: make("b"), c: make("c"), w: make("w") };
  }

  /** Creates the bucket, opens it from every node, and starts the watchers. */
  static async open(lane: Lane, clusterId: string, maxAgeMs: number): Promise<NatsBucketWorld> {
    const world = new NatsBucketWorld(lane, clusterId, maxAgeMs);
    for (const store of Object.values(world.#stores)) await store.open(new AbortController().signal);
    for (const watcher of WATCHERS) world.#stores[watcher].watch(world.#listener(watcher));
    await lane.subscribed();
    await world.#known();
    return world;
  }

  #listener(watcher: Watcher): StoreListener {
    return {
      entry: (entry) => this.#seen[watcher].push(describeEntry(entry)),
      gone: () => this.#seen[watcher].push("the bucket is deleted"),
    };
  }

  seen(watcher: Watcher): readonly string[] {
    return this.#seen[watcher];
  }

  /** Names of the declared deviations that occurred and passed since the last call. */
  passedDeviations(): readonly string[] {
    const names = this.#passedDeviations;
    this.#passedDeviations = [];
    return names;
  }

  /** Waits until writes through every server reach the bucket. Probes with a write that must be refused. */
  async #known(): Promise<void> {
    if (this.#lane.target.servers.length === 1) return;
    const hdrs = headers();
    hdrs.set("Nats-Expected-Stream", "another");
    for (const client of ["a", "b", "w"] as const) {
      const { connection } = this.#lane.monitors[client];
      await waitFor(
        async () => {
          const tried = connection.request(leaseSubject(this.#clusterId), "", {
            timeout: 1000,
            headers: hdrs,
          });
          const reachable = await tried.then(
            () => true,
            () => false,
          );
          if (!reachable) this.#passedDeviations.push(YOUNG_BUCKET);
          return reachable;
        },
        { timeoutMs: 15_000, intervalMs: 2, message: "a new bucket to be reachable through every server" },
      );
    }
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#stores).map((store) => store.close()));
    await this.#lane.api(`STREAM.DELETE.${streamName(this.#clusterId)}`);
  }

  async run(step: Step): Promise<readonly string[]> {
    switch (step.do) {
      case "open": {
        const info = await this.#stores[step.by].open(new AbortController().signal, step.above);
        await this.#known();
        return [describeOpened(info, this.#lane.target.replicas, this.#generations)];
      }
      case "read":
        return [describeRead(await this.#stores[step.by].read(TIMEOUT_MS), this.#generations)];
      case "write":
        return this.#write([step]);
      case "race":
        return this.#write(step.writes);
      case "pipeline":
        return this.#write(step.writes.map((write) => ({ by: step.by, write })));
      case "late":
        return this.#late(step.write);
      case "arrive":
        return [await this.#arrive()];
      case "lose-request":
        return this.#loseRequest(step.write);
      case "lose-answer":
        return this.#loseAnswer(step.write);
      case "offline":
        return this.#offline(step.write);
      default:
        return [await this.#operator.run(step)];
    }
  }

  async #write(writes: readonly SentWrite[]): Promise<readonly string[]> {
    const sent = writes.map(({ by, write }) => this.#stores[by].write(write, TIMEOUT_MS));
    return (await Promise.all(sent)).map(describeWrite);
  }

  async #late(write: LeaseWrite): Promise<readonly string[]> {
    const taken = this.#lane.proxy.takeNextToServer((frame) => this.#isWrite(frame));
    const outcome = await this.#stores.c.write(write, UNANSWERED_MS);
    this.#lates.push(await taken);
    return [describeWrite(outcome)];
  }

  /** Releases the oldest delayed request. Its answer is too late for the sender but shows the outcome. */
  async #arrive(): Promise<string> {
    const late = this.#lates.shift();
    if (late === undefined) return "no delayed request";
    const answer = this.#lane.proxy.takeNextToClient((frame) => frame.subject === late.frame.reply);
    if (!late.release()) throw new Error("the connection of a delayed request is closed");
    return describeFate((await answer).frame);
  }

  async #loseRequest(write: LeaseWrite): Promise<readonly string[]> {
    const taken = this.#lane.proxy.takeNextToServer((frame) => this.#isWrite(frame));
    const outcome = await this.#stores.c.write(write, UNANSWERED_MS);
    await taken;
    return [describeWrite(outcome)];
  }

  async #loseAnswer(write: LeaseWrite): Promise<readonly string[]> {
    const taken = this.#lane.proxy.takeReplyTo((frame) => this.#isWrite(frame));
    const outcome = await this.#stores.c.write(write, UNANSWERED_MS);
    return [describeWrite(outcome), describeFate((await taken).frame)];
  }

  async #offline(write: LeaseWrite): Promise<readonly string[]> {
    const { proxy, monitors } = this.#lane;
    proxy.refuse(true);
    proxy.cut();
    await waitFor(() => !monitors.c.connected, {
      intervalMs: 1,
      message: "c to notice the closed connection",
    });
    const outcome = await this.#stores.c.write(write, TIMEOUT_MS);
    const read = await this.#stores.c.read(TIMEOUT_MS);
    proxy.refuse(false);
    await this.#lane.connected();
    return [describeWrite(outcome), describeRead(read, this.#generations)];
  }

  #isWrite(frame: Frame): boolean {
    return frame.subject === leaseSubject(this.#clusterId);
  }
}

/** The server's answer to a write whose sender has given up. */
function describeFate(frame: Frame): string {
  if (frame.verb === "HMSG" && frame.text.includes("NATS/1.0 503")) return "no responders";
  const { seq, error } = JSON.parse(frame.text.slice(frame.text.indexOf("\r\n"))) as {
    seq?: number;
    error?: { err_code?: number };
  };
  if (error === undefined) return describeWrite({ kind: "applied", revision: seq ?? 0 });
  return error.err_code === JsCode.wrongLastSequence ? "conflict" : JSON.stringify(error);
}
