/** Giving the term up on request: to anybody, to a named node, or for good. */

import type { ResolvedOptions } from "../config/resolve.ts";
import { ClusterError } from "../errors.ts";
import type { Attachment } from "../runtime/backend.ts";
import type { Driver } from "../runtime/driver.ts";
import { type Deferred, deferred } from "../runtime/waiting.ts";
import type { RunningTerm } from "./term.ts";

export interface HandoverOptions {
  readonly options: ResolvedOptions;
  readonly attachment: Attachment;
  readonly driver: Driver;
  /** The running term; not one that is being given up. */
  readonly term: () => RunningTerm | null;
  /** Is the caller a hook, or leader work? It must not wait for itself to end. */
  readonly insideHook: () => boolean;
}

export class Handover {
  readonly #o: HandoverOptions;
  /** Who waits for the lease of an epoch to be deleted. */
  readonly #releases = new Map<number, Deferred<boolean>>();

  constructor(o: HandoverOptions) {
    this.#o = o;
  }

  /** Gives the term up; resolves when its lease is deleted. Inside a hook: when it is draining. */
  async stepDown(to?: string): Promise<void> {
    const { driver, options } = this.#o;
    const term = this.#requireTerm();
    if (to !== undefined) {
      await this.#checkSuccessor(to);
      if (this.#o.term() !== term || driver.state.role.name === "draining") this.#requireTerm();
    }
    const release = deferred<boolean>();
    this.#releases.set(term.epoch, release);
    driver.dispatch({
      type: "resign",
      reason: "released",
      ...(to === undefined ? {} : { successor: to }),
    });
    if (this.#o.insideHook()) return;
    if (await release.promise) return;
    throw new ClusterError(
      "STORE_UNAVAILABLE",
      `stepped down, but the lease of epoch ${term.epoch} could not be deleted; others lead within ${options.election.leaseTtlMs} ms`,
      { recoverable: true },
    );
  }

  /** Competes or only follows; resolves when a lease that was held is deleted. Inside a hook: when it is draining. */
  async setCompeting(competes: boolean): Promise<void> {
    const { driver, options } = this.#o;
    if (options.observer) {
      throw new ClusterError("INVALID_CONFIG", `node "${options.nodeId}" is an observer for good`);
    }
    driver.dispatch({ type: "compete", competes });
    const { role } = driver.state;
    if (competes || role.name !== "draining" || this.#o.insideHook()) return;
    const release = this.#releases.get(role.term.epoch) ?? deferred<boolean>();
    this.#releases.set(role.term.epoch, release);
    await release.promise;
  }

  /** The lease of a term that was given up is deleted, or left to run out. */
  released(epoch: number, deleted: boolean): void {
    this.#releases.get(epoch)?.resolve(deleted);
    this.#releases.delete(epoch);
  }

  /** Nothing will be released any more. */
  end(): void {
    for (const release of this.#releases.values()) release.resolve(false);
    this.#releases.clear();
  }

  #requireTerm(): RunningTerm {
    const { announced, role } = this.#o.driver.state;
    const term = this.#o.term();
    if (term !== null && (role.name === "leader" || role.name === "suspended")) return term;
    const leader = announced?.nodeId;
    throw new ClusterError(
      "NOT_LEADER",
      `node "${this.#o.options.nodeId}" is not the leader (${role.name}${leader === undefined ? ", nobody leads" : `, "${leader}" leads`})`,
    );
  }

  async #checkSuccessor(to: string): Promise<void> {
    const { nodeId, election } = this.#o.options;
    const refuse = (why: string): never => {
      throw new ClusterError("HANDOVER_REFUSED", `cannot hand over to node "${to}": ${why}`, {
        recoverable: true,
      });
    };
    if (to === nodeId) refuse("it leads already");
    const status = await this.#o.attachment.statusOf(to, election.requestTimeoutMs);
    if (status === null)
      refuse(`it did not answer within ${election.requestTimeoutMs} ms; is it running in this cluster?`);
    // A go-cluster node does not say whether it competes; every one of them does.
    else if (status.competes === false) refuse("it does not compete: it has left, or is an observer");
    else if (!status.connected) refuse("it is not connected");
  }
}
