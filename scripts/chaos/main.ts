/**
 * Injects faults into real node processes on real servers: processes are killed and frozen, connections cut, messages
 * forged, servers restarted and split, buckets deleted. Each process records when it called itself leader; a checker searches
 * the recordings for two leaders at once. A fenced register must never accept a write of a deposed leader; an unfenced
 * shadow of it must, or the run proves nothing about the fence.
 *
 *   npm run --silent chaos -- --faults 200 --seed 1 --json
 *
 * The seed decides which faults come, in which world and with which numbers, but not the timing on the machine. Exit code 1:
 * a guarantee did not hold; 2: invalid arguments. docs/chaos.md explains the report.
 */
import { writeFileSync } from "node:fs";
import { leaseSpanMs } from "../../src/election/lease.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { findNatsServer } from "../../src/testing.ts";
import type { WorldProfile } from "./faults/catalogue.ts";
import { runWorlds } from "./harness/run-worlds.ts";
import { Disk } from "./machine/disk.ts";
import { findFaketime } from "./machine/fake-clock.ts";
import { Namespace } from "./machine/namespace.ts";
import { watchStalls } from "./machine/stalls.ts";
import { type ChaosOptions, listText, readOptions, USAGE } from "./options.ts";
import { timelineHtml } from "./report/html.ts";
import { isSound, summarize } from "./report/report.ts";
import { readReports, sumReports } from "./report/sum.ts";
import { reportText } from "./report/text.ts";
import { makeSchedule, profiles } from "./schedule.ts";
import { runWorld } from "./world.ts";

endWhenOutputFails();

async function run(options: ChaosOptions): Promise<boolean> {
  const { seed, faults, only, leaseMs, keep } = options;
  // Before the worlds start, so that only one of them downloads the server.
  await findNatsServer({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  const faketime = findFaketime();
  const support = { clocks: faketime !== null, disks: Disk.possible(), namespaces: Namespace.possible() };
  const worlds = profiles({ ...options, worlds: Math.min(options.worlds, faults) }, support);
  const schedule = makeSchedule({ seed, faults, worlds, only });
  const stalls = watchStalls();
  try {
    const numbers = options.world === null ? worlds.map((_, index) => index + 1) : [options.world];
    const played = await runWorlds({ worlds: numbers, faults, keep }, (place) => {
      const profile = worlds[place.number - 1] as WorldProfile;
      return runWorld({
        ...place,
        profile,
        schedule: schedule[place.number - 1] ?? [],
        leaseMs,
        faketime: profile.clocks ? faketime : null,
        stalls: stalls.seen,
      });
    });
    const facts = {
      options,
      spanMs: leaseSpanMs(leaseMs),
      seconds: played.seconds,
      broken: played.broken,
      faketime: worlds.some((it) => it.clocks),
      disks: worlds.some((it) => it.disks),
      namespaces: worlds.some((it) => it.namespaces),
    };
    const report = summarize(played.reports, facts);
    console.log(options.json ? JSON.stringify(report) : reportText(report));
    if (options.html !== null) writeFileSync(options.html, timelineHtml(report, played.reports));
    played.end(isSound(report));
    return isSound(report);
  } finally {
    stalls.stop();
  }
}

function sum({ sum: files, json }: ChaosOptions): boolean {
  const report = sumReports(readReports(files));
  console.log(json ? JSON.stringify(report) : reportText(report));
  return isSound(report);
}

if (process.argv.includes("--help")) {
  console.log(USAGE);
  process.exit(0);
}
let options: ChaosOptions;
try {
  options = readOptions(process.argv.slice(2));
} catch (error) {
  console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
  process.exit(2);
}
if (options.list) console.log(listText());
else if (options.sum.length > 0) process.exitCode = sum(options) ? 0 : 1;
else process.exitCode = (await run(options)) ? 0 : 1;
