/**
 * Compares the failover of nats-leader with etcd, PostgreSQL and Redis, in one run and by the same method: a leader and a
 * standby, each in its own process; the leader gets SIGKILL (`kill`) or SIGTERM (`term`); a sample is the time from just
 * before the signal until the standby leads.
 *
 *   npm run --silent bench:peers -- --rounds 10 --json
 *
 * etcd, PostgreSQL and Redis come from the system's packages. `--install` installs missing ones with apt-get (as root);
 * a package may start a service of its own, which is not used. Servers started here use private folders and free ports on
 * loopback, and stop with this program.
 *
 * `--json` prints an array with one entry per system and mode, times in milliseconds: `{system, mode, ttlMs, p50, max,
 * samplesMs, version, client}`; for a system without a server program: `{system, missing}`. `version` is the server's,
 * `client` names the client library and how it is used.
 */
import { spawnSync } from "node:child_process";
import { loadavg } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { PEERS } from "./all.ts";
import { compare, MODES, type Mode, type Result } from "./compare.ts";
import type { Peer } from "./peer.ts";

endWhenOutputFails();

interface Missing {
  readonly system: string;
  readonly missing: string;
}

interface Options {
  readonly rounds: number;
  readonly ttl: number;
  readonly systems: string[];
  readonly mode?: Mode;
  readonly install: boolean;
  readonly json: boolean;
}

const program = new Command("bench:peers")
  .description("Compare failover of nats-leader with etcd, PostgreSQL and Redis.")
  .option("--rounds <number>", "rounds for each system and mode", wholeNumber, 10)
  .option("--ttl <ms>", "lease TTL in milliseconds, for systems that have one", wholeNumber, 10_000)
  .addOption(
    new Option("--systems <names...>", "measure only these systems")
      .choices(PEERS.map(({ system }) => system))
      .default(PEERS.map(({ system }) => system)),
  )
  .addOption(new Option("--mode <mode>", "measure only this mode").choices(MODES))
  .option("--install", "install missing servers with apt-get", false)
  .option("--json", "print JSON on stdout; progress goes to stderr", false)
  .action(run);

await program.parseAsync();

async function run(options: Options): Promise<void> {
  const abort = new AbortController();
  const onSignal = (): void => abort.abort(new Error("interrupted"));
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const results: (Result | Missing)[] = [];
  try {
    for (const peer of PEERS.filter(({ system }) => options.systems.includes(system))) {
      if (options.install && peer.missing() !== undefined) install(peer, say);
      const missing = peer.missing();
      if (missing !== undefined) {
        say(`${peer.system}: ${missing}`);
        results.push({ system: peer.system, missing });
        continue;
      }
      const modes = options.mode === undefined ? MODES : [options.mode];
      const { rounds, ttl } = options;
      results.push(
        ...(await compare(peer, { rounds, ttlMs: ttl, modes, signal: abort.signal, onProgress: say })),
      );
    }
    say(`\n${table(results)}\n\nload average ${loadavg()[0]?.toFixed(2)}`);
    if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
  } catch (error) {
    process.exitCode = abort.signal.aborted ? 130 : 1;
    say(abort.signal.aborted ? "interrupted" : String(error instanceof Error ? error.stack : error));
  } finally {
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
}

function install(peer: Peer, say: (line: string) => void): void {
  say(`${peer.system}: apt-get install ${peer.packages.join(" ")}`);
  spawnSync("apt-get", ["install", "-y", "--no-install-recommends", ...peer.packages], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", 2, 2],
  });
}

function table(results: readonly (Result | Missing)[]): string {
  const rows = results.map((result) =>
    "missing" in result
      ? [result.system, "", "", "", result.missing]
      : [
          `${result.system} ${result.version}`,
          result.mode,
          result.p50.toFixed(1),
          result.max.toFixed(1),
          result.client,
        ],
  );
  const all = [["system", "mode", "p50 ms", "max ms", "client"], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all
    .map((row) =>
      row
        .map((cell, column) => {
          const width = widths[column] ?? 0;
          return column === 2 || column === 3 ? cell.padStart(width) : cell.padEnd(width);
        })
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new InvalidArgumentError("must be a whole number, 1 or more");
}
