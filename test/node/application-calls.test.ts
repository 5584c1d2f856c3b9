/** Calls that hooks and work make of their own node, and calls with arguments that are wrong. */
import { EventEmitter, once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { deferred, waitFor, within } from "../../scripts/shared/wait.ts";
import type { Caller } from "../../src/application/types.ts";
import type { StepDownResult, StopResult } from "../../src/index.ts";
import { callerOf, runCode } from "../../src/runtime/application/application-code.ts";
import { freshId } from "../support/fresh-id.ts";
import { runnerWith } from "../support/node/bare-runner.ts";
import { makeNode, startLeader } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** What TypeScript makes of an async function for the targets ES2015 and ES2016. */
function compiledAsync(body: () => Generator<unknown, unknown, unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const steps = body();
    const step = ({ done, value }: IteratorResult<unknown, unknown>): void => {
      if (done === true) resolve(value);
      else Promise.resolve(value).then((result) => step(steps.next(result)), reject);
    };
    step(steps.next());
  });
}

type Call<T> = () => Promise<T>;

/** Calls that the code awaits, and that the stack shows. */
const PROVEN: readonly (readonly [string, (call: Call<unknown>) => unknown])[] = [
  ["at once", (call) => call()],
  [
    "after an await",
    async (call) => {
      await pause(1);
      return await call();
    },
  ],
  [
    "by Promise.race()",
    async (call) => {
      await pause(1);
      await Promise.race([call(), pause(60_000, undefined, { ref: false })]);
    },
  ],
  [
    "in finally",
    async (call) => {
      try {
        await pause(1);
      } finally {
        await call();
      }
    },
  ],
];

/** Calls that the code awaits, although no stack shows it. */
const UNPROVEN: readonly (readonly [string, (call: Call<unknown>) => unknown])[] = [
  [
    "in compiled async code",
    (call) =>
      compiledAsync(function* () {
        yield pause(1);
        return yield call();
      }),
  ],
  [
    "in a timer",
    (call) =>
      new Promise((resolve, reject) => {
        setTimeout(() => void call().then(resolve, reject), 1);
      }),
  ],
  [
    "through an event",
    async (call) => {
      const bus = new EventEmitter();
      setTimeout(() => void call().then(() => bus.emit("done")), 1);
      await once(bus, "done");
    },
  ],
  [
    "in 200 nested calls",
    async (call) => {
      const nested = async (depth: number): Promise<unknown> =>
        depth === 0 ? await call() : await nested(depth - 1);
      await pause(1);
      await nested(200);
    },
  ],
];

describe("the code that a call comes from", () => {
  const { prepareStackTrace, stackTraceLimit } = Error;
  afterEach(() => {
    Error.prepareStackTrace = prepareStackTrace;
    Error.stackTraceLimit = stackTraceLimit;
  });
  const owner = {};

  async function callerIn(way: (call: Call<unknown>) => unknown): Promise<Caller> {
    const caller = deferred<Caller>();
    await runCode(owner, 7, () => way(async () => caller.resolve(callerOf(owner))));
    return caller.promise;
  }

  test.each(PROVEN)("awaits a call %s", async (_, way) => {
    expect(await callerIn(way)).toEqual({ inside: [7], awaited: true });
  });

  test.each(UNPROVEN)("may await a call %s", async (_, way) => {
    expect(await callerIn(way)).toEqual({ inside: [7], awaited: false });
  });

  test("may, but need not await a listener's call that it causes", async () => {
    const bus = new EventEmitter();
    const target = new EventTarget();
    expect(
      await callerIn((call) => {
        bus.on("x", () => void call());
        bus.emit("x");
      }),
    ).toMatchObject({ awaited: false });
    expect(
      await callerIn((call) => {
        target.addEventListener("x", () => void call());
        target.dispatchEvent(new Event("x"));
      }),
    ).toMatchObject({ awaited: false });
  });

  test("includes the code that has registered it, and not the code that happened to start it", async () => {
    const callers: Caller[] = [];
    await runCode(owner, 7, async () => {
      await runCode(owner, 8, () => void callers.push(callerOf(owner)), 7);
      await runCode(owner, 9, () => void callers.push(callerOf(owner)));
    });
    expect(callers.map(({ inside }) => inside)).toEqual([[8, 7], [9]]);
  });

  test("is none for another owner, and once it has ended", async () => {
    const late = deferred<Caller>();
    const gate = deferred();
    await runCode(owner, 7, () => {
      expect(callerOf({})).toEqual({ inside: [], awaited: false });
      void gate.promise.then(() => late.resolve(callerOf(owner)));
    });
    gate.resolve();
    expect(await late.promise).toEqual({ inside: [], awaited: false });
  });

  test("is found whatever formatter the application has, which is kept", async () => {
    const formatters = [
      () => {
        throw new Error("formatter");
      },
      (_: Error, sites: readonly unknown[]) => sites,
    ];
    for (const formatter of formatters) {
      Error.prepareStackTrace = formatter;
      Error.stackTraceLimit = 3;
      expect(await callerIn((call) => call())).toEqual({ inside: [7], awaited: true });
      expect(Error.prepareStackTrace).toBe(formatter);
      expect(Error.stackTraceLimit).toBe(3);
    }
  });
});

describe("work that awaits a call which waits for the work", () => {
  test.each(UNPROVEN)("stop() %s: it is answered, and the drain is complete", async (_, way) => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", drainTimeoutMs: 200 });
    let result: StopResult | undefined;
    await within(
      a.node.runWhileLeader(async () => {
        await way(async () => {
          result = await a.node.stop();
        });
      }),
    );
    expect(result).toMatchObject({ pending: true, term: { epoch: 1, drain: "pending", leaseDeleted: null } });
    expect(await a.next("released")).toMatchObject({ drain: "complete" });
    await a.next("stopped");
  });

  test("stepDown() in a timer: it is answered, and the drain is complete", async () => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a", drainTimeoutMs: 200 });
    let result: StepDownResult | undefined;
    const stop = new AbortController();
    const work = a.node.runWhileLeader(
      () =>
        new Promise<void>((resolve) => {
          setTimeout(async () => {
            result = await a.node.stepDown();
            resolve();
          }, 1);
        }),
      { signal: stop.signal },
    );
    expect(await a.next("released")).toMatchObject({ drain: "complete" });
    expect(result).toEqual({ epoch: 1, leaseDeleted: null, drain: "pending" });
    stop.abort();
    await work;
  });
});

test("a hook that has outlived a stop may await the stop after the next start", async () => {
  const gate = deferred();
  const result = deferred<StopResult>();
  const a = makeNode(
    server,
    { clusterId: freshId(), nodeId: "a", drainTimeoutMs: 100 },
    {
      async onLeaderChange() {
        await gate.promise;
        result.resolve(await a.node.stop());
      },
    },
  );
  await a.start();
  await a.called("onLeaderChange");
  expect(await a.node.stop()).toMatchObject({ unfinished: ["onLeaderChange"], pending: false });
  await a.start();
  gate.resolve();
  expect(await within(result.promise)).toMatchObject({ pending: true });
  expect(await within(a.node.stop())).toMatchObject({ unfinished: [] });
});

test("stop() in a listener that work triggers resolves when the work has cleaned up", async () => {
  const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
  const bus = new EventEmitter();
  const stopped = deferred<readonly [cleaned: boolean, result: StopResult]>();
  let cleaned = false;
  bus.on("fatal", async () => {
    const result = await a.node.stop();
    stopped.resolve([cleaned, result]);
  });
  const work = a.node.runWhileLeader(async (_, { signal }) => {
    await pause(1);
    bus.emit("fatal");
    if (!signal.aborted) await once(signal, "abort");
    await pause(50);
    cleaned = true;
  });
  expect(await within(stopped.promise)).toMatchObject([
    true,
    { pending: false, term: { drain: "complete" } },
  ]);
  await work;
});

describe("runWhileLeader() in a hook", () => {
  test.each(UNPROVEN)("onBecomeLeader, called %s, runs in that term", async (_, way) => {
    const ran = deferred<number>();
    const a = makeNode(
      server,
      { clusterId: freshId(), nodeId: "a" },
      { onBecomeLeader: () => way(() => a.node.runWhileLeader((term) => ran.resolve(term.epoch))) },
    );
    await a.start();
    expect(await within(ran.promise)).toBe(1);
    expect(await within(a.node.stop())).toMatchObject({ term: { drain: "complete" } });
  });

  test("onLeaderChange runs in the running term, and does not keep the next one from beginning", async () => {
    const ran: number[] = [];
    const refused: unknown[] = [];
    const a = makeNode(
      server,
      { clusterId: freshId(), nodeId: "a", cooldownMs: 0 },
      {
        async onLeaderChange() {
          const work = a.node.runWhileLeader(async (term, { signal }) => {
            ran.push(term.epoch);
            await once(signal, "abort");
          });
          await work.catch((error: unknown) => refused.push(error));
        },
      },
    );
    await a.start();
    await waitFor(() => ran.length === 1);
    expect(await within(a.node.stepDown())).toMatchObject({ epoch: 1, drain: "complete" });
    await waitFor(() => ran.length === 2);
    expect(ran).toEqual([1, 2]);
    await within(a.node.stop());
    for (const error of refused)
      expect(error).toMatchObject({ code: "NOT_LEADER", message: expect.stringContaining("onLeaderChange") });
  });
});

test("campaign() resolves with its term, also if that has ended before the caller goes on", async () => {
  const { runner } = runnerWith();
  runner.dispatch({ type: "election", output: { type: "become-leader", epoch: 1, acquiredAt: 0 } });
  const answer = runner.ask({}, (wait, timeoutMs) => ({
    type: "wait",
    wait,
    for: { kind: "leadership" },
    timeoutMs,
  }));
  runner.dispatch({ type: "election", output: { type: "lose-leadership", epoch: 1, reason: "expired" } });
  await new Promise(setImmediate);
  expect(runner.termOf(1)).toBeUndefined();
  const { term } = await answer;
  expect(term).toMatchObject({ epoch: 1, lossReason: "expired" });
});

describe("arguments that are wrong reject with INVALID_CONFIG, and nothing is registered", () => {
  const SIGNALS = [
    [
      "a controller",
      new AbortController(),
      "signal must be an AbortSignal, not an AbortController: pass its property signal",
    ],
    ["a string", "x", "signal must be an AbortSignal, not a string"],
    ["null", null, "signal must be an AbortSignal, not null"],
    ["an object", {}, "signal must be an AbortSignal, not another object"],
  ] as const;
  const methods = ["start", "stop", "stepDown", "withdraw", "campaign", "runWhileLeader", "events"] as const;

  test.each(methods)("%s()", async (method) => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    const { node } = a;
    const call = async (options: unknown): Promise<void> => {
      const work = (): void => {};
      if (method === "runWhileLeader") await node.runWhileLeader(work, options as never);
      else await node[method](options as never);
    };
    for (const [, signal, message] of SIGNALS) {
      await expect(call({ signal })).rejects.toMatchObject({ code: "INVALID_CONFIG", message });
    }
    for (const options of method === "stop" ? [] : [null, 5, "x"]) {
      await expect(call(options)).rejects.toMatchObject({
        code: "INVALID_CONFIG",
        message: expect.stringContaining("options must be an object"),
      });
    }
    await a.leads();
    expect(a.count("lose-leadership")).toBe(0);
  });

  test("stop() ignores what is no object: it must not fail as a listener of a signal", async () => {
    const { node } = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    expect(await node.stop("SIGTERM" as never)).toMatchObject({ reason: "requested" });
    expect(node.role).toBe("stopped");
  });

  test.each([undefined, null, "x", 42])("runWhileLeader(%s)", async (work) => {
    const a = await startLeader(server, { clusterId: freshId(), nodeId: "a" });
    await expect(a.node.runWhileLeader(work as never)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining("work must be a function, not "),
    });
    await a.leads();
    expect(a.count("lose-leadership")).toBe(0);
  });
});
