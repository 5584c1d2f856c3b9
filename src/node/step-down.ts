/** Giving up the term on request: to any node, to a named successor, or until `setCompeting(true)`. */

import type { ResolvedOptions } from "../config/resolve.ts";
import { ClusterError } from "../errors.ts";
import type { Attachment } from "../runtime/backend.ts";
import type { Driver } from "../runtime/driver.ts";
import { type Deferred, deferred } from "../runtime/waiting.ts";
import type { HookRunner } from "./hooks.ts";

export interface StepDownOptions {
  readonly options: ResolvedOptions;
  readonly attachment: Attachment;
  readonly driver: Driver;
  readonly hooks: HookRunner;
}

export class StepDown {
  readonly #o: StepDownOptions;
  /** By epoch: resolves with `true` when the lease is deleted, with `false` when it is left to expire. */
  readonly #releases = new Map<number, Deferred<boolean>>();

  constructor(o: StepDownOptions) {
    this.#o = o;
  }

  /** Resolves when the lease is deleted; inside a hook, as soon as the term is draining. */
  async request(to?: string): Promise<void> {
    const { driver, options, hooks } = this.#o;
    this.#requireTerm();
    if (to !== undefined) await this.#checkSuccessor(to);
    // The check takes a round trip, during which the term may have ended.
    const epoch = this.#requireTerm();
    const release = deferred<boolean>();
    this.#releases.set(epoch, release);
    driver.dispatch({
      type: "resign",
      reason: "released",
      ...(to === undefined ? {} : { successor: to }),
    });
    if (hooks.insideHook) return;
    if (await release.promise) return;
    throw new ClusterError(
      "STORE_UNAVAILABLE",
      `stepped down, but the lease with epoch ${epoch} could not be deleted; it expires within ${options.leaseTtlMs} ms, and another node leads then`,
      { recoverable: true },
    );
  }

  /** Resolves when a lease that was held is deleted or left to expire; inside a hook, as soon as the term is draining. */
  async setCompeting(competes: boolean): Promise<void> {
    const { driver, options, hooks } = this.#o;
    if (options.observer) {
      throw new ClusterError(
        "INVALID_CONFIG",
        `node "${options.nodeId}" cannot change whether it competes: it was created with observer: true`,
      );
    }
    driver.dispatch({ type: "compete", competes });
    const { role } = driver.state;
    if (competes || role.name !== "draining" || hooks.insideHook) return;
    const release = this.#releases.get(role.term.epoch) ?? deferred<boolean>();
    this.#releases.set(role.term.epoch, release);
    await release.promise;
  }

  /** The lease of a drained term was deleted, or is left to expire. */
  released(epoch: number, deleted: boolean): void {
    this.#releases.get(epoch)?.resolve(deleted);
    this.#releases.delete(epoch);
  }

  /** The incarnation has ended: no further release will be reported. */
  end(): void {
    for (const release of this.#releases.values()) release.resolve(false);
    this.#releases.clear();
  }

  /** Epoch of the term that can be given up. */
  #requireTerm(): number {
    const { announced, role } = this.#o.driver.state;
    if (role.name === "leader" || role.name === "suspended") return role.term.epoch;
    const leader = announced === null ? "none" : `"${announced.nodeId}"`;
    throw new ClusterError(
      "NOT_LEADER",
      `node "${this.#o.options.nodeId}" is not the leader (role: ${role.name}, leader: ${leader})`,
    );
  }

  async #checkSuccessor(to: string): Promise<void> {
    const { nodeId, requestTimeoutMs } = this.#o.options;
    const refuse = (why: string): never => {
      throw new ClusterError("HANDOVER_REFUSED", `cannot hand over to node "${to}": ${why}`, {
        recoverable: true,
      });
    };
    if (to === nodeId) refuse("it is the leader already");
    const status = await this.#o.attachment.statusOf(to, requestTimeoutMs);
    if (status === null)
      refuse(`it did not answer within ${requestTimeoutMs} ms; is it running in this cluster?`);
    // A go-cluster node's status has no `competes`: all of them compete.
    else if (status.competes === false) refuse("it does not compete: it is an observer or has left");
    else if (!status.connected) refuse("it is not connected to NATS");
  }
}
