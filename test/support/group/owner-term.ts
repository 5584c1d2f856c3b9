/** A term of a resource without a member: a test says when it is held, and when it ends. */
import type { ResourceTerm } from "../../../src/group.ts";
import { deferred } from "../../../src/runtime/waiting.ts";

type OwnerTerm = Pick<ResourceTerm, "groupId" | "resource" | "epoch" | "held" | "signal" | "untilHeld">;

export class ScriptedTerm implements OwnerTerm {
  readonly groupId: string;
  readonly resource: string;
  readonly epoch: number;
  readonly #controller = new AbortController();
  #held = deferred<void>();
  #isHeld = true;
  /** How often `untilHeld()` was called. */
  waits = 0;

  constructor(groupId: string, resource: string, epoch: number) {
    this.groupId = groupId;
    this.resource = resource;
    this.epoch = epoch;
  }

  get held(): boolean {
    return this.#isHeld && !this.#controller.signal.aborted;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  untilHeld(): Promise<void> {
    this.waits += 1;
    return this.held ? Promise.resolve() : this.#held.promise;
  }

  suspend(): void {
    this.#isHeld = false;
  }

  resume(): void {
    this.#isHeld = true;
    this.#held.resolve();
    this.#held = deferred<void>();
  }

  end(): void {
    const error = new Error(`the term of ${this.resource} has ended`);
    this.#controller.abort(error);
    this.#held.promise.catch(() => {});
    this.#held.reject(error);
  }
}
