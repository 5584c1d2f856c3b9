/** SIGTERM at any moment of a start: exit code 0, and nothing is left behind. */
import { expect, test } from "vitest";
import { Manager } from "../../src/manager/manager.ts";
import { configFile, configFor, start } from "../support/cli/run-cli.ts";
import { freshId } from "../support/fresh-id.ts";
import { countingProxy } from "../support/nats/message-count.ts";
import { groupOf, stateOf } from "../support/processes/proc.ts";
import type { Child } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** A start that leads takes about 20 parts; the program of `run` starts within them. */
const MOMENTS = [0, 5, 11, 13, 14, 15, 17, 20];

interface Outcome {
  readonly exit: object;
  readonly trace: boolean;
  readonly lease: unknown;
  readonly program: string;
}

async function stopped(args: readonly string[], moment: number, isSilent: boolean): Promise<Outcome> {
  const clusterId = freshId();
  let child: Child<{ readonly text?: string }> | null = null;
  const proxy = await countingProxy(server, moment, () => {
    child?.kill("SIGTERM");
    return isSilent;
  });
  const [command = "", ...rest] = args;
  const config = configFile(configFor(proxy, clusterId, "a"));
  child = start([command, "--config", config, ...rest]);
  const exit = await child.exit;
  const pid = Number(/program started.* pid=(\d+)/.exec(child.stderr)?.[1] ?? 0);
  const { lease } = await new Manager(configFor(server, clusterId, "a"), {}, { logger: false }).status();
  const text = child.stderr + child.lines.map((line) => line.text).join("\n");
  return {
    exit,
    trace: /^ +at /m.test(text),
    lease,
    program: pid === 0 || groupOf(pid) !== pid ? "X" : stateOf(pid),
  };
}

const CLEAN: Outcome = { exit: { code: 0, signal: null }, trace: false, lease: null, program: "X" };

async function atEveryMoment(args: readonly string[], moments: readonly number[], isSilent = false) {
  const left = [...moments];
  const found: Record<number, Outcome> = {};
  const workers = Array.from({ length: 4 }, async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      found[next] = await stopped(args, next, isSilent);
    }
  });
  await Promise.all(workers);
  return found;
}

const allClean = (moments: readonly number[]) => Object.fromEntries(moments.map((moment) => [moment, CLEAN]));

test.each([
  ["daemon", ["daemon"]],
  ["run", ["run", "--", "sh", "-c", "exec sleep 600"]],
])("of %s", async (_name, args) => {
  expect(await atEveryMoment(args, MOMENTS)).toEqual(allClean(MOMENTS));
});

test("of a daemon whose server is silent from that moment on", async () => {
  const moments = [0, 9];
  expect(await atEveryMoment(["daemon"], moments, true)).toEqual(allClean(moments));
});
