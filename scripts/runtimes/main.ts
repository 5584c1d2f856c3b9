/**
 * Runs the smoke test on each supported runtime, with the packed tarball: start and lead, answer a ping as micro service,
 * kill -9 of the leader, SIGTERM of the leader, a hook that stops its node, no server.
 *
 *   npm run --silent runtimes -- [--only node22,bun] [--json]
 *
 * The running Node serves as its own major version; the other runtimes are npm packages, kept in the cache
 * (NATS_LEADER_CACHE; about 100 MB each). `--json` prints `{failed, results}`; each result is `{runtime, version, ok, scenes}`
 * or `{runtime, ok: false, error}` if the runtime cannot be obtained. Exits with 0 only if every scene passed everywhere.
 */
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { startNatsServer } from "../../src/testing.ts";
import { readArguments } from "../shared/arguments.ts";
import { createProject, type Project } from "./project.ts";
import { isRuntimeName, obtainRuntime, RUNTIME_NAMES, type Runtime, type RuntimeName } from "./runtimes.ts";
import { type SceneResult, smokeTest } from "./smoke.ts";

endWhenOutputFails();

interface Result {
  readonly runtime: RuntimeName;
  readonly ok: boolean;
  readonly version?: string;
  readonly scenes?: readonly SceneResult[];
  readonly error?: string;
}

const values = readArguments(
  ["npm run runtimes --", "Runs the smoke test of the packed tarball on each supported runtime."],
  {
    only: { type: "string", value: "list", help: "runtimes, such as node22,bun (default: all)" },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const names = selected(values.only);
const progress = values.json ? (line: string) => console.error(line) : (line: string) => console.log(line);

await using server = await startNatsServer({ jetstream: true, onProgress: progress });
await using project = await createProject();
const results: Result[] = [];
for (const name of names) {
  const result = await tryRuntime(name, project, server.url);
  results.push(result);
  progress(describe(result));
}
const failed = results.filter(({ ok }) => !ok).length;
if (values.json) console.log(JSON.stringify({ failed, results }));
process.exitCode = failed === 0 ? 0 : 1;

function selected(only: string | undefined): readonly RuntimeName[] {
  if (only === undefined) return RUNTIME_NAMES;
  const wanted = only.split(",").map((name) => name.trim());
  const unknown = wanted.filter((name) => !isRuntimeName(name));
  if (unknown.length === 0) return wanted.filter(isRuntimeName);
  console.error(`--only ${only}: unknown runtime ${unknown.join(", ")}; known: ${RUNTIME_NAMES.join(", ")}`);
  process.exit(2);
}

async function tryRuntime(name: RuntimeName, project: Project, url: string): Promise<Result> {
  let runtime: Runtime;
  try {
    runtime = await obtainRuntime(name);
  } catch (error) {
    return { runtime: name, ok: false, error: error instanceof Error ? error.message : String(error) };
  }
  const scenes = await smokeTest(runtime, project, url);
  return { runtime: name, version: runtime.version, ok: scenes.every(({ ok }) => ok), scenes };
}

function describe({ runtime, version, ok, scenes = [], error }: Result): string {
  const label = `${runtime.padEnd(7)} ${(version ?? "").padEnd(8)}`;
  if (error !== undefined) return `${label} not available: ${error}`;
  const failure = scenes.find((scene) => !scene.ok);
  const times = scenes.map(({ scene, ms }) => `${scene} ${ms} ms`).join(", ");
  return `${label} ${ok ? `passed: ${times}` : `failed: ${failure?.scene}: ${failure?.error}`}`;
}
