/**
 * Real processes, real faults: leaders are frozen, cut off, given wrong clocks, and lose their server, and write as
 * carelessly as they can. A register behind a fence must never take a write of a deposed leader; an unfenced shadow of
 * it must, or this shows nothing.
 *
 *   node --import tsx scripts/chaos-fencing.ts [--faults 200] [--seed 1] [--worlds 3] [--replicas 1] [--json]
 *
 * The seed decides which faults come, and when; what the machine makes of them it does not. Exit code 1 when the
 * register took a stale write, or its shadow none.
 */
import { parseArgs } from "node:util";
import { findFaketime } from "./chaos-fencing/clock.ts";
import { deck, FAULTS, type FaultName, possibleFaults } from "./chaos-fencing/faults.ts";
import { Random } from "./chaos-fencing/random.ts";
import type { Violation } from "./chaos-fencing/register.ts";
import { runWorld, type WorldReport } from "./chaos-fencing/world.ts";

const { values } = parseArgs({
  options: {
    faults: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    worlds: { type: "string", default: "3" },
    replicas: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  },
});
const [wanted, seed, worlds, replicas] = [
  number("faults"),
  number("seed"),
  number("worlds"),
  number("replicas"),
];
const faketime = findFaketime();
const began = performance.now();
const faults = deck(possibleFaults(faketime !== null), new Random(seed));
let claimed = 0;

const reports = await Promise.all(
  Array.from({ length: Math.min(worlds, wanted) }, (_, i) =>
    runWorld({
      random: new Random(seed * 1000 + i),
      faketime,
      replicas,
      claim: () => {
        if (claimed === wanted) return null;
        claimed += 1;
        if (!values.json) process.stderr.write(`fault ${claimed} of ${wanted}\r`);
        return faults.next().value;
      },
    }),
  ),
);

const report = summary(reports);
if (values.json) console.log(JSON.stringify(report));
else console.log(text(report));
process.exitCode = report.staleWritesAccepted === 0 && report.unfencedShadowViolations > 0 ? 0 : 1;

function summary(all: readonly WorldReport[]) {
  const total = (pick: (it: WorldReport) => number): number => all.reduce((sum, it) => sum + pick(it), 0);
  const outcome = (name: string): number => total((it) => it.outcomes[name] ?? 0);
  const byFault = Object.fromEntries(
    FAULTS.map((name) => [name, { faults: 0, shadowViolations: 0 }]),
  ) as Record<FaultName, { faults: number; shadowViolations: number }>;
  for (const it of all) {
    for (const { name } of it.faults) byFault[name].faults += 1;
    for (const violation of it.contents.shadowStale) {
      const cause = causeOf(violation, it);
      if (cause !== null) byFault[cause].shadowViolations += 1;
    }
  }
  return {
    seed,
    faults: total((it) => it.faults.length),
    staleWritesAccepted: total((it) => it.contents.stale.length),
    unfencedShadowViolations: total((it) => it.contents.shadowStale.length),
    fencedWrites: total((it) => it.contents.fenced),
    shadowWrites: total((it) => it.contents.shadow),
    refusedStale: outcome("STALE_EPOCH"),
    unknownOutcomes: outcome("OUTCOME_UNKNOWN"),
    terms: total((it) => it.terms),
    byFault,
    staleWrites: all.flatMap((it) => it.contents.stale),
    clock: faketime === null ? "straight (libfaketime is not installed)" : "bent by libfaketime",
    server: all[0]?.server ?? "",
    replicas,
    seconds: Math.round((performance.now() - began) / 1000),
  };
}

/** The last fault before it on the same world. */
function causeOf(violation: Violation, it: WorldReport): FaultName | null {
  return it.faults.findLast(({ atMs }) => atMs <= violation.atMs)?.name ?? null;
}

function text(it: typeof report): string {
  const rows = Object.entries(it.byFault).map(
    ([name, { faults, shadowViolations }]) =>
      `  ${name.padEnd(18)}${String(faults).padStart(4)} faults ${String(shadowViolations).padStart(5)} stale writes in the shadow`,
  );
  return [
    `${it.faults} faults in ${it.seconds} s, seed ${it.seed}, nats-server ${it.server}, clocks ${it.clock}`,
    ...rows,
    `fenced register   ${it.fencedWrites} writes, ${it.staleWritesAccepted} stale; ${it.refusedStale} refused, ${it.unknownOutcomes} unknown`,
    `unfenced shadow   ${it.shadowWrites} writes, ${it.unfencedShadowViolations} stale`,
  ].join("\n");
}

function number(name: "faults" | "seed" | "worlds" | "replicas"): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value > 0) return value;
  console.error(`--${name} must be a positive integer, not ${values[name]}`);
  process.exit(2);
}
