/** Things that only the leader's host may have, such as a virtual IP, kept in step with the term. */
import { asError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import type { Term } from "../term.ts";

/** Whether there is anything to do is for the resource to say. */
const REFRESH_EVERY_MS = 250;

/**
 * Something that is held exactly while a term is. Calls never overlap.
 *
 * `acquire` before `onBecomeLeader`; when it rejects, the node steps down. `refresh` several times per second while the
 * term is held: what `term.remainingMs` says is how long the resource may last if nobody refreshes it again. `release` as
 * soon as the term ends or is being given up: in a graceful handover before the lease is deleted, and before
 * `onLoseLeadership`. It must only take away what `acquire` brought, and must be safe to call twice.
 */
export interface TermResource {
  acquire(term: Term): Promise<void>;
  refresh(term: Term): Promise<void>;
  release(): Promise<void>;
  /** Is it here right now? */
  readonly held: boolean;
}

/** One resource through all terms of a daemon. */
export class ResourceKeeper {
  readonly #resource: TermResource;
  readonly #logger: Logger;
  #tail: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | null = null;
  #refreshing = false;

  constructor(resource: TermResource, logger: Logger) {
    this.#resource = resource;
    this.#logger = logger;
  }

  get held(): boolean {
    return this.#resource.held;
  }

  /** Resolves when the resource is here. It goes by itself when the term ends. */
  begin(term: Term): Promise<void> {
    const acquired = this.#next(async () => {
      if (term.signal.aborted) return;
      await this.#resource.acquire(term);
    });
    const end = (): void => void this.end();
    if (term.signal.aborted) end();
    else {
      term.signal.addEventListener("abort", end, { once: true });
      this.#timer = setInterval(() => this.#refresh(term), REFRESH_EVERY_MS);
      this.#timer.unref();
    }
    return acquired;
  }

  /** Resolves when the resource is gone. Never rejects. */
  end(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    return this.#next(() => this.#resource.release()).catch((error: unknown) => {
      this.#logger.error({ event: "resource", err: asError(error) }, "could not be released");
    });
  }

  #refresh(term: Term): void {
    if (this.#refreshing || term.signal.aborted || !term.held) return;
    this.#refreshing = true;
    void this.#next(async () => {
      if (!term.signal.aborted) await this.#resource.refresh(term);
    })
      .catch((error: unknown) => {
        this.#logger.error({ event: "resource", err: asError(error) }, "could not be refreshed");
      })
      .finally(() => {
        this.#refreshing = false;
      });
  }

  #next(run: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(run);
    this.#tail = done.catch(() => {});
    return done;
  }
}
