/** The guard of a program: whatever dies, the program does not outlive the deadline. */
import { readdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { findProgram } from "../../src/system/find-program.ts";
import { atEnd } from "../support/at-end.ts";
import { folder } from "../support/cli/run-cli.ts";
import { groupOf, stateOf } from "../support/processes/proc.ts";
import { type Child, spawnChild } from "../support/processes/spawn-child.ts";

interface Line {
  readonly pid?: number;
  readonly guard?: number;
  readonly lost?: string;
  readonly unproven?: true;
  readonly replaced?: boolean;
  readonly ended?: number;
  readonly done?: true;
}

interface Supervised {
  readonly supervisor: Child<Line>;
  readonly pid: number;
  readonly guard: number;
}

const hasSetpriv = findProgram("setpriv") !== null;

/** A PATH without `setpriv`: the kernel does not kill the program. */
function plainPath(): string {
  const path = folder();
  for (const name of ["sleep", "sh"]) symlinkSync(findProgram(name) ?? name, join(path, name));
  return path;
}

async function supervise(path: string, script = "exec sleep 600"): Promise<Supervised> {
  const supervisor = spawnChild<Line>("test/support/cli/children/supervisor.ts", {
    args: [path, "sh", "-c", script],
  });
  const { pid, guard } = await supervisor.next((line) => line.pid !== undefined);
  if (pid === undefined || guard === undefined) throw new Error("no process ids");
  atEnd(async () => {
    for (const group of [pid, guard]) {
      try {
        process.kill(-group, "SIGKILL");
      } catch {
        // it has no processes left
      }
    }
    await supervisor[Symbol.asyncDispose]();
  });
  await waitFor(() => commandOf(pid).startsWith("sleep 600"), { message: "the program" });
  return { supervisor, pid, guard };
}

async function order(supervisor: Child<Line>, command: object): Promise<void> {
  supervisor.send(command);
  await supervisor.next((line) => line.done === true);
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

/** Processes of a group that have not ended. */
function membersOf(group: number): number[] {
  return readdirSync("/proc")
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && stateOf(pid) !== "X" && groupOf(pid) === group);
}

const gone = (group: number): Promise<unknown> =>
  waitFor(() => membersOf(group).length === 0, { message: `the end of group ${group}` });

const timersOf = (guard: number): string[] =>
  membersOf(guard)
    .map(commandOf)
    .filter((line) => line.startsWith("sleep"));

const statesOf = (group: number): string[] => membersOf(group).map(stateOf);

const frozen = (group: number): Promise<unknown> =>
  waitFor(
    () => {
      const states = statesOf(group);
      return states.length > 0 && states.every((state) => state === "T");
    },
    { message: `group ${group} to be frozen`, intervalMs: 5 },
  );

const continued = (group: number): Promise<unknown> =>
  waitFor(
    () => {
      const states = statesOf(group);
      return states.length > 0 && !states.includes("T");
    },
    { message: `group ${group} to continue`, intervalMs: 5 },
  );

/** Calls back with the states of the group's processes again and again, until it has none. */
async function whileMembers(group: number, look: (states: readonly string[]) => void): Promise<void> {
  await waitFor(
    () => {
      const states = statesOf(group);
      look(states);
      return states.length === 0;
    },
    { message: `the end of group ${group}`, intervalMs: 5 },
  );
}

/** Kills both before either can react to the other's end. */
async function killTogether({ supervisor, guard }: Supervised): Promise<void> {
  supervisor.kill("SIGSTOP");
  await waitFor(() => stateOf(supervisor.pid) === "T", { message: "the supervisor to stop" });
  process.kill(guard, "SIGKILL");
  supervisor.kill("SIGKILL");
  // Not `exit`: the program has the supervisor's stdout.
  await waitFor(() => stateOf(supervisor.pid) === "X", { message: "the end of the supervisor" });
}

describe.skipIf(process.platform !== "linux")("a program", () => {
  const everywhere = process.env["PATH"] ?? "";

  test("is killed with its whole group when the supervisor is killed, and leaves no process of the guard", async () => {
    const { supervisor, pid, guard } = await supervise(plainPath(), "sleep 600 & exec sleep 600");
    await order(supervisor, { limit: 600_000 });
    supervisor.kill("SIGKILL");
    await gone(pid);
    await gone(guard);
  });

  test("gets another guard at once when its guard is killed", async () => {
    const { supervisor, pid, guard } = await supervise(plainPath());
    await order(supervisor, { limit: 600_000 });
    process.kill(guard, "SIGKILL");
    const lost = await supervisor.next((line) => line.lost !== undefined);
    expect(lost).toMatchObject({ lost: "SIGKILL", replaced: true });
    await gone(guard);
    expect(membersOf(pid)).not.toEqual([]);
    supervisor.kill("SIGKILL");
    await gone(pid);
    await gone(lost.guard ?? 0);
  });

  test("is killed if no guard can be kept running", async () => {
    const { supervisor, pid, guard } = await supervise(plainPath());
    let next = guard;
    const lost: (boolean | undefined)[] = [];
    for (let kills = 0; kills < 3; kills += 1) {
      process.kill(next, "SIGKILL");
      const line = await supervisor.next((one) => one.lost !== undefined);
      lost.push(line.replaced);
      next = line.guard ?? 0;
    }
    expect(lost).toEqual([true, true, false]);
    expect(await supervisor.next((line) => line.ended !== undefined)).toMatchObject({ ended: 137 });
    await gone(pid);
  });

  test.skipIf(!hasSetpriv)(
    "is killed by the kernel when supervisor and guard are killed together",
    async () => {
      const supervised = await supervise(everywhere);
      await killTogether(supervised);
      await gone(supervised.pid);
    },
  );

  test("is killed at the deadline when supervisor and guard are killed together and the kernel does not help", async () => {
    const supervised = await supervise(plainPath());
    await order(supervised.supervisor, { limit: 1_500 });
    await waitFor(() => membersOf(supervised.guard).length > 1, { message: "the guard's timer" });
    await killTogether(supervised);
    expect(membersOf(supervised.pid)).not.toEqual([]);
    await gone(supervised.pid);
  });

  test("is killed at the deadline while the supervisor is stopped", async () => {
    const { supervisor, pid } = await supervise(everywhere);
    await order(supervisor, { limit: 300 });
    supervisor.kill("SIGSTOP");
    await gone(pid);
  });

  test("is killed at the deadline that the guard read last when the guard is stopped", async () => {
    const { supervisor, pid, guard } = await supervise(everywhere);
    await order(supervisor, { limit: 500 });
    await waitFor(() => membersOf(guard).length > 1, { message: "the guard's timer" });
    process.kill(guard, "SIGSTOP");
    await order(supervisor, { limit: 600_000 });
    await gone(pid);
  });

  test("is not killed at a deadline that was replaced", async () => {
    const { supervisor, pid, guard } = await supervise(everywhere);
    await order(supervisor, { limit: 300 });
    const timers = (): string[] => timersOf(guard);
    await waitFor(() => timers().some((line) => line.startsWith("sleep 0.300")));
    await order(supervisor, { limit: 600_000 });
    await waitFor(() => timers().length === 1 && timers()[0]?.startsWith("sleep 600.000"));
    // The guard, the timer and its sleep: what was cancelled has ended.
    expect(membersOf(guard)).toHaveLength(3);
    expect(membersOf(pid)).not.toEqual([]);
  });

  test("is frozen when another node may lead, and killed at the deadline, while the supervisor is stopped", async () => {
    const { supervisor, pid } = await supervise(everywhere, "sleep 600 & exec sleep 600");
    await order(supervisor, { lease: 4_000, stretch: 700 });
    supervisor.kill("SIGSTOP");
    await frozen(pid);
    await gone(pid);
  });

  test("is not frozen with onSuspend continue, and killed at the deadline, while the supervisor is stopped", async () => {
    const { supervisor, pid, guard } = await supervise(everywhere);
    await order(supervisor, { lease: 2_000, stretch: 100, onSuspend: "continue" });
    supervisor.kill("SIGSTOP");
    await waitFor(() =>
      timersOf(guard).some((line) => line.startsWith("sleep 2.0") || line.startsWith("sleep 1.9")),
    );
    await whileMembers(pid, (states) => expect(states).not.toContain("T"));
  });

  test("is frozen when another node may lead, and continues when the term is confirmed", async () => {
    const { supervisor, pid } = await supervise(everywhere, "sleep 600 & exec sleep 600");
    await order(supervisor, { lease: 600_000, stretch: 200 });
    await frozen(pid);
    await order(supervisor, { stretch: 600_000 });
    await continued(pid);
  });

  test("is frozen while the server does not answer, also while the term is being given up, and killed when the term is not confirmed", async () => {
    const { supervisor, pid, guard } = await supervise(everywhere, "sleep 600 & exec sleep 600");
    await order(supervisor, { lease: 600_000, proven: 200 });
    await supervisor.next((line) => line.unproven === true);
    await frozen(pid);
    await order(supervisor, { proven: 600_000 });
    await continued(pid);
    await order(supervisor, { drain: true, proven: 200 });
    await supervisor.next((line) => line.unproven === true);
    await frozen(pid);
    await order(supervisor, { proven: 600_000 });
    await continued(pid);
    await order(supervisor, { proven: 200, stretch: 200 });
    expect(await supervisor.next((line) => line.ended !== undefined)).toMatchObject({ ended: 137 });
    await gone(pid);
    await gone(guard);
  });

  test("is frozen by the guard when the server may have closed the connection, while the supervisor is stopped", async () => {
    const { supervisor, pid } = await supervise(everywhere, "sleep 600 & exec sleep 600");
    await order(supervisor, { lease: 600_000, stretch: 300_000, proven: 700 });
    supervisor.kill("SIGSTOP");
    await frozen(pid);
    supervisor.kill("SIGCONT");
    await order(supervisor, { proven: 600_000 });
    await continued(pid);
  });

  test("that the guard has frozen continues when the supervisor confirms the term, also through another guard", async () => {
    const { supervisor, pid, guard } = await supervise(everywhere);
    await order(supervisor, { limit: 600_000, freeze: 100 });
    await frozen(pid);
    await order(supervisor, { limit: 600_000, freeze: 300_000 });
    await continued(pid);
    await order(supervisor, { limit: 600_000, freeze: 100 });
    await frozen(pid);
    await order(supervisor, { limit: 500_000, freeze: 400_000 });
    process.kill(guard, "SIGKILL");
    await supervisor.next((line) => line.lost !== undefined);
    await continued(pid);
  });

  test("is killed when another node may lead while the term is being given up", async () => {
    const { supervisor, pid, guard } = await supervise(everywhere);
    await order(supervisor, { lease: 600_000, stretch: 600_000 });
    await order(supervisor, { drain: true, stretch: 200 });
    expect(await supervisor.next((line) => line.ended !== undefined)).toMatchObject({ ended: 137 });
    await gone(pid);
    await gone(guard);
  });

  test("is killed at the deadline by the supervisor itself", async () => {
    const { supervisor, pid, guard } = await supervise(everywhere);
    await order(supervisor, { lease: 300 });
    expect(await supervisor.next((line) => line.ended !== undefined)).toMatchObject({ ended: 137 });
    await gone(pid);
    await gone(guard);
  });
});
