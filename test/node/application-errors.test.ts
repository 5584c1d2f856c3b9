/** What hooks and work throw, on a real server. */
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { deferred, within } from "../../scripts/shared/wait.ts";
import { ClusterError, type Hooks, type LeaderWork } from "../../src/index.ts";
import { freshId } from "../support/fresh-id.ts";
import { startNode, type TestNode } from "../support/node/test-node.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

async function started(hooks: Hooks = {}): Promise<TestNode> {
  return startNode(server, { clusterId: freshId(), nodeId: "a", cooldownMs: 60_000 }, hooks);
}

/** The work runs, the node stops, and the work ends as it does. */
async function stopDuring(
  work: LeaderWork,
): Promise<{ readonly node: TestNode; readonly result: Promise<void> }> {
  const node = await started();
  const running = deferred();
  const result = node.node.runWhileLeader((term, run) => {
    running.resolve();
    return work(term, run);
  });
  result.catch(() => {});
  await running.promise;
  await within(node.node.stop());
  return { node, result };
}

const revoked = Proxy.revocable({}, {});
revoked.revoke();
const HOSTILE = [
  ["an object without prototype", Object.create(null)],
  ["a revoked proxy", revoked.proxy],
  [
    "an error that cannot be read",
    Object.defineProperty(new Error("e"), "name", {
      get: () => {
        throw new Error("no");
      },
    }),
  ],
] as const;

describe("a value that cannot be shown", () => {
  test.each(HOSTILE)("thrown by onBecomeLeader, ends the term and is reported once: %s", async (_, value) => {
    const a = await started({
      onBecomeLeader() {
        throw value;
      },
    });
    const { error } = await a.next("hook-error");
    expect(error.cause).toBe(value);
    expect(await a.next("released")).toMatchObject({ drain: "complete" });
    expect(a.log.filter(({ fields }) => fields["event"] === "hook-error")).toHaveLength(1);
  });

  test.each(HOSTILE)(
    "thrown by work after its signal has aborted, rejects runWhileLeader(): %s",
    async (_, value) => {
      const { node, result } = await stopDuring(async (_term, { signal }) => {
        await once(signal, "abort");
        throw value;
      });
      const thrown = await result.catch((error: unknown) => error);
      expect(thrown).toBeInstanceOf(ClusterError);
      expect((thrown as ClusterError).code).toBe("HOOK_FAILED");
      expect((thrown as ClusterError).cause).toBe(value);
      expect(node.count("hook-error")).toBe(1);
      expect(await node.next("released")).toMatchObject({ drain: "complete" });
    },
  );
});

describe("an abort of the signal passed to runWhileLeader()", () => {
  test("is no failure when the work lets its reason pass, and does not cost the leadership", async () => {
    const a = await started();
    const stop = new AbortController();
    const running = deferred();
    const reason = new Error("SIGTERM received");
    let seen: unknown;
    const result = a.node.runWhileLeader(
      async (_, { signal }) => {
        running.resolve();
        await once(signal, "abort");
        seen = signal.reason;
        stop.signal.throwIfAborted();
      },
      { signal: stop.signal },
    );
    await running.promise;
    stop.abort(reason);
    await within(result);
    expect(seen).toMatchObject({ code: "ABORTED", cause: reason });
    expect(a.count("hook-error")).toBe(0);
    expect(a.node.isLeader()).toBe(true);
  });
});

describe("after the abort, a failure of the work's own is reported", () => {
  test.each<readonly [string, LeaderWork]>([
    ["an abort of its own controller", () => pause(60_000, undefined, { signal: AbortSignal.abort() })],
    [
      "an error that names the abort as its cause",
      (term) => Promise.reject(new Error("checkpoint not saved", { cause: term.signal.reason })),
    ],
  ])("%s", async (_, fail) => {
    const { node, result } = await stopDuring(async (term, run) => {
      await once(run.signal, "abort");
      await fail(term, run);
    });
    await expect(result).rejects.toMatchObject({ code: "HOOK_FAILED" });
    expect(node.count("hook-error")).toBe(1);
  });
});

test("listeners of term.signal and of the run's signal find both aborted, with one reason", async () => {
  const reasons: unknown[] = [];
  const { result } = await stopDuring(async (term, { signal }) => {
    for (const one of [term.signal, signal]) {
      one.addEventListener("abort", () => {
        reasons.push(term.signal.reason, signal.reason);
        for (const each of [term.signal, signal]) {
          try {
            each.throwIfAborted();
          } catch (error) {
            reasons.push(error);
          }
        }
      });
    }
    await once(signal, "abort");
  });
  await result;
  expect(reasons).toHaveLength(8);
  expect(new Set(reasons).size).toBe(1);
  expect(reasons[0]).toMatchObject({ code: "NOT_LEADER" });
});
