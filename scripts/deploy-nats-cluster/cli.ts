/** The command line of deploy-nats-cluster, as a function that takes its output and resolves with the exit code. */
import { resolve } from "node:path";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { messageOf } from "../../src/errors.ts";
import { composeYaml } from "./compose-backend.ts";
import { makeSecrets, prepare, Running, type Say, statusOf, withExpected } from "./deployment.ts";
import { DeployError, isFault } from "./errors.ts";
import { endingInOrder, Interrupted } from "./interrupt.ts";
import { forgetJournal, readJournal, refuseUnfinished, unfinished } from "./migrate/journal.ts";
import { migrate } from "./migrate/migrate.ts";
import { rollBack } from "./migrate/undo.ts";
import { addOperations, scaleInOrder, testFailover } from "./operations.ts";
import { DEFAULT_PORT_BASE, type Size, type Topology } from "./plan.ts";
import { type Asked, completePlan, nameOf } from "./remembered.ts";
import { afterMigration, statusLines, urlLines, urlsForPrograms } from "./report.ts";
import { restartInOrder, rotate } from "./restart.ts";
import { USERS, type User } from "./secrets.ts";
import { type BackendName, DEFAULT_STATE_DIR, StateDir } from "./state.ts";
import { type Common, serverCount, type Verbs, wholeNumber } from "./verbs.ts";

/** Receives the lines for stdout and stderr. */
export interface Output {
  readonly out: Say;
  readonly err: Say;
}

interface Up extends Common {
  readonly backend?: BackendName;
  readonly portBase?: number;
  readonly secure?: true;
  readonly jwt?: true;
  readonly supercluster?: true;
  readonly twoRegions?: true;
  readonly single?: true;
  readonly size?: Size;
  readonly failoverTest?: number | true;
}

interface Migrate extends Up {
  readonly from?: string;
  readonly user?: string;
  readonly creds?: string;
  readonly ca?: string;
  readonly replicas: number;
  readonly keepBackup?: string;
  readonly leaveMemory?: true;
  readonly undo?: true;
}

/** Resolves with the exit code. */
export async function main(args: readonly string[], output: Output): Promise<number> {
  const cli = new Cli(output);
  const json = args.includes("--json");
  try {
    await cli.program.parseAsync([...args], { from: "user" });
    return cli.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      // commander has printed the error or the help
      if (json && error.exitCode !== 0)
        output.out(JSON.stringify({ ok: false, error: error.message.replace(/^error: /, "") }));
      return error.exitCode;
    }
    const message = messageOf(error);
    const stack = isFault(error) && error instanceof Error ? error.stack : undefined;
    output.err(stack ?? `error: ${message}`);
    if (json) output.out(JSON.stringify({ ok: false, error: message }));
    return error instanceof Interrupted ? error.exitCode : 1;
  }
}

class Cli implements Verbs {
  readonly program: Command = new Command("deploy-nats-cluster");
  readonly #output: Output;
  exitCode = 0;

  constructor(output: Output) {
    this.#output = output;
    const write = (say: Say) => (text: string) => say(text.trimEnd());
    this.program
      .description("NATS servers for nats-leader on this machine")
      .exitOverride()
      .configureOutput({ writeOut: write(output.out), writeErr: write(output.err) })
      .showHelpAfterError('("deploy-nats-cluster --help" lists the commands)');
    this.#addUp();
    this.#addStatus();
    this.#addRestarts();
    this.#addMigrate();
    this.#addDown();
    addOperations(this);
  }

  line(text: string): void {
    this.#output.out(text);
  }

  verb(name: string, description: string): Command {
    return this.program
      .command(name)
      .description(description)
      .option("--state <folder>", "folder of the deployment, its data and secrets", DEFAULT_STATE_DIR)
      .option("--json", "print the result as one line of JSON on stdout; progress goes to stderr");
  }

  /** A verb with the options that describe a plan. */
  #planned(name: string, description: string): Command {
    const how = "how the servers run (default: process)";
    const backend = new Option("--backend <name>", how).choices(["process", "compose"]);
    const ports = `client port of the first server; all other ports are derived from it (default: ${DEFAULT_PORT_BASE})`;
    return this.verb(name, description)
      .addOption(backend)
      .option("--port-base <port>", ports, Number)
      .option("--secure", "TLS, accounts, the roles of examples/permissions, every write synced to disk")
      .option("--jwt", "with --secure: users with nkeys and tokens in place of passwords")
      .option("--supercluster", "three regions of three servers, joined by gateways")
      .option("--two-regions", "a small super-cluster: regions of three servers and two")
      .option("--size <n>", "servers of a cluster: 3, 5 or 7 (default: 3)", serverCount)
      .option("--single", "a single server");
  }

  #addUp(): void {
    const continues = "Without options it continues the deployment of the state folder, also after down.";
    this.#planned("up", "start servers one after another; wait until the cluster is complete")
      .option(
        "--failover-test [rounds]",
        "then stop servers in use, and count what is lost",
        wholeNumber(1, 1000),
      )
      .addHelpText("after", `\n${continues}`)
      .action((options: Up) =>
        this.withState(options, async (state, say) => {
          await refuseUnfinished(state);
          const { scaling } = (await state.read()) ?? {};
          if (scaling !== undefined) {
            say(`completing the change from ${scaling.from} to ${scaling.to} servers`);
            await scaleInOrder(state, scaling.to, say);
          }
          const plan = await completePlan(state, askedOf(options));
          const before = await state.read();
          if (before !== undefined) say(`continuing the deployment here: ${nameOf(plan)}`);
          const running = await prepare(state, plan, say);
          await running.up();
          const { failoverTest: rounds } = options;
          if (rounds === undefined) this.finish(options, state, running);
          else await testFailover(this, options, state, running, rounds === true ? 1 : rounds);
        }),
      );
    this.#planned("prepare", "create certificates, passwords and compose.env; start nothing").action(
      (options: Up) =>
        this.withState(options, async (state, say) => {
          const plan = await completePlan(state, askedOf(options));
          if (plan.topology === "single")
            throw new DeployError("prepare is for Compose, whose files define clusters only: omit --single");
          if (plan.jwt)
            throw new DeployError("prepare is for Compose, whose files define passwords: omit --jwt");
          await makeSecrets(state, plan, say);
          if (options.json) this.result({ envFile: state.composeFile });
          else say(`docker compose --env-file ${state.composeFile} -f ${composeYaml(plan)} up -d --wait`);
        }),
    );
  }

  #addStatus(): void {
    const expected = "client connections that should be there, over all servers";
    this.verb("status", "show the state of the servers; exit code 1 if anything is missing")
      .option("--expect-connections <n>", expected, wholeNumber(0, 1_000_000))
      .action(async (options: Common & { readonly expectConnections?: number }) => {
        const state = this.stateOf(options);
        await refuseUnfinished(state);
        const running = new Running(state, await state.mustRead(), this.sayTo(options));
        const status = withExpected(await statusOf(running), options.expectConnections);
        const lines = options.json ? [JSON.stringify(status)] : statusLines(status);
        for (const line of lines) this.#output.out(line);
        this.exitCode = status.ok ? 0 : 1;
      });
  }

  #addRestarts(): void {
    this.verb("restart", "restart servers one after another; a leader keeps its term").action(
      (options: Common) =>
        this.withState(options, async (state, say) => {
          await refuseUnfinished(state);
          const running = new Running(state, await state.mustRead(), say);
          await restartInOrder(running, say);
          this.finish(options, state, running);
        }),
    );
    this.verb("rotate", "create new passwords and restart; from then on the old ones are refused")
      .option("--user <name...>", `only for these users: ${USERS.join(", ")}`)
      .action((options: Common & { readonly user?: readonly string[] }) =>
        this.withState(options, async (state, say) => {
          await refuseUnfinished(state);
          const running = new Running(state, await state.mustRead(), say);
          await rotate(state, running, usersOf(options.user), say);
          this.finish(options, state, running);
        }),
      );
  }

  #addMigrate(): void {
    const password = "user name at --from; the password is read from NATS_PASSWORD";
    this.#planned(
      "migrate",
      "replace one server by a cluster; keeps streams, sequences and durable consumers",
    )
      .option("--from <url>", "server to copy (default: the single server deployed here)")
      .option("--user <name>", password)
      .option("--creds <file>", "credentials file for --from")
      .option("--ca <file>", "certificate authority of --from; enables TLS")
      .option("--replicas <n>", "minimum number of replicas of each stream", replicas, 3)
      .option("--keep-backup <folder>", "keep the snapshots, for nats stream restore")
      .option("--leave-memory", "skip streams and consumers in memory, instead of refusing to migrate")
      .option("--undo", "roll back an interrupted migration")
      .action((options: Migrate) =>
        this.withState(options, (state, say) => this.#migrate(state, options, say)),
      );
  }

  async #migrate(state: StateDir, options: Migrate, say: Say): Promise<void> {
    if (options.undo) {
      const result = await rollBack(state, say);
      if (options.json) this.result({});
      else say(result);
      return;
    }
    const { backend, topology, size, jwt } = askedOf(options);
    if (size !== undefined || jwt !== undefined)
      throw new DeployError(
        "migrate creates three servers, with passwords if --secure: omit --size and --jwt",
      );
    if (topology === "single") throw new DeployError("migrate creates a cluster: omit --single");
    const wanted = {
      ...options,
      ...(options.keepBackup === undefined ? {} : { keepBackup: resolve(options.keepBackup) }),
      target: { backend, topology },
      secure: options.secure,
      portBase: options.portBase,
      leaveMemory: options.leaveMemory === true,
    };
    const { running, streams } = await endingInOrder(
      say,
      "rolling the migration back, unless the cluster is complete",
      (signal) => migrate(state, wanted, { say, signal }),
    );
    for (const line of afterMigration(state, options.from)) say(line);
    this.finish(options, state, running, { streams });
  }

  #addDown(): void {
    this.verb(
      "down",
      "stop the servers that up started, and no others; the next up continues with their data",
    )
      .option("--delete-data", "also delete their JetStream data and the record of the deployment")
      .action((options: Common & { readonly deleteData?: true }) =>
        this.withState(options, async (state, say) => {
          const running = new Running(state, await state.mustRead(), say);
          await takeDown(state, running, options.deleteData === true);
          if (options.json) this.result({});
        }),
      );
  }

  sayTo(options: Common): Say {
    return options.json ? this.#output.err : this.#output.out;
  }

  stateOf(options: Common): StateDir {
    return new StateDir(resolve(options.state));
  }

  async withState(options: Common, job: (state: StateDir, say: Say) => Promise<void>): Promise<void> {
    const state = this.stateOf(options);
    await state.locked(() => job(state, this.sayTo(options)));
  }

  result(result: object): void {
    this.#output.out(JSON.stringify({ ok: true, ...result }));
  }

  finish(options: Common, state: StateDir, running: Running, more: object = {}): void {
    if (options.json) this.result({ ...urlsForPrograms(state, running), ...more });
    else for (const line of ["", ...urlLines(state, running)]) this.#output.out(line);
  }
}

/** Of an unfinished migration the record may name the server that is copied: its data are the only ones. */
async function takeDown(state: StateDir, running: Running, deleteData: boolean): Promise<void> {
  const journal = await readJournal(state);
  const migrating = journal !== undefined && journal.what === undefined;
  await running.down({ deleteData: deleteData && !migrating });
  if (!deleteData) return;
  if (migrating)
    throw new DeployError(`the servers were stopped, and nothing was deleted: ${unfinished(state)}`);
  await state.forget();
  await forgetJournal(state);
}

function askedOf({ backend, secure, portBase, size, jwt, ...options }: Up): Asked {
  const asked: readonly Topology[] = [
    ...(options.supercluster ? (["supercluster"] as const) : []),
    ...(options.twoRegions ? (["two-regions"] as const) : []),
    ...(options.single ? (["single"] as const) : []),
  ];
  if (asked.length > 1) throw new DeployError(`--${asked.join(" and --")} exclude each other`);
  return { backend, topology: asked[0], secure, portBase, size, jwt };
}

function usersOf(names: readonly string[] | undefined): readonly User[] {
  const unknown = names?.find((name) => !USERS.some((user) => user === name));
  if (unknown !== undefined) throw new DeployError(`--user ${unknown}: must be one of ${USERS.join(", ")}`);
  return USERS.filter((user) => names === undefined || names.includes(user));
}

function replicas(text: string): number {
  const value = Number(text);
  if (value === 1 || value === 3 || value === 5) return value;
  throw new InvalidArgumentError("Must be 1, 3 or 5.");
}
