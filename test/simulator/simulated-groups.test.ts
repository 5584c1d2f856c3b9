/** `SimulatedCluster` with groups: real members, created as an application does, on virtual time. */
import { describe, expect, test } from "vitest";
import { Group, type GroupOptions } from "../../src/group.ts";
import {
  type ProcessContext,
  SimulatedCluster,
  type SimulatedProcess,
  type SimulationError,
} from "../../src/testing.ts";

const RESOURCES = ["r0", "r1", "r2", "r3", "r4", "r5"];

interface Made {
  readonly cluster: SimulatedCluster;
  /** The newest member of each process. */
  readonly groups: Map<string, Group>;
  /** Resources whose work runs, by process. */
  readonly working: Map<string, Set<string>>;
}

function make(seed: number, names = "abc", options: Partial<GroupOptions> = {}): Made {
  const made = { cluster: new SimulatedCluster({ seed }), groups: new Map(), working: new Map() };
  for (const name of names) made.cluster.process(name, (process) => member(made, process, options));
  return made;
}

async function member(
  { groups, working }: Made,
  { name, groupEnvironment, terminated, sleep }: ProcessContext,
  options: Partial<GroupOptions>,
): Promise<void> {
  const group = new Group(
    {
      groupId: "jobs",
      memberId: name,
      servers: "simulated",
      resources: RESOURCES,
      settleMs: 1_000,
      logger: false,
      ...options,
    },
    {},
    groupEnvironment,
  );
  groups.set(name, group);
  const works = new Set<string>();
  working.set(name, works);
  while (!terminated.aborted) {
    const started = await group.start({ signal: terminated }).then(
      () => true,
      () => sleep(500, false),
    );
    if (started) break;
  }
  if (terminated.aborted) return group[Symbol.asyncDispose]();
  terminated.addEventListener("abort", () => void group.stop());
  await group.runOwned(async (term, { signal }) => {
    works.add(term.resource);
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    works.delete(term.resource);
  });
}

function named({ cluster }: Made, name: string): SimulatedProcess {
  const process = cluster.processes.find((one) => one.name === name);
  if (process === undefined) throw new Error(`no process ${name}`);
  return process;
}

function counts({ cluster }: Made): number[] {
  return cluster.processes.map(({ name }) => cluster.owned(name).length);
}

function allOwned({ cluster }: Made, names: string): boolean {
  const owned = [...names].flatMap((name) => cluster.owned(name));
  return owned.length === RESOURCES.length && new Set(owned).size === RESOURCES.length;
}

describe("members of a group", () => {
  test("share the resources, and work on what they own", async () => {
    const made = make(1);
    await made.cluster.advance(10_000);
    expect(counts(made)).toEqual([2, 2, 2]);
    expect(allOwned(made, "abc")).toBe(true);
    for (const name of "abc")
      expect([...(made.working.get(name) ?? [])].sort()).toEqual(made.cluster.owned(name));
    expect([...(made.groups.get("a")?.owned.keys() ?? [])].sort()).toEqual(made.cluster.owned("a"));
  });

  test("a killed member is replaced within milliseconds", async () => {
    const made = make(2);
    await made.cluster.advance(10_000);
    named(made, "a").crash();
    const from = made.cluster.now;
    await made.cluster.until(() => allOwned(made, "bc"), 1_000);
    expect(made.cluster.now - from).toBeLessThan(50);
  });

  test("a member whose host has vanished is replaced when it has been silent, one that stands still is, too", async () => {
    const made = make(3);
    await made.cluster.advance(10_000);
    named(made, "a").crash({ noticedAfterMs: 600_000 });
    await made.cluster.until(() => allOwned(made, "bc"), 4_000);
    const b = named(made, "b");
    b.pause();
    await made.cluster.until(() => allOwned(made, "c"), 4_000);
    b.resume();
    // What it owned is over at its first instruction.
    await made.cluster.advance(0);
    expect(made.cluster.owned("b")).toEqual([]);
    await made.cluster.until(() => made.cluster.owned("b").length === 3, 20_000);
  });

  test("a member that drains gives everything up and stays; one that stops is replaced at once", async () => {
    const made = make(4);
    await made.cluster.advance(10_000);
    void made.groups.get("a")?.drain();
    await made.cluster.until(() => allOwned(made, "bc"), 5_000);
    expect(named(made, "a").alive).toBe(true);
    named(made, "b").terminate();
    await made.cluster.until(() => allOwned(made, "c"), 1_000);
    await made.cluster.until(() => !named(made, "b").alive, 1_000);
  });

  test("a member without requests to NATS stops by itself, before another one begins", async () => {
    const made = make(5, "ab", { crashDetection: "lease" });
    await made.cluster.advance(10_000);
    const owned = made.cluster.owned("a");
    named(made, "a").partition();
    await made.cluster.until(() => made.cluster.owned("a").length === 0, 20_000);
    expect(made.cluster.owned("b")).not.toContain(owned[0]);
    await made.cluster.until(() => allOwned(made, "b"), 20_000);
    named(made, "a").heal();
    await made.cluster.until(() => made.cluster.owned("a").length === 3, 60_000);
  });

  test("every period in which a resource was held is listed, with epochs that increase", async () => {
    const made = make(6, "ab");
    await made.cluster.advance(10_000);
    named(made, "a").crash();
    await made.cluster.advance(1_000);
    for (const name of RESOURCES) {
      const terms = made.cluster.resourceTerms.filter(({ resource }) => resource === name);
      for (const [at, { fromMs, epoch, groupId }] of terms.entries()) {
        const before = terms[at - 1];
        expect(groupId).toBe("jobs");
        if (before === undefined) continue;
        expect(before.untilMs).toBeLessThanOrEqual(fromMs);
        expect(before.epoch).toBeLessThan(epoch);
      }
      expect(terms.at(-1)).toMatchObject({ process: "b", untilMs: null });
    }
    expect(made.cluster.trace.some((line) => /b {2}OWNS r\d with epoch/.test(line))).toBe(true);
  });

  test("without a quorum no member owns anything; a deleted bucket is recreated; the server restarts", async () => {
    const made = make(7, "ab");
    await made.cluster.advance(10_000);
    made.cluster.loseQuorum(30_000);
    await made.cluster.until(() => counts(made).every((count) => count === 0), 20_000);
    await made.cluster.until(() => allOwned(made, "ab"), 60_000);
    made.cluster.restartServer(1_000);
    await made.cluster.advance(10_000);
    await made.cluster.until(() => allOwned(made, "ab"), 60_000);
    made.cluster.deleteBucket();
    await made.cluster.advance(100);
    await made.cluster.until(() => allOwned(made, "ab"), 60_000);
  });

  test("groups of two names share nothing", async () => {
    const made = make(8, "a");
    made.cluster.process("b", (process) => member(made, process, { groupId: "other" }));
    await made.cluster.advance(10_000);
    expect(counts(made)).toEqual([6, 6]);
  });

  test("20 random faults in each of 4 seeds: never two owners, and everything is owned at the end", async () => {
    for (let seed = 1; seed <= 4; seed += 1) {
      const made = make(seed);
      made.cluster.injectFaults({ count: 20, withinMs: 60_000 });
      await made.cluster.advance(60_000);
      for (const process of made.cluster.processes) if (!process.alive) process.start();
      await made.cluster.until(() => allOwned(made, "abc"), 60_000);
    }
  });

  test("the same seed gives the same trace", async () => {
    const traceOf = async (seed: number): Promise<readonly string[]> => {
      const made = make(seed);
      made.cluster.injectFaults({ count: 10, withinMs: 20_000 });
      await made.cluster.advance(30_000);
      return made.cluster.trace;
    };
    expect(await traceOf(9)).toEqual(await traceOf(9));
    expect(await traceOf(9)).not.toEqual(await traceOf(10));
  });

  test("two that hold a resource at once end the simulation", async () => {
    // Clocks that differ by more than the margin allows for: the slow one counts on its lease for longer than the others wait.
    const made: Made = { cluster: new SimulatedCluster({ seed: 1 }), groups: new Map(), working: new Map() };
    const options = { crashDetection: "lease" } as const;
    made.cluster.process("a", (process) => member(made, process, options), { clockRate: 0.5 });
    made.cluster.process("b", (process) => member(made, process, options));
    await made.cluster.advance(20_000);
    named(made, "a").partition();
    const failure = await made.cluster.advance(60_000).catch((error: SimulationError) => error);
    expect(failure).toMatchObject({ code: "violation", message: /hold it at once/ });
  });
});
