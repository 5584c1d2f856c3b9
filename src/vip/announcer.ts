/** Announces the address to the neighbours several times, because broadcasts are not acknowledged. */
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

  /** Starts the announcements, and ends those of an earlier call. Resolves when the first one has been sent. */
  async announce(link: AskableLink): Promise<void> {
    this.stop();
    const round = new AbortController();
    this.#round = round;
    const [first, ...later] = this.#atMs;
    if (first === undefined) return;
    for (const atMs of later) void this.#announceAt(link, atMs, round);
    await this.#announceAt(link, first, round);
  }

  /** After it returns, no further announcement starts. One in progress may still be sent. */
  stop(): void {
    this.#round?.abort();
    this.#round = null;
  }

  async #announceAt(link: AskableLink, atMs: number, round: AbortController): Promise<void> {
    try {
      if (atMs > 0) await pause(atMs, undefined, { signal: round.signal, ref: false });
      round.signal.throwIfAborted();
      await this.#neighbours.announce(link);
    } catch (error) {
      if (round.signal.aborted) return;
      round.abort();
      const why = messageOf(error);
      this.#logger.warn(
        { event: "vip-unannounced", why },
        `virtual IP not announced: ${why}; neighbours find it when their cache entries expire`,
      );
    }
  }
}
