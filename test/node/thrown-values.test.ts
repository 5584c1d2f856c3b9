/** Whatever application code throws: it is described, carried on, and takes nothing else with it. */
import vm from "node:vm";
import { describe, expect, test } from "vitest";
import { deferred } from "../../scripts/shared/wait.ts";
import { asError, ClusterError, messageOf } from "../../src/errors.ts";
import { createLogger } from "../../src/log/logger.ts";
import { redact } from "../../src/log/redact.ts";
import { repeatsAbort } from "../../src/runtime/application/repeated-abort.ts";
import { runnerWith } from "../support/node/bare-runner.ts";

const revoked = Proxy.revocable({}, {});
revoked.revoke();

/** An error of which one property throws when it is read. */
function unreadable(name: "name" | "message" | "stack" | "cause"): Error {
  return Object.defineProperty(new Error("e"), name, {
    get() {
      throw new TypeError(`reads ${name}`);
    },
  });
}

const HOSTILE: readonly (readonly [string, unknown])[] = [
  ["an object without prototype", Object.create(null)],
  [
    "a toString that throws",
    {
      toString: () => {
        throw new Error("toString");
      },
    },
  ],
  ["a toString that returns an object", { toString: () => ({}) }],
  ["a revoked proxy", revoked.proxy],
  ["a symbol", Symbol("s")],
  ["undefined", undefined],
  ["null", null],
  ["an error whose name throws", unreadable("name")],
  ["an error whose message throws", unreadable("message")],
  ["an error whose stack throws", unreadable("stack")],
  ["an error whose cause throws", unreadable("cause")],
];

describe("a thrown value", () => {
  test.each(HOSTILE)("becomes an error that can be read and logged: %s", (_, value) => {
    expect(messageOf(value)).not.toBe("");
    const error = asError(value);
    expect([error.name, error.message, error.stack].map((text) => typeof text)).toEqual([
      "string",
      "string",
      "string",
    ]);
    expect(error.cause).toBe(value);
    expect(redact({ err: error })).toMatchObject({ err: { message: error.message } });
    expect(repeatsAbort(value, [AbortSignal.abort(new Error("why"))])).toBe(false);
  });

  test("that is an error stays the same object, also one of another realm", () => {
    const foreign: unknown = vm.runInNewContext("new Error('elsewhere')");
    expect(asError(foreign)).toBe(foreign);
    expect(messageOf(foreign)).toBe("elsewhere");
  });

  test("that is a plain object is described by its fields, and kept as the cause", () => {
    const thrown = { code: "E_DISK", detail: "disk full" };
    expect(messageOf(thrown)).toBe("{ code: 'E_DISK', detail: 'disk full' }");
    expect(asError(thrown)).toMatchObject({ message: messageOf(thrown), cause: thrown });
  });

  test("of any size has a message of bounded length", () => {
    expect(messageOf(new Error("x".repeat(1_000_000))).length).toBeLessThan(20_000);
    expect(messageOf({ text: "x".repeat(1_000_000), list: Array(100_000).fill(1) }).length).toBeLessThan(
      20_000,
    );
  });

  test("of a field that throws hides that field only", () => {
    const fields = {
      event: "x",
      get broken(): never {
        throw new Error("no");
      },
    };
    expect(redact(fields)).toEqual({ event: "x", broken: "[unreadable]" });
  });
});

test.each(HOSTILE)("a logger that throws does not disturb its caller: %s", (_, value) => {
  const fails = (): never => {
    throw value;
  };
  const logger = createLogger({ logger: { debug: fails, info: fails, warn: fails, error: fails } });
  expect(() => logger.info({ event: "started" }, "started")).not.toThrow();
});

describe("an error only repeats the abort", () => {
  const reason = new Error("the term has ended");
  const abortError = (fields: object, message = "The operation was aborted"): Error =>
    Object.assign(new Error(message), { name: "AbortError" }, fields);

  test.each<readonly [string, unknown, boolean]>([
    ["the reason itself", reason, true],
    ["an AbortError of the platform with the reason", abortError({ code: "ABORT_ERR", cause: reason }), true],
    ["an AbortError around such an error", abortError({ cause: abortError({ cause: reason }) }), true],
    [
      "an error of this library for a call that was given the signal",
      new ClusterError("ABORTED", "aborted", { cause: reason }),
      true,
    ],
    [
      "an error of this library around the failure of a request",
      new ClusterError("OUTCOME_UNKNOWN", "unknown", { cause: new Error("request", { cause: reason }) }),
      true,
    ],
    [
      "an error of this library about an error of the application",
      new ClusterError("HOOK_FAILED", "failed", { cause: new Error("not saved", { cause: reason }) }),
      false,
    ],
    [
      "an error of this library for a call that was given another one",
      new ClusterError("ABORTED", "aborted", { cause: new Error("own") }),
      false,
    ],
    ["an AbortError of a library without a cause", abortError({}), true],
    [
      "an AbortError of another realm",
      vm.runInNewContext("Object.assign(new Error('aborted'), { name: 'AbortError' })"),
      true,
    ],
    ["an AbortError of another controller", abortError({ cause: AbortSignal.abort().reason }), false],
    ["the default reason of another controller", AbortSignal.abort().reason, false],
    [
      "an error of the application with the reason as its cause",
      new Error("not saved", { cause: reason }),
      false,
    ],
    ["an error of the application", new Error("the term has ended"), false],
  ])("%s: %s is %s", (_, error, expected) => {
    expect(repeatsAbort(error, [undefined, AbortSignal.abort(reason)])).toBe(expected);
  });

  test("not before the signal has aborted", () => {
    expect(repeatsAbort(abortError({}), [new AbortController().signal])).toBe(false);
  });

  test("with the reason of any of the signals, also one that is no error", () => {
    expect(repeatsAbort("SIGTERM", [AbortSignal.abort(reason), AbortSignal.abort("SIGTERM")])).toBe(true);
  });
});

describe("one step that fails takes nothing else with it", () => {
  const become = { type: "election", output: { type: "become-leader", epoch: 1, acquiredAt: 0 } } as const;
  const drain = { type: "election", output: { type: "drain", epoch: 1, reason: "released" } } as const;

  test("a notification", async () => {
    const lost = deferred<string>();
    const { runner, sent, defects } = runnerWith({
      hooks: { onLoseLeadership: (_, why) => lost.resolve(why) },
      notify() {
        throw new Error("no log");
      },
      defect: (during) => {
        defects.push(during);
        throw new Error("no log either");
      },
    });
    runner.dispatch(become);
    await new Promise(setImmediate);
    runner.dispatch(drain);
    expect(await lost.promise).toBe("released");
    await new Promise(setImmediate);
    expect(sent).toEqual(["drained"]);
    expect(defects.every((during) => during === "notify")).toBe(true);
    expect(defects.length).toBeGreaterThan(2);
  });

  test("the lookup of a hook, which counts as the hook's failure", async () => {
    const errors: unknown[] = [];
    const ended: unknown[] = [];
    const { runner, sent } = runnerWith({
      hookEnded: ({ hook }, failed) => void ended.push([hook, failed]),
      hooks: Object.defineProperty({}, "onBecomeLeader", {
        get() {
          throw new Error("no hook");
        },
      }),
      notify: (notice) => void (notice.type === "hook-error" && errors.push(notice.error)),
    });
    runner.dispatch(become);
    await new Promise(setImmediate);
    expect(errors).toMatchObject([{ message: "no hook" }]);
    expect(ended).toEqual([["onBecomeLeader", true]]);
    expect(sent).toEqual(["resign"]);
  });

  test("what cannot be closed", async () => {
    const { runner, defects } = runnerWith({
      close: async () => {
        throw new Error("socket");
      },
    });
    const caller = { inside: [], awaited: false };
    const stopped = runner.ask({}, (wait, timeoutMs) => ({ type: "stop", wait, caller, timeoutMs }));
    runner.dispatch({ type: "election", output: { type: "stopped" } });
    expect(await stopped).toMatchObject({ kind: "stopped" });
    expect(defects).toEqual(["close"]);
  });
});
