import type { Mutant } from "./mutant.ts";

/** The driver, its timers, and adapters that break the contract of a port. */
export const runtimeMutants: readonly Mutant[] = [
  {
    name: "an event that a step causes is handled within the step",
    file: "src/runtime/driver.js",
    from: "if (this.#handling) { this.#queue.push(event); return; }",
    to: "",
    equivalent:
      "here a step causes no event at once but `drained`, which finds the state that the step has left; what applications may cause within a step is in test/runtime/driver.test.ts",
  },
  {
    name: "the deadline has no timer",
    file: "src/election/due.js",
    from: "return term === null ? NEVER : remainingMs(term.deadline, now);",
    to: "return NEVER;",
  },
  {
    name: "events are handled newest first",
    file: "src/runtime/driver.js",
    from: "next = this.#queue.length === 0 ? undefined : this.#queue.shift();",
    to: "next = this.#queue.pop();",
    equivalent: "a step causes at most one event at once (`drained`): the queue never holds two",
  },
  {
    name: "an earlier timer does not replace a later one",
    file: "src/runtime/wake-timer.js",
    from: "if (delayMs !== null && this.#cancel !== null && this.#atMono <= now.mono + delayMs) return;",
    to: "if (delayMs !== null && this.#cancel !== null) return;",
  },
  {
    name: "timers are not rounded up: they fire early",
    file: "src/testing/simulation/time/virtual-clock.js",
    from: "Math.max(1, Math.ceil(delayMs)), fire",
    to: "Math.max(0, Math.floor(delayMs)), fire",
  },
  {
    name: "adapter: a conflict is reported as applied",
    file: "src/testing/simulation/fakes/fake-bucket.js",
    from: 'return { kind: "conflict" };',
    to: 'return { kind: "applied", revision: this.#sequence };',
  },
  {
    name: "adapter: an unanswered write is sent again",
    file: "src/testing/simulation/fakes/fake-store.js",
    from: 'const done = (outcome) => resolve(outcome ?? { kind: "unknown",',
    to: 'const done = (outcome) => (outcome === null && this.#roundTrip(timeoutMs, serve, () => {}), false) || resolve(outcome ?? { kind: "unknown",',
    equivalent:
      "the second write is refused like any other whose expectation is not met any more, or it takes the place of the first",
  },
  {
    name: "adapter: an empty key is compared without the stream's sequence",
    file: "src/testing/simulation/fakes/fake-bucket.js",
    from: "return this.#entry === null && this.#sequence === expect.emptyAtSequence;",
    to: "return this.#entry === null;",
  },
  {
    name: "adapter: the end of any presence is reported",
    file: "src/testing/simulation/fakes/fake-session.js",
    from: "if (this.#watched.some(({ binding }) => binding.presence === presence))",
    to: "if (true)",
    equivalent: "the election compares the presence with that of the record it has seen",
  },
  {
    name: "adapter: a timeout is reported as applied",
    file: "src/testing/simulation/fakes/fake-store.js",
    from: 'resolve(outcome ?? { kind: "unknown", error: noAnswer("write", timeoutMs) });',
    to: 'resolve(outcome ?? { kind: "applied", revision: 1_000_000 });',
  },
  {
    name: "adapter: puts are not compared",
    file: "src/testing/simulation/fakes/fake-bucket.js",
    from: "if (!this.#exists || !this.#meets(write.expect))",
    to: 'if (!this.#exists || (write.kind !== "put" && !this.#meets(write.expect)))',
  },
  {
    name: "adapter: deletes are not compared",
    file: "src/testing/simulation/fakes/fake-bucket.js",
    from: "if (!this.#exists || !this.#meets(write.expect))",
    to: 'if (!this.#exists || (write.kind === "put" && !this.#meets(write.expect)))',
  },
  {
    name: "adapter: no answer to an inquiry is reported as closed",
    file: "src/testing/simulation/fakes/fake-session.js",
    from: 'time.after(timeoutMs, () => answered({ kind: "none" }));',
    to: 'time.after(timeoutMs, () => answered({ kind: "closed" }));',
  },
  {
    name: "adapter: a new connection keeps the id of the last one",
    file: "src/testing/simulation/fakes/fake-connections.js",
    from: "const clientId = this.#nextClientId++;",
    to: "const clientId = 1;",
  },
];
