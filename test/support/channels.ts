/** Collects what is published on the channels of this process while a test runs. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { ChannelEvents, ChannelName } from "../../src/channels/events.ts";
import { atEnd } from "./at-end.ts";
import { PATIENCE_MS } from "./patience.ts";
import { Recorder } from "./recorder.ts";

export class ChannelRecorder<N extends ChannelName> {
  readonly events: Recorder<ChannelEvents[N]> = new Recorder();
  readonly #of: string;

  /** @param of - Only what this cluster or group emits, or is written in one of its terms. */
  constructor(name: N, of: string) {
    this.#of = of;
    const listener = (message: unknown): void => {
      const event = message as ChannelEvents[N];
      if (this.#isOurs(event)) this.events.push(event);
    };
    subscribe(name, listener);
    atEnd(async () => void unsubscribe(name, listener));
  }

  #isOurs(event: ChannelEvents[N]): boolean {
    if ("term" in event) return event.term.clusterId === this.#of;
    const { source } = event;
    return (source.kind === "node" ? source.clusterId : source.groupId) === this.#of;
  }

  get items(): readonly ChannelEvents[N][] {
    return this.events.items;
  }

  /** The next event that matches, after the one with which the previous call has resolved. */
  next(matches: (event: ChannelEvents[N]) => boolean = () => true): Promise<ChannelEvents[N]> {
    return this.events.next((event): event is ChannelEvents[N] => matches(event), PATIENCE_MS);
  }
}

/** Listens until the test ends. */
export function hear<N extends ChannelName>(name: N, of: string): ChannelRecorder<N> {
  return new ChannelRecorder(name, of);
}
