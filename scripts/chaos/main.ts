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
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { leaseSpanMs } from "../../src/election/lease.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { findNatsServer } from "../../src/testing.ts";
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
import { runWorld, type WorldReport } from "./world.ts";

endWhenOutputFails();

async function run(options: ChaosOptions): Promise<boolean> {
  const { seed, faults, only, leaseMs, keep } = options;
  // Before the worlds start, so that only one of them downloads the server.
  await findNatsServer({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  const faketime = findFaketime();
  const support = { clocks: faketime !== null, disks: Disk.possible(), namespaces: Namespace.possible() };
  const worlds = profiles({ ...options, worlds: Math.min(options.worlds, faults) }, support);
  const schedule = makeSchedule({ seed, faults, worlds, only });
  const folder = keep ?? mkdtempSync(join(tmpdir(), "nats-leader-chaos-"));
  mkdirSync(folder, { recursive: true });
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const stalls = watchStalls();
  const began = performance.now();
  let done = 0;
  try {
    const settled = await Promise.allSettled(
      worlds.map((profile, index) =>
        runWorld({
          profile,
          number: index + 1,
          schedule: schedule[index] ?? [],
          leaseMs,
          faketime: profile.clocks ? faketime : null,
          folder: join(folder, String(index + 1)),
          stalls: stalls.seen,
          signal: stop.signal,
          onFault: ({ number, name, fromMs, settledMs }) => {
            done += 1;
            const took = ((settledMs - fromMs) / 1000).toFixed(1);
            process.stderr.write(`${done}/${faults}  world ${index + 1}  ${number} ${name}  ${took} s\n`);
          },
        }),
      ),
    );
    const reports = settled.flatMap((it): WorldReport[] => (it.status === "fulfilled" ? [it.value] : []));
    const broken = settled.flatMap((it, index) =>
      it.status === "rejected" ? [`world ${index + 1} did not start: ${it.reason}`] : [],
    );
    const seconds = Math.round((performance.now() - began) / 1000);
    const facts = {
      options,
      spanMs: leaseSpanMs(leaseMs),
      seconds,
      broken,
      faketime: worlds.some((it) => it.clocks),
      disks: worlds.some((it) => it.disks),
      namespaces: worlds.some((it) => it.namespaces),
    };
    const report = summarize(reports, facts);
    console.log(options.json ? JSON.stringify(report) : reportText(report));
    if (options.html !== null) writeFileSync(options.html, timelineHtml(report, reports));
    return isSound(report);
  } finally {
    stalls.stop();
    if (keep === null) rmSync(folder, { recursive: true, force: true });
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
