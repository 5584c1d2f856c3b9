/** `SimulatedCluster`: real nodes, created as an application does, on virtual time. */
import { describe, expect, test } from "vitest";
import { type Hooks, Node, type NodeEnvironment, type NodeOptions } from "../../src/index.ts";
import {
  type ProcessContext,
  type Program,
  SimulatedCluster,
  type SimulationError,
} from "../../src/testing.ts";

interface Made {
  readonly cluster: SimulatedCluster;
  /** The newest node of each process. */
  readonly nodes: Map<string, Node>;
}

interface Application {
  readonly hooks?: (process: ProcessContext) => Hooks;
  readonly options?: Partial<NodeOptions>;
  readonly environment?: (environment: NodeEnvironment, name: string) => NodeEnvironment;
  /** The leader's work. Default: none. */
  readonly work?: (process: ProcessContext, epoch: number, signal: AbortSignal) => Promise<void>;
}

function programOf(nodes: Map<string, Node>, application: Application): Program {
  return async (process) => {
    const { name, terminated, sleep } = process;
    const options = { clusterId: "jobs", nodeId: name, servers: "simulated", logger: false } as const;
    const environment = application.environment?.(process.environment, name) ?? process.environment;
    const node = new Node({ ...options, ...application.options }, application.hooks?.(process), environment);
    nodes.set(name, node);
    while (!terminated.aborted) {
      const started = await node.start().then(
        () => true,
        () => sleep(500, false),
      );
      if (started) break;
    }
    if (terminated.aborted) return node[Symbol.asyncDispose]();
    terminated.addEventListener("abort", () => void node.stop());
    await node.runWhileLeader((term) => application.work?.(process, term.epoch, term.signal));
  };
}

function make(seed: number, names = "abc", application: Application = {}): Made {
  const cluster = new SimulatedCluster({ seed });
  const nodes = new Map<string, Node>();
  for (const name of names) cluster.process(name, programOf(nodes, application));
  return { cluster, nodes };
}

function named({ cluster }: Made, name: string) {
  const process = cluster.processes.find((one) => one.name === name);
  if (process === undefined) throw new Error(`no process ${name}`);
  return process;
}

/** Name of the process whose node calls itself leader. */
function leader({ nodes, cluster }: Made): string | undefined {
  return cluster.processes.find(({ name, alive }) => alive && nodes.get(name)?.isLeader() === true)?.name;
}

async function led(names = "abc", application: Application = {}): Promise<Made & { readonly first: string }> {
  const made = make(1, names, application);
  await made.cluster.until(() => leader(made) !== undefined);
  return { ...made, first: leader(made) ?? "" };
}

/** Slow hooks that record violations of invariants 6 and 7. */
function strictHooks({ sleep }: ProcessContext, wrong: string[]): Hooks {
  let inside = false;
  let led: number | null = null;
  const alone = async (hook: string): Promise<void> => {
    if (inside) wrong.push(`${hook} is called within another hook`);
    inside = true;
    await sleep(30);
    inside = false;
  };
  return {
    onBecomeLeader: async ({ epoch }) => {
      if (led !== null) wrong.push(`epoch ${epoch} begins before ${led} has ended`);
      led = epoch;
      await alone("onBecomeLeader");
    },
    onLoseLeadership: async ({ epoch, signal }) => {
      if (led !== epoch) wrong.push(`epoch ${epoch} ends, but ${led} has begun`);
      if (!signal.aborted) wrong.push(`epoch ${epoch} ends before its signal aborts`);
      led = null;
      await alone("onLoseLeadership");
    },
    onLeaderChange: () => alone("onLeaderChange"),
    onNatsDisconnect: () => alone("onNatsDisconnect"),
    onNatsReconnect: () => alone("onNatsReconnect"),
  };
}

async function errorOf(promise: Promise<unknown>): Promise<SimulationError> {
  return promise.then(
    () => expect.fail("the promise did not reject"),
    (error: unknown) => error as SimulationError,
  );
}

describe("leadership in a simulated cluster", () => {
  test("moves from a crashed process to another one in milliseconds, with a larger epoch", async () => {
    const made = await led();
    // Until a follower has read the lease, it does not know whose end to watch for.
    await made.cluster.advance(10);
    named(made, made.first).crash();
    const crashedAt = made.cluster.now;
    await made.cluster.until(() => leader(made) !== undefined);
    expect(leader(made)).not.toBe(made.first);
    expect(made.cluster.now - crashedAt).toBeLessThan(20);
    expect(made.cluster.terms.map(({ epoch }) => epoch)).toEqual([1, 2]);
    expect(made.cluster.terms[0]?.untilMs).toBe(crashedAt);
  });

  test.each([
    { options: {}, fromMs: 2_250, untilMs: 2_700 },
    { options: { crashDetection: "silence", silenceMs: 500 }, fromMs: 750, untilMs: 900 },
    { options: { silenceMs: 0 }, fromMs: 10_000, untilMs: 10_500 },
    { options: { crashDetection: "lease" }, fromMs: 10_000, untilMs: 10_500 },
  ] as const)(
    "moves from a host that is lost, if the server does not notice, once its silence is confirmed or the lease has expired ($options)",
    async ({ options, fromMs, untilMs }) => {
      const made = await led("abc", { options });
      // The followers have to hear a beat first, or they wait for one from the moment of their first read on.
      await made.cluster.advance(1_000);
      named(made, made.first).crash({ noticedAfterMs: 60_000 });
      const crashedAt = made.cluster.now;
      await made.cluster.until(() => leader(made) !== undefined);
      const tookMs = made.cluster.now - crashedAt;
      expect(tookMs).toBeGreaterThan(fromMs - 1_000);
      expect(tookMs).toBeLessThan(untilMs);
      expect(made.cluster.terms.map(({ epoch }) => epoch)).toEqual([1, 2]);
    },
  );

  test("is only suspended while a process stands still for about as long as it promises to be silent at most", async () => {
    const made = await led();
    await made.cluster.advance(1_000);
    const process = named(made, made.first);
    process.pause(2_100);
    await made.cluster.advance(2_100);
    expect(made.nodes.get(made.first)?.isLeader()).toBe(false);
    await made.cluster.advance(100);
    expect(leader(made)).toBe(made.first);
    expect(made.cluster.terms.map(({ epoch }) => epoch)).toEqual([1, 1]);
  });

  test("moves from a process that stands still for longer", async () => {
    const made = await led();
    await made.cluster.advance(1_000);
    named(made, made.first).pause(4_000);
    await made.cluster.advance(5_000);
    expect(leader(made)).not.toBe(made.first);
    expect(made.nodes.get(made.first)?.role).toBe("follower");
    expect(made.cluster.terms.map(({ epoch }) => epoch)).toEqual([1, 2]);
  });

  test("is released on SIGTERM after the work has ended, and the process exits", async () => {
    const ends: string[] = [];
    const made = await led("ab", {
      work: async ({ name, sleep }, epoch, signal) => {
        await sleep(60_000, undefined, { signal }).catch((error: Error) => ends.push(error.name));
        await sleep(700);
        ends.push(`${name} ended epoch ${epoch}`);
      },
    });
    await made.cluster.advance(100);
    named(made, made.first).terminate();
    await made.cluster.advance(690);
    expect(leader(made)).toBeUndefined();
    await made.cluster.until(() => leader(made) !== undefined);
    expect(ends).toEqual(["AbortError", `${made.first} ended epoch 1`]);
    await made.cluster.until(() => !named(made, made.first).alive);
    expect(made.cluster.trace.some((line) => line.endsWith(`${made.first}  exits`))).toBe(true);
  });

  test("is over at the first isLeader() of a process that was stopped past its lease; another process leads", async () => {
    const made = await led();
    const process = named(made, made.first);
    process.pause();
    expect([process.alive, process.running]).toEqual([true, false]);
    await made.cluster.advance(12_000);
    const second = leader(made);
    expect(second).not.toBe(made.first);
    process.resume();
    expect(made.nodes.get(made.first)?.isLeader()).toBe(false);
    await made.cluster.advance(1_000);
    expect([leader(made), made.nodes.get(made.first)?.role]).toEqual([second, "follower"]);
  });

  test("ends at its deadline if requests, responses or both are lost, and another process takes over", async () => {
    for (const fault of ["partition", "dropRequests", "dropResponses"] as const) {
      const made = await led();
      const process = named(made, made.first);
      process[fault]();
      await made.cluster.until(() => leader(made) === undefined);
      await made.cluster.until(() => leader(made) !== undefined);
      expect(leader(made)).not.toBe(made.first);
      process.heal();
      await made.cluster.advance(5_000);
      expect(made.cluster.terms).toHaveLength(2);
    }
  });

  test("is only suspended while the server restarts or the connection is down", async () => {
    const made = await led();
    made.cluster.restartServer(1_000);
    await made.cluster.advance(500);
    expect(made.nodes.get(made.first)?.role).toBe("suspended");
    await made.cluster.until(() => leader(made) !== undefined);
    named(made, made.first).disconnect();
    expect(leader(made)).toBeUndefined();
    await made.cluster.advance(5_000);
    expect(new Set(made.cluster.terms.map(({ epoch }) => epoch))).toEqual(new Set([1]));
    expect(leader(made)).toBe(made.first);
  });

  test("survives a lost quorum that is shorter than its span, but not a longer one", async () => {
    const made = await led();
    made.cluster.loseQuorum(3_000);
    await made.cluster.advance(9_000);
    expect(made.cluster.terms).toHaveLength(1);
    made.cluster.loseQuorum(30_000);
    await made.cluster.advance(29_000);
    expect(leader(made)).toBeUndefined();
    await made.cluster.until(() => leader(made) !== undefined);
    expect(made.cluster.terms.length).toBeGreaterThan(1);
  });

  test("is lost with the bucket and gained in the recreated one, where remembered epochs continue", async () => {
    const made = await led();
    // Only what was read is remembered.
    await made.cluster.advance(10);
    made.cluster.deleteBucket();
    await made.cluster.until(() => leader(made) === undefined);
    await made.cluster.until(() => leader(made) !== undefined);
    expect(made.cluster.terms.at(-1)?.epoch).toBe(2);
  });

  test("is handed over to the named node, unless that does not answer", async () => {
    const made = await led();
    const [other = ""] = ["a", "b", "c"].filter((name) => name !== made.first);
    named(made, other).partition();
    const node = made.nodes.get(made.first);
    const refused = errorOf(node?.stepDown({ to: other }) ?? Promise.resolve());
    await made.cluster.advance(2_000);
    expect((await refused).code).toBe("HANDOVER_REFUSED");
    named(made, other).heal();
    await made.cluster.advance(5_000);
    void node?.stepDown({ to: other });
    await made.cluster.until(() => leader(made) === other);
  });
});

describe("time in a simulated cluster", () => {
  test("applies to timeouts of the library", { timeout: 60_000 }, async () => {
    const made = await led("ab");
    const follower = made.nodes.get(made.first === "a" ? "b" : "a");
    const waited = errorOf(follower?.campaign({ timeoutMs: 3_600_000 }) ?? Promise.resolve());
    await made.cluster.advance(3_600_000);
    expect((await waited).code).toBe("TIMEOUT");
    expect(made.cluster.terms).toHaveLength(1);
  });

  test("passes at the rate of a process's clock, whose wall clock can be set", async () => {
    const seen: number[] = [];
    const cluster = new SimulatedCluster();
    const fast: Program = async ({ sleep, now }) => {
      const began = now();
      await sleep(1_000);
      seen.push(cluster.now);
      process.stepWallClock(7_000);
      seen.push(now() - began - cluster.now);
    };
    const process = cluster.process("a", fast, { clockRate: 2 });
    await cluster.advance(2_000);
    expect(seen).toEqual([500, 7_000]);
    expect(process.alive).toBe(false);
  });

  test("rejects an aborted sleep as node:timers/promises does, whether aborted before or during it", async () => {
    const cluster = new SimulatedCluster();
    const names: string[] = [];
    cluster.process("a", async ({ sleep }) => {
      const controller = new AbortController();
      const early = sleep(1_000, "value", { signal: controller.signal });
      controller.abort();
      await early.catch(({ name, code }) => names.push(name, code));
      await sleep(1_000, "value", { signal: controller.signal }).catch(({ name }) => names.push(name));
      names.push(await sleep(1, "value", { signal: new AbortController().signal }));
    });
    await cluster.advance(2_000);
    expect(names).toEqual(["AbortError", "ABORT_ERR", "AbortError", "value"]);
  });
});

describe("calls of a simulated process", () => {
  test("arrive even after its end, and are answered if it is alive", async () => {
    const cluster = new SimulatedCluster({ latencyMs: 5 });
    const happened: string[] = [];
    const process = cluster.process("a", async ({ call }) => {
      happened.push(await call(() => "answered"));
      const failed = await call(() => Promise.reject(new Error("refused"))).catch(
        (error: Error) => error.message,
      );
      happened.push(failed);
      await call(() => happened.push("arrived"));
      happened.push("never");
    });
    await cluster.until(() => happened.includes("refused"));
    process.crash();
    await cluster.advance(1_000);
    expect(happened).toEqual(["answered", "refused", "arrived"]);
  });

  test("reject without an answer in time, but are still carried out", async () => {
    const cluster = new SimulatedCluster();
    const happened: string[] = [];
    const process = cluster.process("a", async ({ call }) => {
      const late = call(() => happened.push("arrived"), { timeoutMs: 100 });
      await late.catch((error: SimulationError) => happened.push(error.code));
    });
    process.delayCalls(500);
    await cluster.advance(1_000);
    expect(happened).toEqual(["no_answer", "arrived"]);
  });
});

describe("a simulation", () => {
  test("gives the same trace for the same seed, and another trace for another seed", async () => {
    const play = async (seed: number): Promise<readonly string[]> => {
      const { cluster } = make(seed);
      cluster.injectFaults({ count: 20, withinMs: 30_000 });
      await cluster.advance(40_000);
      return cluster.trace;
    };
    const once = await play(3);
    expect(once.length).toBeGreaterThan(20);
    expect(await play(3)).toEqual(once);
    expect(await play(4)).not.toEqual(once);
  });

  test("of 100 seeds of faults never has two leaders, has one leader at the end, and calls hooks in order", {
    timeout: 300_000,
  }, async () => {
    for (let seed = 1; seed <= 100; seed += 1) {
      const wrong: string[] = [];
      const { cluster } = make(seed, "abc", { hooks: (process) => strictHooks(process, wrong) });
      cluster.injectFaults({ count: 20, withinMs: 30_000 });
      await cluster.advance(60_000);
      const held = cluster.terms.filter(({ untilMs }) => untilMs === null);
      expect({ held: held.length, wrong }, `seed ${seed}\n${cluster.trace.join("\n")}`).toEqual({
        held: 1,
        wrong: [],
      });
    }
  });

  test("ends with a violation when two nodes lead: one has a clock that stands still", async () => {
    const still = (environment: NodeEnvironment, name: string): NodeEnvironment => {
      const frozenAt = environment.clock.now();
      const clock = {
        now: () => frozenAt,
        setTimer: environment.clock.setTimer.bind(environment.clock),
        every: environment.clock.every.bind(environment.clock),
        afterTurn: environment.clock.afterTurn.bind(environment.clock),
      };
      return name === "a" ? { ...environment, clock } : environment;
    };
    const made = make(1, "ab", { environment: still });
    await made.cluster.until(() => leader(made) === "a");
    named(made, "a").partition();
    const error = await errorOf(made.cluster.advance(60_000));
    expect(error.code).toBe("violation");
    expect(error.message).toContain("a with epoch 1 and b with epoch 2 hold the lease at once");
    expect(error.message).toContain("partitioned from NATS");
  });

  test("fails when a program throws, except after SIGTERM", async () => {
    const cluster = new SimulatedCluster();
    const process = cluster.process("a", async ({ terminated, sleep }) => {
      await sleep(1_000, undefined, { signal: terminated });
      throw new Error("no disk");
    });
    process.terminate();
    await cluster.advance(2_000);
    expect(process.alive).toBe(false);
    process.start();
    const error = await errorOf(cluster.advance(2_000));
    expect(error.code).toBe("program_failed");
    expect(error.message).toContain("no disk");
  });

  test("rejects invalid calls and options", async () => {
    const { cluster, nodes } = make(1, "a");
    expect(() => cluster.process("a", () => {})).toThrow('cannot add process "a"');
    expect(() => named({ cluster, nodes }, "a").start()).toThrow("running already");
    expect(() => new SimulatedCluster({ latencyMs: -1 })).toThrow("latencyMs is -1");
    expect(() => cluster.process("b", () => {}, { clockRate: Number.NaN })).toThrow("clockRate is NaN");
    const advancing = cluster.advance(1);
    expect((await errorOf(cluster.advance(1))).code).toBe("misused");
    await advancing;
    expect((await errorOf(cluster.until(() => false, 1_000))).code).toBe("not_reached");
    cluster.process("c", programOf(nodes, { options: { clusterId: "others" } }));
    await cluster.advance(1);
    expect(nodes.get("c")?.connected).toBe(false);
  });
});

test("stop() within a hook of one node waits for the hooks of another node", async () => {
  const seen: string[] = [];
  const cluster = new SimulatedCluster();
  const nodes = new Map<string, Node>();
  cluster.process(
    "a",
    programOf(nodes, {
      work: async ({ sleep }) => {
        await sleep(300);
        seen.push("work of a ended");
      },
    }),
  );
  await cluster.until(() => nodes.get("a")?.isLeader() === true);
  await cluster.advance(10);
  const onLeaderChange = async (): Promise<void> => {
    await nodes.get("a")?.stop();
    seen.push("a stopped");
    await nodes.get("b")?.stop();
    seen.push("b is stopping");
  };
  cluster.process("b", programOf(nodes, { hooks: () => ({ onLeaderChange }) }));
  await cluster.until(() => nodes.get("b")?.role === "stopped" && seen.length > 2);
  // The next call of the hook finds both nodes stopping or stopped, which is nothing to wait for.
  expect(seen.slice(0, 3)).toEqual(["work of a ended", "a stopped", "b is stopping"]);
});
