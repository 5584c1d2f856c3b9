import { publish } from "./channels.ts";
import type { ChannelEvents, Emitted, TermTrace } from "./events.ts";
import type { Source } from "./source.ts";

type EmittedName = {
  [N in keyof ChannelEvents]: ChannelEvents[N] extends Emitted ? Exclude<N, `tracing:${string}`> : never;
}[keyof ChannelEvents];

/** Publishes in the name of one run of a node or member. Without a source it is a rehearsal, and publishes nothing. */
export class Emitter<S extends Source = Source> {
  readonly #source: S | null;
  readonly #incarnation: string;

  constructor(source: S | null, incarnation: string) {
    this.#source = source;
    this.#incarnation = incarnation;
  }

  /** @param payload - Called if anything listens. */
  publish<N extends EmittedName>(name: N, payload: () => Omit<ChannelEvents[N], keyof Emitted>): void {
    const source = this.#source;
    if (source === null) return;
    publish(name, () => ({ source, incarnation: this.#incarnation, ...payload() }) as ChannelEvents[N]);
  }

  /** A term that begins; `null` for a rehearsal. */
  termBegins(term: Omit<TermTrace, keyof Emitted>): TermTrace | null {
    if (this.#source === null) return null;
    const trace = { source: this.#source, incarnation: this.#incarnation, ...term };
    publish("tracing:nats-leader:term:start", () => trace);
    return trace;
  }

  termEnds(trace: TermTrace | null, end: Pick<TermTrace, "reason" | "durationMs">): void {
    if (trace !== null) publish("tracing:nats-leader:term:end", () => Object.assign(trace, end));
  }
}
