/** The data bridge with real processes: killed, frozen and scaled while ticks flow, and every message counted in the end. */
import { get } from "node:http";
import { expect, test } from "vitest";
import { findPostgres } from "../../examples/singleton-writer/private-postgres.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { START_MS } from "../support/patience.ts";
import { descendantsOf, stateOf } from "../support/processes/proc.ts";
import { type Child, spawnChild } from "../support/processes/spawn-child.ts";

interface Line {
  readonly type?: string;
  readonly text?: string;
  readonly instances?: readonly { readonly partitions: readonly { readonly paused: boolean }[] }[];
}

const MAIN = "examples/data-bridge/main.ts";
const QUICK = ["--json", "--rate", "300", "--settle-ms", "300", "--restart-ms", "100"];
const WHOLE_MS = 120_000;

function start(...args: string[]): Child<Line> {
  // What the machine of a developer names is not to be used.
  const env = { NATS_URL: "", NATS_HOST: "", NATS_PORT: "", NATS_TOKEN: "" };
  return spawnChild<Line>(MAIN, { args: [...QUICK, ...args], env });
}

function says(pattern: RegExp) {
  return ({ text = "" }: Line): boolean => pattern.test(text);
}

const withSql = findPostgres() !== null;
const why = withSql ? "" : " (SKIPPED: PostgreSQL is not installed)";

for (const sink of ["postgres", "ledger"]) {
  const isSkipped = sink === "postgres" && !withSql;
  test.skipIf(isSkipped)(
    `every message is stored exactly once while instances are killed, frozen and scaled: ${sink}${isSkipped ? why : ""}`,
    async () => {
      await using bridge = start("--check", "--sink", sink);
      for (const step of [/instance 2 has ended \(SIGKILL\)/, /^> thaw 1/, /^> scale 5/, /^> scale 1/])
        await bridge.next(says(step), WHOLE_MS);
      const result = await bridge.next(({ type }) => type === "result", WHOLE_MS);
      const { messages } = result as { messages?: number };
      expect(messages).toBeGreaterThan(300);
      expect(result).toMatchObject({
        ok: true,
        deadLetters: 2,
        lost: 0,
        duplicates: 0,
        staleAccepted: 0,
        problems: [],
      });
      expect(await bridge.exit).toEqual({ code: 0, signal: null });
      expect(bridge.stderr).toBe("");
    },
    WHOLE_MS,
  );
}

test(
  "a slow sink pauses partitions, restarts of the servers pass, and health and metrics name the instance",
  async () => {
    const restarts = withSql ? "restart postgres; restart nats" : "restart nats";
    const script = `wait balanced; slow on; wait paused; slow off; wait resumed; ${restarts}; wait balanced`;
    await using bridge = start(
      "--instances",
      "2",
      "--batch",
      "10",
      "--max-pending",
      "20",
      "--script",
      script,
    );
    const ready = await bridge.next(says(/instance 1 is ready/), START_MS);
    const [, base = ""] = /(http:\/\/\S+)\/health/.exec(ready.text ?? "") ?? [];
    const id = /^ticks-1-[0-9a-f]{6}$/;
    const health = JSON.parse(await read(`${base}/health`)) as { instanceId: string };
    expect(health).toMatchObject({ instanceId: expect.stringMatching(id), instanceNumber: 1 });
    const samples = (await read(`${base}/metrics`)).split("\n").filter((line) => /^[^#]/.test(line));
    const own = [`instance_id="${health.instanceId}"`, 'instance_number="1"'];
    const member = `group="ticks-bridge",node="${health.instanceId}"`;
    const ofProcess = samples.filter((line) => !line.startsWith("nats_leader_"));
    expect(ofProcess.filter((line) => !own.every((label) => line.includes(label)))).toEqual([]);
    expect(samples.filter((line) => line.startsWith("nats_leader_") && !line.includes(member))).toEqual([]);
    const value = (name: string): number =>
      Number(
        samples
          .find((line) => line.startsWith(`${name}{`))
          ?.split(" ")
          .at(-1),
      );
    expect(value("nats_leader_resources_owned")).toBeGreaterThanOrEqual(0);
    expect(value("bridge_connected")).toBe(1);
    expect(value("bridge_partitions")).toBeLessThanOrEqual(6);
    await bridge.next(says(/partition \d is paused/), WHOLE_MS);
    await bridge.next(says(/partition \d is resumed/), WHOLE_MS);
    const result = await bridge.next(({ type }) => type === "result", WHOLE_MS);
    expect(result).toMatchObject({ ok: true, lost: 0, duplicates: 0, staleAccepted: 0, problems: [] });
    expect((await bridge.exit).code).toBe(0);
  },
  WHOLE_MS,
);

test.skipIf(process.platform !== "linux").each([
  ["while instances start", /instance 2 is started/, "SIGINT", 130],
  ["while it runs", /instance \d owns partition/, "SIGTERM", 143],
  ["while an instance is frozen", /^> pause 60000/, "SIGINT", 130],
] as const)(
  "no process is left behind when the starter is interrupted %s",
  async (_when, moment, signal, code) => {
    await using bridge = start("--script", "wait taken; freeze 1; wait 60s");
    await bridge.next(says(moment), WHOLE_MS);
    const pids = descendantsOf(bridge.pid);
    expect(pids.length).toBeGreaterThan(2);
    bridge.kill(signal);
    expect(await bridge.exit).toEqual({ code, signal: null });
    await waitFor(() => pids.every((pid) => stateOf(pid) === "X"), { message: "its processes to end" });
  },
  WHOLE_MS,
);

test.skipIf(process.platform !== "linux")(
  "no process is left behind when the starter is killed while an instance is frozen",
  async () => {
    await using bridge = start("--script", "wait taken; freeze 1; wait 60s");
    await bridge.next(says(/^> pause 60000/), WHOLE_MS);
    const pids = descendantsOf(bridge.pid);
    bridge.kill("SIGKILL");
    await bridge.exit;
    await waitFor(() => pids.every((pid) => stateOf(pid) === "X"), {
      timeoutMs: WHOLE_MS,
      message: "its processes to end",
    });
  },
  WHOLE_MS,
);

test("wrong options and scripts are refused before anything starts", async () => {
  await using options = start("--instances", "many");
  expect((await options.exit).code).toBe(2);
  expect(options.stderr).toContain("--instances (instances) must be a whole number from 0 to 64");
  await using script = start("--script", "kill all");
  expect((await script.exit).code).toBe(2);
  expect(script.stderr).toContain('"kill all": kill needs a whole number from 1 to 64');
});

function read(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
    }).on("error", reject);
  });
}
