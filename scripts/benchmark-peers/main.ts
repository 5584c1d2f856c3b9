/**
 * Compares nats-leader with other systems, in one run and by the same method, each member in a process of its own.
 *
 *   npm run --silent bench:peers -- --rounds 10 --json
 *   npm run --silent bench:peers -- --what group --json
 *
 * **Elections** (`--what election`, default) of etcd, PostgreSQL, Redis and nats-leader: a leader and a standby; the leader gets SIGKILL
 * (`kill`) or SIGTERM (`term`); a sample is the time from just before the signal until the standby leads. The servers come from the
 * system's packages.
 *
 * **Groups** (`--what group`) of Kafka and nats-leader: members share the partitions of a topic, each of which gets a message every 5 ms;
 * one member gets SIGKILL (`kill`) or SIGTERM (`leave`); a sample is the time from just before the signal until every partition of that
 * member is consumed by another one. Kafka is one broker in a JVM, with the client kafkajs (classic protocol; sessions of 30 and of 6 s) and the
 * Java client (the protocol of Kafka 4; sessions of 45 and of 6 s). Maven downloads it.
 *
 * `--install` installs what is missing: packages with apt-get (as root; a package may start a service of its own, which is not used),
 * Kafka with Maven into the cache (~/.cache/nats-leader). Servers started here use private folders and free ports on loopback, and stop
 * with this program.
 *
 * `--json` prints an array with one entry per system and mode, times in milliseconds: `{system, mode, p50, max, samplesMs, version,
 * client}`; elections also have `ttlMs`, groups `{members, partitions, sessionTimeoutMs, firstMs, othersPausedMs, messageEveryMs}`:
 * `firstMs` until the first of the partitions is consumed again, `othersPausedMs` for how long a partition of another member was not
 * consumed. For a system that cannot run: `{system, missing}`. `version` is the server's, `client` names the client library and how it is
 * used.
 */
import { spawnSync } from "node:child_process";
import { loadavg } from "node:os";
import { Command, InvalidArgumentError, Option } from "commander";
import { messageOf } from "../../src/errors.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { PEERS } from "./all.ts";
import { compare, MODES, type Result } from "./compare.ts";
import { GROUP_PEERS } from "./groups/all-groups.ts";
import { compareGroups, GROUP_MODES, type GroupResult } from "./groups/compare-groups.ts";

endWhenOutputFails();

interface Missing {
  readonly system: string;
  readonly missing: string;
}

interface Options {
  readonly what: "election" | "group";
  readonly rounds?: number;
  readonly ttl: number;
  readonly members: number;
  readonly partitions: number;
  readonly systems?: string[];
  readonly mode?: string;
  readonly install: boolean;
  readonly json: boolean;
}

/** A system, whatever is compared. */
interface Compared {
  readonly system: string;
  readonly packages: readonly string[];
  missing(): string | undefined;
  obtain?(say: (line: string) => void, signal: AbortSignal): Promise<void>;
}

const ELECTION_ROUNDS = 10;
/** A round of Kafka takes its session timeout, and then the group settles. */
const GROUP_ROUNDS = 3;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const program = new Command("bench:peers")
  .description("Compare nats-leader with other systems: elections, or groups.")
  .addOption(
    new Option("--what <subject>", "what to compare").choices(["election", "group"]).default("election"),
  )
  .option("--rounds <number>", "rounds for each system and mode (default: 10, group: 3)", wholeNumber)
  .option("--ttl <ms>", "election: lease TTL in milliseconds, for systems that have one", wholeNumber, 10_000)
  .option("--members <number>", "group: members", wholeNumber, 3)
  .option("--partitions <number>", "group: partitions of the topic", wholeNumber, 12)
  .option(
    "--systems <names...>",
    `measure only these systems; election: ${namesOf(PEERS)}; group: ${namesOf(GROUP_PEERS)}`,
  )
  .option(
    "--mode <mode>",
    `measure only this mode; election: ${MODES.join(", ")}; group: ${GROUP_MODES.join(", ")}`,
  )
  .option("--install", "install missing servers", false)
  .option("--json", "print JSON on stdout; progress goes to stderr", false)
  .action(run);

await program.parseAsync();

async function run(options: Options): Promise<void> {
  const { what, rounds, ttl, members, partitions } = options;
  if (what === "group" && members < 2) program.error("error: --members must be 2 or more");
  if (what === "group" && partitions < members)
    program.error("error: --partitions must not be less than --members");
  const abort = new AbortController();
  const onSignal = (): void => abort.abort(new Error("interrupted"));
  process.once("SIGINT", onSignal);
  process.once("SIGTERM", onSignal);
  const common = { signal: abort.signal, onProgress: say };
  const one =
    what === "election"
      ? each(PEERS, MODES, options, abort.signal, (peer, modes) =>
          compare(peer, { rounds: rounds ?? ELECTION_ROUNDS, ttlMs: ttl, modes, ...common }),
        )
      : each(GROUP_PEERS, GROUP_MODES, options, abort.signal, (peer, modes) =>
          compareGroups(peer, { rounds: rounds ?? GROUP_ROUNDS, members, partitions, modes, ...common }),
        );
  try {
    const results: readonly (Result | GroupResult | Missing)[] = await one;
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

/** Measures one system after the other. */
async function each<P extends Compared, M extends string, R>(
  peers: readonly P[],
  modes: readonly M[],
  options: Options,
  signal: AbortSignal,
  measure: (peer: P, modes: readonly M[]) => Promise<readonly R[]>,
): Promise<(R | Missing)[]> {
  const named = options.systems ?? peers.map(({ system }) => system);
  for (const name of named) {
    if (!peers.some(({ system }) => system === name))
      program.error(`error: --systems: ${name} is none of ${namesOf(peers)}`);
  }
  const chosen = options.mode === undefined ? modes : modes.filter((mode) => mode === options.mode);
  if (chosen.length === 0)
    program.error(`error: --mode must be one of ${modes.join(", ")}, not ${options.mode}`);
  const results: (R | Missing)[] = [];
  for (const peer of peers.filter(({ system }) => named.includes(system))) {
    if (options.install && peer.missing() !== undefined) await install(peer, signal);
    const missing = peer.missing();
    if (missing === undefined) {
      results.push(...(await measure(peer, chosen)));
      continue;
    }
    say(`${peer.system}: ${missing}`);
    results.push({ system: peer.system, missing });
  }
  return results;
}

async function install(peer: Compared, signal: AbortSignal): Promise<void> {
  await peer.obtain?.(say, signal).catch((error: unknown) => say(`${peer.system}: ${messageOf(error)}`));
  if (peer.missing() === undefined || peer.packages.length === 0) return;
  say(`${peer.system}: apt-get install ${peer.packages.join(" ")}`);
  spawnSync("apt-get", ["install", "-y", "--no-install-recommends", ...peer.packages], {
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", 2, 2],
  });
  await peer.obtain?.(say, signal);
}

function namesOf(peers: readonly Compared[]): string {
  return peers.map(({ system }) => system).join(", ");
}

function table(results: readonly (Result | GroupResult | Missing)[]): string {
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
  throw new InvalidArgumentError("Must be a whole number, 1 or more.");
}
