/** Restarts one server after another, also with new passwords. A signal ends it between two servers, with every server up. */
import { composeEnv } from "./compose-backend.ts";
import { type Running, type Say, unfinishedRotation } from "./deployment.ts";
import { DeployError } from "./errors.ts";
import { endingInOrder, Interrupted } from "./interrupt.ts";
import { renewPasswords, type User } from "./secrets.ts";
import type { StateDir } from "./state.ts";
import { writeWhole } from "./write-whole.ts";

/** @param unfinished What the servers with these names lack after a signal, and what completes it. */
export async function restartInOrder(
  running: Running,
  say: Say,
  unfinished: (names: readonly string[]) => string = notRestarted,
): Promise<void> {
  await endingInOrder(say, "waiting until the server under way is up again", (signal) =>
    restartUntil(signal, running, unfinished),
  );
}

async function restartUntil(
  signal: AbortSignal,
  running: Running,
  unfinished: (names: readonly string[]) => string,
): Promise<void> {
  const left = running.servers.map(({ name }) => name);
  await running.restart(async () => {
    left.shift();
    if (signal.aborted && left.length > 0) throw new Interrupted(signal, unfinished(left));
  });
}

function notRestarted(names: readonly string[]): string {
  return `every server runs; not restarted: ${names.join(", ")}`;
}

/** Creates new passwords for these users, then restarts the servers one by one: they read passwords at startup only. */
export async function rotate(
  state: StateDir,
  running: Running,
  users: readonly User[],
  say: Say,
): Promise<void> {
  if (!running.deployment.secure)
    throw new DeployError(
      "cannot rotate passwords: this deployment has none (it was created without --secure)",
    );
  if (running.deployment.jwt)
    throw new DeployError(
      "cannot rotate passwords: this deployment has tokens. Sign a new user with the key of the account (jwt/keys/BILLING.nk), and revoke the old one in the account's token",
    );
  await running.refuseIncomplete();
  await endingInOrder(say, "waiting until the server under way is up again", async (signal) => {
    await renewPasswords(state.usersFile, users);
    await writeWhole(state.composeFile, await composeEnv(state, running.deployment), 0o600);
    await restartUntil(signal, running, unfinishedRotation);
  });
}
