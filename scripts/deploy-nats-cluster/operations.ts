/** The commands for a cluster in operation. */
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { positiveDuration } from "../../src/cli/options.ts";
import { untilSignal } from "../../src/cli/signals.ts";
import { messageOf } from "../../src/errors.ts";
import { latestIn, retain, setAside } from "./backup/archive.ts";
import { type Backup, backUp, drill, restoreBackup } from "./backup/backup.ts";
import { Running, type Say } from "./deployment.ts";
import { DeployError, isFault } from "./errors.ts";
import { failoverLines, failoverTest } from "./failover/failover-test.ts";
import { type Control, endingInOrder, Interrupted } from "./interrupt.ts";
import { withLock } from "./lock.ts";
import { refuseUnfinished } from "./migrate/journal.ts";
import type { Size } from "./plan.ts";
import { rollbackPlan } from "./rollback.ts";
import { scale } from "./scale.ts";
import type { StateDir } from "./state.ts";
import { type Common, serverCount, type Verbs, wholeNumber } from "./verbs.ts";

export function addOperations(cli: Verbs): void {
  addFailoverTest(cli);
  addScale(cli);
  addBackup(cli);
  addRestore(cli);
  addRollback(cli);
}

function addScale(cli: Verbs): void {
  cli
    .verb("scale", "change the number of servers of the running cluster: 3, 5 or 7")
    .argument("<size>", "number of servers", serverCount)
    .action((size: Size, options: Common) =>
      cli.withState(options, async (state, say) => {
        await refuseUnfinished(state);
        cli.finish(options, state, await scaleInOrder(state, size, say));
      }),
    );
}

/** Changes the number of servers, or completes an interrupted change. A signal ends it between two steps. */
export async function scaleInOrder(state: StateDir, size: Size, say: Say): Promise<Running> {
  const running = new Running(state, await state.mustRead(), say);
  return endingInOrder(say, "finishing the step under way", (signal) =>
    scale(state, running, size, { say, signal }),
  );
}

function addFailoverTest(cli: Verbs): void {
  cli
    .verb(
      "failover-test",
      "stop servers in use, and count leader changes and lost messages: none are expected",
    )
    .option(
      "--rounds <n>",
      "rounds: stop the first server, the second, and all in turn",
      wholeNumber(1, 1000),
      1,
    )
    .addHelpText("after", "\nExit code 1 if the leader changed or an acknowledged message was lost.")
    .action((options: Common & { readonly rounds: number }) =>
      cli.withState(options, async (state, say) => {
        await refuseUnfinished(state);
        const running = new Running(state, await state.mustRead(), say);
        await testFailover(cli, options, state, running, options.rounds);
      }),
    );
}

export async function testFailover(
  cli: Verbs,
  options: Common,
  state: StateDir,
  running: Running,
  rounds: number,
): Promise<void> {
  const say = cli.sayTo(options);
  const result = await endingInOrder(
    say,
    "starting a stopped server again, and deleting what the test has created",
    (signal) => failoverTest(state, running, rounds, { say, signal }),
  );
  if (options.json) cli.finish(options, state, running, { ok: result.passed, failoverTest: result });
  else for (const line of failoverLines(result)) cli.line(line);
  if (!result.passed) cli.exitCode = 1;
}

interface BackupOptions extends Common {
  readonly to?: string;
  readonly keep: number;
  readonly every?: number;
  readonly drill?: true;
  readonly allowEmpty?: true;
}

const ENDING_BACKUP = "ending the backup";

/** An empty backup is most often that of a wrong account. */
const EMPTY_HELP =
  "accept an account without streams: a drill of its backup proves nothing, and fails otherwise";

function addBackup(cli: Verbs): void {
  cli
    .verb("backup", "save the streams of the account, while they are in use")
    .option("--to <folder>", "folder of the backups (default: backups in the state folder)")
    .option("--keep <n>", "backups that stay there; older ones are deleted", wholeNumber(1, 100_000), 7)
    .option("--drill", "prove the backup: restore it into a server of its own, and compare")
    .option("--allow-empty", EMPTY_HELP)
    .option(
      "--every <time>",
      "repeat until a signal, such as 6h; a failed backup is reported",
      positiveDuration,
    )
    .action((options: BackupOptions) =>
      options.every === undefined
        ? endingInOrder(cli.sayTo(options), ENDING_BACKUP, (signal) => once(cli, options, signal))
        : repeated(cli, options, options.every),
    );
  cli
    .verb("drill", "prove a backup: restore it into a server of its own, and compare")
    .argument("[folder]", "a backup (default: the latest one in the state folder)")
    .option("--allow-empty", EMPTY_HELP)
    .action(async (folder: string | undefined, options: Common & { readonly allowEmpty?: true }) => {
      const state = cli.stateOf(options);
      const from = folder === undefined ? await latestIn(state.backupDir) : resolve(folder);
      const binary = (await state.read())?.binary;
      const mayBeEmpty = options.allowEmpty === true;
      const streams = await drill(from, { binary, mayBeEmpty }, { say: cli.sayTo(options) });
      if (options.json) cli.result({ folder: from, streams });
      else cli.line(`proven: ${from}, ${streams.length} streams`);
    });
}

async function once(cli: Verbs, options: BackupOptions, signal: AbortSignal): Promise<void> {
  const state = cli.stateOf(options);
  const to = options.to === undefined ? state.backupDir : resolve(options.to);
  // Several deployments may save into one folder.
  await withLock(to, () => onceInto(cli, options, to, signal));
}

async function onceInto(cli: Verbs, options: BackupOptions, to: string, signal: AbortSignal): Promise<void> {
  // A drill needs no lock of the deployment: it does not touch it.
  let binary: string | undefined;
  let saved: Backup | undefined;
  await cli.withState(options, async (state, say) => {
    await refuseUnfinished(state);
    const deployment = await state.mustRead();
    binary = deployment.binary;
    const mayBeEmpty = options.drill !== true || options.allowEmpty === true;
    saved = await backUp(state, new Running(state, deployment, say), { to, mayBeEmpty }, { say, signal });
  });
  if (saved === undefined) return;
  const { folder, streams } = saved;
  const proven = options.drill === true;
  if (proven) await prove(folder, binary, { say: cli.sayTo(options), signal });
  const deleted = await retain(to, options.keep);
  if (options.json) cli.result({ folder, streams, deleted, proven });
  else cli.line(`${proven ? "saved and proven" : "saved"}: ${folder}, ${streams.length} streams`);
}

/** If the drill fails, no older backup is deleted, and the new one does not count as one. */
async function prove(folder: string, binary: string | undefined, control: Control): Promise<void> {
  try {
    await drill(folder, { binary, mayBeEmpty: true }, control);
  } catch (cause) {
    const { signal } = control;
    if (signal.aborted)
      throw new Interrupted(signal, `saved, not proven: ${folder}. No older backup was deleted`);
    const aside = await setAside(folder);
    throw new DeployError(
      `the drill failed, and no older backup was deleted. ${aside}: ${messageOf(cause)}`,
      {
        cause,
      },
    );
  }
}

/** The first backup at once, and each at a multiple of the interval after it. */
async function repeated(cli: Verbs, options: BackupOptions, everyMs: number): Promise<void> {
  const say = cli.sayTo({ ...options, json: true });
  const ending = untilSignal((name) => say(`${name}: ${ENDING_BACKUP}`));
  const { signal } = ending;
  const started = performance.now();
  try {
    while (!signal.aborted) {
      cli.exitCode = 0;
      await once(cli, options, signal).catch((error: unknown) => {
        if (error instanceof Interrupted) return; // as announced
        // A full disk, a network that is down: the next one may succeed.
        if (isFault(error)) throw error;
        cli.exitCode = 1;
        const message = messageOf(error);
        say(`error: ${message}`);
        if (options.json) cli.result({ ok: false, error: message });
      });
      const passed = performance.now() - started;
      await sleep(everyMs - (passed % everyMs), undefined, { signal }).catch(() => {});
    }
  } finally {
    ending.close();
  }
}

function addRestore(cli: Verbs): void {
  cli
    .verb("restore", "restore a backup into the cluster; no existing stream is changed")
    .argument("[folder]", "a backup (default: the latest one in the state folder)")
    .option("--stream <name...>", "only these streams")
    .action((folder: string | undefined, options: Common & { readonly stream?: readonly string[] }) =>
      cli.withState(options, async (state, say) => {
        await refuseUnfinished(state);
        const from = folder === undefined ? await latestIn(state.backupDir) : resolve(folder);
        const running = new Running(state, await state.mustRead(), say);
        const only = options.stream;
        const streams = await endingInOrder(say, "deleting the streams of this restore again", (signal) =>
          restoreBackup(state, running, { from, only }, { say, signal }),
        );
        cli.finish(options, state, running, { streams });
      }),
    );
}

function addRollback(cli: Verbs): void {
  cli
    .verb("rollback", "undo an interrupted migration or restore, or return to the previous nats-server")
    .option("--dry-run", "print the steps, and change nothing")
    .action((options: Common & { readonly dryRun?: true }) =>
      cli.withState(options, async (state, say) => {
        const steps = await rollbackPlan(state, say);
        for (const [index, step] of steps.entries()) {
          say(`${index + 1}. ${step.what}`);
          if (!options.dryRun) await step.run();
        }
        if (options.json)
          cli.result({ dryRun: options.dryRun === true, steps: steps.map(({ what }) => what) });
      }),
    );
}
