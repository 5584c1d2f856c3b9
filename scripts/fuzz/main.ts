/**
 * Feeds random input to everything that handles input of others: records, answers, messages, files, output. For each input: no
 * throw, no raw control character in what is shown, no more than linear cost.
 *
 *   npm run --silent fuzz -- [--runs 100000] [--seed 1] [--only TEXTS] [--json]
 *
 * `--runs` inputs per target, and for every 2 000 of them one repeated piece whose cost is measured at 1, 16 and 256 KiB. `--only`:
 * targets whose name contains one of these texts, separated by semicolons. `--json` prints one line: `{runs, seed, targets: {NAME:
 * INPUTS}, pieces, violations: [{target, what, seed, input}], seconds}`. Exits with 1 if `violations` is not empty.
 */

import { readArguments } from "../shared/arguments.ts";
import { progressBar } from "../shared/progress-bar.ts";
import { wholeNumber } from "../shared/whole-number.ts";
import { findTargets } from "./find-targets.ts";
import { checkGrowth, checkInputs, type FuzzFailure, piecesOf } from "./properties.ts";

/** Inputs per property, so that progress is seen and a failure is found with a seed of its own. */
const BATCH = 10_000;
const INPUTS_PER_PIECE = 2_000;

const values = readArguments(
  ["npm run fuzz --", "Feeds random input to everything that handles input of others."],
  {
    runs: { type: "string", default: "100000", value: "n", help: "inputs per target" },
    seed: { type: "string", default: "1", value: "n", help: "seed of the first input" },
    only: {
      type: "string",
      default: "",
      value: "texts",
      help: "targets whose name contains one of these texts, separated by semicolons",
    },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const runs = wholeNumber("runs", values.runs);
const seed = wholeNumber("seed", values.seed, 0);
const wanted = values.only.split(";").map((text) => text.trim());
const targets = (await findTargets()).filter(({ name }) => wanted.some((text) => name.includes(text)));
if (targets.length === 0) throw new Error(`--only ${values.only}: no target has such a name`);

const began = performance.now();
const bar = progressBar(targets.length * runs);
const violations: FuzzFailure[] = [];
const done: Record<string, number> = {};
let pieces = 0;
for (const target of targets) {
  const failures: FuzzFailure[] = [];
  let inputs = 0;
  while (inputs < runs && failures.length === 0) {
    const count = Math.min(BATCH, runs - inputs);
    const found = checkInputs(target, count, seed + inputs);
    if (found !== null) failures.push(found);
    inputs += count;
    bar.advance(count, violations.length + failures.length);
  }
  for (const piece of piecesOf(target, Math.ceil(runs / INPUTS_PER_PIECE), seed)) {
    const found = checkGrowth(target, piece, seed);
    pieces += 1;
    if (found === null) continue;
    failures.push(found);
    break;
  }
  done[target.name] = inputs;
  violations.push(...failures);
}
bar.end();
const seconds = Math.round((performance.now() - began) / 100) / 10;

if (values.json) console.log(JSON.stringify({ runs, seed, targets: done, pieces, violations, seconds }));
else {
  for (const [name, inputs] of Object.entries(done)) console.log(`${String(inputs).padStart(9)}  ${name}`);
  console.log(`${violations.length} violations; ${pieces} repeated pieces; ${seconds} s`);
  for (const { target, what, seed: from, input } of violations)
    console.log(`${target}: ${what}\n  seed ${from}, input ${input}`);
}
process.exitCode = violations.length === 0 ? 0 : 1;
