/** A hash of everything that happened in a group. The same seed gives the same hash on every machine. */
import type { GroupEffect, GroupEvent } from "../../src/group/core/events.ts";

export class GroupTraceHash {
  #hash = 0x811c9dc5;
  readonly #ofNames = new Map<string, number>();

  /** 32 bits. */
  get value(): number {
    return this.#hash >>> 0;
  }

  step(
    at: number,
    incarnation: string,
    event: GroupEvent,
    effects: readonly GroupEffect[],
    lastSequence: number,
  ): void {
    this.#mix(Math.round(at * 1_000));
    this.#mix(this.#ofName(incarnation));
    this.#mix(this.#ofName(event.type));
    this.#mix(lastSequence);
    for (const effect of effects) {
      this.#mix(this.#ofName(effect.type));
      if ("resource" in effect) this.#mix(this.#ofName(effect.resource));
    }
  }

  #ofName(name: string): number {
    let hash = this.#ofNames.get(name);
    if (hash === undefined) {
      hash = 0;
      for (let index = 0; index < name.length; index += 1)
        hash = Math.imul(hash ^ name.charCodeAt(index), 0x01000193);
      this.#ofNames.set(name, hash);
    }
    return hash;
  }

  #mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ (value | 0), 0x01000193);
    this.#hash ^= this.#hash >>> 15;
  }
}
