/** Checks with a result. A check that waits for something asks again until it holds or the time is up. */
import { setTimeout as pause } from "node:timers/promises";
import { messageOf } from "../../src/errors.ts";

/** Long: on a busy machine a process may get no CPU for seconds, and only a check that fails takes this long. */
const PATIENCE_MS = 45_000;
const PAUSE_MS = 100;

export interface CheckResult {
  readonly scene: string;
  readonly check: string;
  readonly ok: boolean;
  /** Of a check that failed: the error, or what was observed. */
  readonly detail?: string;
}

export class Checks {
  readonly results: CheckResult[] = [];
  readonly #say: (line: string) => void;
  #scene = "";

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  scene(name: string): void {
    this.#scene = name;
    this.#say(`\n${name}`);
  }

  /** @param probe Returns true, or what it has observed instead. Never throws out of here. */
  async until(check: string, probe: () => Promise<true | unknown> | true | unknown): Promise<boolean> {
    const giveUpAt = performance.now() + PATIENCE_MS;
    let observed: unknown;
    for (;;) {
      observed = await this.#ask(probe);
      if (observed === true || performance.now() > giveUpAt) return this.#note(check, observed);
      await pause(PAUSE_MS);
    }
  }

  /** What holds now, or does not. */
  async that(check: string, probe: () => Promise<true | unknown> | true | unknown): Promise<boolean> {
    return this.#note(check, await this.#ask(probe));
  }

  async #ask(probe: () => Promise<unknown> | unknown): Promise<unknown> {
    try {
      return await probe();
    } catch (thrown) {
      return messageOf(thrown);
    }
  }

  #note(check: string, observed: unknown): boolean {
    const ok = observed === true;
    const detail = ok ? undefined : (JSON.stringify(observed) ?? "nothing").slice(0, 2_000);
    this.results.push({ scene: this.#scene, check, ok, ...(detail === undefined ? {} : { detail }) });
    this.#say(ok ? `✓ ${check}` : `✗ ${check}: ${detail}`);
    return ok;
  }
}
