/**
 * Injects faults into real members of a group on real servers. Each member records what it held, and appends to a ledger of each
 * resource behind a fence. No two may hold a resource at once, and no entry may be lost, stale or stored twice.
 *
 *   npm run --silent chaos:group -- --faults 100 --seed 1 --json
 *
 * The seed decides which faults come in which world and with which numbers, but not the timing on the machine. Exit code 1: a guarantee did
 * not hold; 2: invalid arguments. docs/chaos.md explains the report.
 */
import { Command } from "commander";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { findNatsServer } from "../../src/testing.ts";
import { runWorlds } from "../chaos/harness/run-worlds.ts";
import { findFaketime } from "../chaos/machine/fake-clock.ts";
import { wholeNumberParser } from "../shared/whole-number.ts";
import { FAULT_NAMES, type FaultName, kindOf } from "./faults/faults.ts";
import { reportText, summarize } from "./report.ts";
import { changesClocks, makeSchedule, profiles } from "./schedule.ts";
import { runWorld, type WorldProfile } from "./world.ts";

endWhenOutputFails();

interface Flags {
  readonly faults: number;
  readonly seed: number;
  readonly worlds: number;
  readonly servers?: string;
  readonly lease: number;
  readonly only: readonly FaultName[];
  readonly keep?: string;
  readonly list: boolean;
  readonly json: boolean;
}

const program = new Command("chaos:group");
const flags = program
  .description("Injects faults into real members of a group on real servers.")
  .option("--faults <n>", "number of faults over all worlds", wholeNumberParser(), 100)
  .option(
    "--seed <n>",
    "decides which faults come, in which world, and with which numbers",
    wholeNumberParser(0),
    1,
  )
  .option("--worlds <n>", "number of parallel groups, each with its own servers", wholeNumberParser(), 3)
  .option("--servers <1|3>", "only worlds with one server, or only clusters of three")
  .option("--lease <ms>", "leaseTtlMs of the members", wholeNumberParser(1_000), 2_000)
  .option("--only <names>", "only these faults, separated by commas; --list prints the names", namesOf, [])
  .option("--keep <folder>", "keep the recordings of all processes in this folder")
  .option("--list", "print every fault", false)
  .option("--json", "print only the report, as JSON", false)
  .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
  .parse()
  .opts<Flags>();

if (flags.list) {
  for (const name of FAULT_NAMES) console.log(`${name.padEnd(26)}${kindOf(name).what}`);
} else process.exitCode = (await run()) ? 0 : 1;

function namesOf(text: string): FaultName[] {
  return text.split(",").map((name) => {
    const found = FAULT_NAMES.find((one) => one === name.trim());
    return found ?? program.error(`--only: unknown fault "${name.trim()}"; --list prints the names`);
  });
}

async function run(): Promise<boolean> {
  const { faults, seed, only, lease: leaseMs, keep = null } = flags;
  if (flags.servers !== undefined && flags.servers !== "1" && flags.servers !== "3")
    program.error(`--servers must be 1 or 3, not ${flags.servers}`);
  // Before the worlds start, so that only one of them downloads the server.
  await findNatsServer({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  const faketime = changesClocks(only) ? findFaketime() : null;
  const servers = flags.servers === undefined ? null : flags.servers === "1" ? 1 : 3;
  const worlds = profiles(Math.min(flags.worlds, faults), { servers, clocks: faketime !== null });
  const schedule = makeSchedule({ seed, faults, worlds, only });
  const { reports, broken, seconds, end } = await runWorlds(
    { worlds: worlds.map((_, index) => index + 1), faults, keep },
    (place) => {
      const profile = worlds[place.number - 1] as WorldProfile;
      return runWorld({
        ...place,
        profile,
        faults: schedule[place.number - 1] ?? [],
        seed,
        leaseMs,
        faketime: profile.clocks ? faketime : null,
      });
    },
  );
  const report = summarize(reports, { seed, leaseMs, seconds, clocks: faketime !== null, broken });
  console.log(flags.json ? JSON.stringify(report) : reportText(report));
  const isSound = report.problems.length === 0;
  end(isSound);
  return isSound;
}
