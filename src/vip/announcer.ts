/** Tells the neighbours where the address is, several times: a broadcast is not acknowledged. */
import { setTimeout as pause } from "node:timers/promises";
import { messageOf } from "../errors.ts";
import type { EventLogger } from "../log/events.ts";
import type { AskableLink } from "./ip-command.ts";
import type { Neighbours } from "./neighbours.ts";

export class Announcer {
  readonly #neighbours: Neighbours;
  readonly #atMs: readonly number[];
  readonly #logger: EventLogger;
  #round: AbortController | null = null;

  constructor(neighbours: Neighbours, atMs: readonly number[], logger: EventLogger) {
    this.#neighbours = neighbours;
    this.#atMs = atMs;
    this.#logger = logger;
  }

  /** Begins anew. Resolves when the first announcement is out. */
  async announce(link: AskableLink): Promise<void> {
    this.stop();
    const round = new AbortController();
    this.#round = round;
    const [first, ...later] = this.#atMs;
    if (first === undefined) return;
    for (const atMs of later) void this.#tellAt(link, atMs, round);
    await this.#tellAt(link, first, round);
  }

  /** Nothing is sent any more when this returns, apart from what is on the wire. */
  stop(): void {
    this.#round?.abort();
    this.#round = null;
  }

  async #tellAt(link: AskableLink, atMs: number, round: AbortController): Promise<void> {
    try {
      if (atMs > 0) await pause(atMs, undefined, { signal: round.signal, ref: false });
      round.signal.throwIfAborted();
      await this.#neighbours.tell(link);
    } catch (error) {
      if (round.signal.aborted) return;
      round.abort();
      const why = messageOf(error);
      this.#logger.warn(
        { event: "vip-unannounced", why },
        `can't announce the virtual IP (${why}); neighbours find it when their caches run out`,
      );
    }
  }
}
