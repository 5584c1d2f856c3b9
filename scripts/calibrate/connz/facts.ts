/** Every fact about CONNZ that the presence of a session relies on, or has to survive. */
import { messageOf } from "../../../src/errors.ts";
import type { Calibration } from "../calibrate.ts";
import { ANSWERERS } from "./answerers.ts";
import { CLOSING } from "./closing.ts";
import { COUNTING } from "./counting.ts";
import { type ConnzFact, Notes } from "./fact.ts";
import { RELOADING } from "./reloading.ts";

export const CONNZ_FACTS: readonly ConnzFact[] = [...COUNTING, ...CLOSING, ...ANSWERERS, ...RELOADING];

/** Checks each fact on servers of this version, which it starts. `scripts`: the number of facts; `steps`: of questions. */
export async function calibrateConnz(
  version: string,
  facts: readonly ConnzFact[] = CONNZ_FACTS,
  onFact?: () => void,
): Promise<Calibration> {
  const outcomes: Record<string, number> = {};
  const mismatches: string[] = [];
  let steps = 0;
  for (const fact of facts) {
    const notes = new Notes();
    await fact.check(version, notes).catch((thrown: unknown) => {
      notes.violations.push(`did not run to its end: ${messageOf(thrown)}`);
    });
    steps += notes.questions;
    for (const [outcome, times] of Object.entries(notes.outcomes))
      outcomes[outcome] = (outcomes[outcome] ?? 0) + times;
    const missing = fact.must(version).filter((outcome) => !(outcome in notes.outcomes));
    const wrong = [...notes.violations, ...missing.map((outcome) => `not seen: ${outcome}`)];
    for (const text of wrong) mismatches.push(`nats-server ${version}, ${fact.name}: ${text}`);
    onFact?.();
  }
  return { scripts: facts.length, steps, tooSlow: 0, deviations: {}, outcomes, mismatches };
}
