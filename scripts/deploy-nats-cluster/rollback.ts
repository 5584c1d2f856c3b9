/** Undoes the last change of a deployment: an interrupted migration or restore, or else another nats-server. */
import { binaryVersion } from "../../src/testing/server/find/binary.ts";
import { Running, type Say } from "./deployment.ts";
import { DeployError } from "./errors.ts";
import { readJournal } from "./migrate/journal.ts";
import { rollBack } from "./migrate/undo.ts";
import { restartInOrder } from "./restart.ts";
import type { Deployment, StateDir } from "./state.ts";

export interface Step {
  readonly what: string;
  run(): Promise<void>;
}

/** What a rollback would do, in this order. Rejects if there is nothing to roll back. */
export async function rollbackPlan(state: StateDir, say: Say): Promise<Step[]> {
  const journal = await readJournal(state);
  if (journal !== undefined) {
    const { restoring, single } = journal;
    const streams = restoring.length === 0 ? "no stream was restored yet" : `delete ${restoring.join(", ")}`;
    const started = single === null ? "" : "; start the single server again";
    const what = `undo the interrupted ${journal.what ?? "migration"}: ${streams}${started}`;
    return [{ what, run: async () => say(await rollBack(state, say)) }];
  }
  const deployment = await state.mustRead();
  const { binary, previousBinary } = deployment;
  if (binary === undefined || previousBinary === undefined)
    throw new DeployError(
      `nothing to roll back in ${state.path}: no migration or restore was interrupted, and its servers never ran another nats-server. To return to earlier data: "restore"`,
    );
  return backTo(state, deployment, previousBinary, say);
}

async function backTo(state: StateDir, deployment: Deployment, previous: string, say: Say): Promise<Step[]> {
  const { previousBinary: _, ...rest } = deployment;
  const [from, to] = await Promise.all([binaryVersion(deployment.binary ?? ""), binaryVersion(previous)]);
  const { servers } = new Running(state, deployment, say);
  return [
    {
      what: "check that every server runs and nothing is missing",
      run: () => new Running(state, deployment, say).refuseIncomplete(),
    },
    {
      what: `record nats-server ${to} (${previous}) in place of ${from}`,
      run: () => state.write({ ...rest, binary: previous }),
    },
    {
      what: `restart ${servers.map(({ name }) => name).join(", ")}, one after another; each must be complete before the next`,
      run: async () => restartInOrder(new Running(state, await state.mustRead(), say), say, onTheOther),
    },
  ];
}

function onTheOther(names: readonly string[]): string {
  return `${names.join(", ")} still ${names.length === 1 ? "runs" : "run"} the other nats-server: "restart" completes the rollback`;
}
