/** An election that takes any course that the contract of its outputs allows, decided by a seed. */
import type { ElectionOutput } from "../../src/application/types.ts";
import type { ElectionEvent } from "../../src/election/types.ts";
import type { Random } from "../../src/testing/simulation/random.ts";
import type { VirtualTime } from "../../src/testing/simulation/time/virtual-time.ts";

export class ScriptedElection {
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #output: (output: ElectionOutput) => void;
  #role: "follower" | "leader" | "suspended" | "draining" | "stopped" = "follower";
  #epoch = 0;
  #changes = 0;
  #competes = true;
  #stopping = false;
  #queue: ElectionEvent[] = [];
  #busy = false;
  terms = 0;

  constructor(time: VirtualTime, random: Random, output: (output: ElectionOutput) => void) {
    this.#time = time;
    this.#random = random;
    this.#output = output;
  }

  get role(): string {
    return this.#role;
  }

  dispatch(event: ElectionEvent): void {
    this.#queue.push(event);
    if (this.#busy) return;
    this.#busy = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) this.#handle(next);
    this.#busy = false;
  }

  /** Something happens in the cluster. */
  stir(): void {
    if (this.#role !== "stopped" && this.#random.chance(0.3)) {
      const leader = this.#random.chance(0.5)
        ? null
        : { nodeId: "b", epoch: this.#epoch, incarnation: `b${++this.#changes}`, acquiredAt: 0 };
      this.#output({ type: "leader-change", leader });
    }
    switch (this.#role) {
      case "follower":
        if (!this.#competes || this.#stopping) return;
        this.#role = "leader";
        this.#epoch += 1;
        this.terms += 1;
        return this.#output({ type: "become-leader", epoch: this.#epoch, acquiredAt: 0 });
      case "leader":
        if (this.#random.chance(0.3)) return this.#lose();
        if (this.#random.chance(0.5)) return;
        this.#role = "suspended";
        return this.#output({ type: "suspended", epoch: this.#epoch });
      case "suspended":
        if (this.#random.chance(0.3)) return this.#lose();
        this.#role = "leader";
        return this.#output({ type: "resumed", epoch: this.#epoch });
      case "draining":
        // The lease expires under the drain.
        if (this.#random.chance(0.2)) this.#release(false);
        return;
      default:
    }
  }

  #lose(): void {
    this.#role = "follower";
    this.#output({ type: "lose-leadership", epoch: this.#epoch, reason: "expired" });
  }

  #release(deleted: boolean): void {
    this.#role = "follower";
    this.#output({ type: "released", epoch: this.#epoch, deleted });
    if (this.#stopping) this.#end();
  }

  #end(): void {
    if (this.#role === "stopped") return;
    this.#role = "stopped";
    this.#output({ type: "stopped" });
  }

  #drain(reason: "released" | "stopped" | "hook-failed"): void {
    this.#role = "draining";
    this.#output({ type: "drain", epoch: this.#epoch, reason });
  }

  #handle(event: ElectionEvent): void {
    const leads = this.#role === "leader" || this.#role === "suspended";
    switch (event.type) {
      case "resign":
        // The deadline may pass in the very moment of the request.
        if (leads && this.#random.chance(0.1)) return this.#lose();
        if (leads) this.#drain(event.reason);
        return;
      case "compete":
        this.#competes = event.competes;
        if (!event.competes && leads) this.#drain("released");
        return;
      case "drained":
        if (this.#role !== "draining") return;
        this.#time.after(this.#random.between(0, 30), () => {
          if (this.#role === "draining") this.#release(this.#random.chance(0.9));
        });
        return;
      case "stop":
        this.#stopping = true;
        if (leads) this.#drain("stopped");
        else if (this.#role === "follower") this.#time.after(this.#random.between(0, 50), () => this.#end());
        return;
      default:
    }
  }
}
