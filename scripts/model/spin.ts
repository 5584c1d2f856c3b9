/** Runs a model of `model/` under Spin: generates, compiles and runs a verifier in a temporary folder, and parses its report. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Run } from "./run.ts";

const pathOf = ({ model }: Run): string =>
  fileURLToPath(new URL(`../../model/${model}.pml`, import.meta.url));
/** Memory limit of one verifier. A run that reaches it is `cut short`. */
const MEMORY_MB = 8_000;
/** Longest path of a depth-first search. A run that reaches it is `cut short`. */
const DEPTH = 5_000_000;

export interface Verdict {
  readonly name: string;
  readonly expect: Run["expect"];
  /** `cut short`: out of memory or depth; the run proves nothing. */
  readonly found: "holds" | "violated" | "cut short";
  readonly asExpected: boolean;
  /** The violated property. */
  readonly property: string | null;
  readonly states: number;
  /** Steps to the violation, or of the longest path. */
  readonly depth: number;
  /** User CPU time and memory of the search alone. */
  readonly seconds: number;
  readonly memoryMb: number;
  readonly macros: readonly string[];
  /** The path to the violation, one line per step. */
  readonly trace: readonly string[];
}

export class ToolsMissing extends Error {}

let tools: Promise<string | null> | null = null;

/** `null` if Spin and a C compiler are installed, otherwise a message with the missing tools and how to install them. */
export function missingTools(): Promise<string | null> {
  tools ??= findMissingTools();
  return tools;
}

async function findMissingTools(): Promise<string | null> {
  const missing: string[] = [];
  for (const [tool, ...args] of [
    ["spin", "-V"],
    // The verifier needs the headers of libc6-dev, too.
    ["gcc", "-E", "-include", "stdio.h", "-x", "c", "/dev/null"],
  ] as const) {
    const installed = await run(tool, args, tmpdir()).then(
      ({ code }) => code === 0,
      () => false,
    );
    if (!installed) missing.push(tool);
  }
  if (missing.length === 0) return null;
  return `${missing.join(" and ")} not found; on Debian and Ubuntu: apt-get install spin gcc libc6-dev`;
}

export async function verify(asked: Run, signal?: AbortSignal): Promise<Verdict> {
  const problem = await missingTools();
  if (problem !== null) throw new ToolsMissing(problem);
  const folder = await mkdtemp(join(tmpdir(), "nats-leader-model-"));
  try {
    return await verifyIn(folder, asked, signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function verifyIn(folder: string, asked: Run, signal: AbortSignal | undefined): Promise<Verdict> {
  const macros = macrosOf(asked);
  // Breadth-first search finds the shortest path to a violation. Where the search is short, compiling takes longer: -O2 three times -O1.
  const whole = asked.size === "quick" ? "-O1" : "-O2";
  const search = asked.expect === "holds" ? [whole] : ["-O0", "-DBFS"];
  await must("spin", [...macros, "-a", pathOf(asked)], folder, signal);
  await must(
    "gcc",
    ["-w", "-DSAFETY", "-DNOFAIR", `-DMEMLIM=${MEMORY_MB}`, ...search, "-o", "pan", "pan.c"],
    folder,
    signal,
  );
  const { output } = await run("sh", ["-c", `./pan -n -m${DEPTH}; times`], folder, signal);
  const number = (pattern: RegExp): number => Number(pattern.exec(output)?.[1] ?? Number.NaN);
  const errors = number(/errors: (\d+)/);
  const states = number(/([\d.e+]+) states, stored/);
  if (Number.isNaN(errors) || Number.isNaN(states)) {
    throw new Error(`cannot parse the verifier's report on "${asked.name}":\n${output}`);
  }
  // Spin's messages about an incomplete search.
  const short = /search was not completed|Search not completed|search depth too small|out of memory/.test(
    output,
  );
  const found =
    errors > 0 && !/search depth too small/.test(output) ? "violated" : short ? "cut short" : "holds";
  const property = found === "violated" ? propertyOf(output) : null;
  const minutes = [...output.matchAll(/(\d+)m([\d.]+)s (\d+)m([\d.]+)s/g)].at(-1);
  return {
    name: asked.name,
    expect: asked.expect,
    found,
    asExpected: isAsExpected(asked, found, property),
    property,
    states,
    depth: number(/depth reached (\d+)/),
    seconds: Math.round((Number(minutes?.[1]) * 60 + Number(minutes?.[2])) * 10) / 10,
    memoryMb: Math.round(number(/([\d.]+)\s+total actual memory usage/)),
    macros,
    trace: found === "violated" ? await traceOf(folder, asked) : [],
  };
}

export function macrosOf({ bounds, macros }: Run): string[] {
  const values = Object.entries(bounds).map(([name, value]) => `-D${name}=${value}`);
  return [...values, ...macros.map((name) => `-D${name}`)];
}

const PROBE = "the probe";
/** The properties, recognized by the text of the violated assertion in the verifier's output. */
const PROPERTIES: readonly (readonly [pattern: RegExp, property: string])[] = [
  [/shown_epoch>largest/, "an epoch does not increase"],
  [/term\[0\]==1.*term\[1\]==1/, "two members are held at once"],
  [/number>termSession/, "a term is held although its session is over"],
  [/rev==termRev/, "a term is held without its key"],
  [/o\.session==w\[.*s\[o\.id\]/, "a claim replaces the claim of a session that is not over"],
  [/o\.session==w\[/, "a release removes the claim of another session"],
  [/token<=last/, "an epoch exceeds the revision of its first record"],
  [/\.asked/, "a term begins on a record whose deletion was requested"],
  [/lastTerm/, "an epoch does not increase"],
  [/since>=/, "a takeover before W, without release and without confirmed death"],
  [/>=seen/, "an observed revision decreases"],
  [/>=high|>=?\(?high|high\[/, "an observed epoch decreases"],
  [/\.left>0/, "a term begins after its deadline"],
  [/how!=|assertion violated 0 |%2\)==0|role\[\(1-/, PROBE],
  [/role\[0\]==2/, "two terms are held at once"],
  [/replaced&&/, "the holder acts after it was replaced"],
  [/overlap<=/, "the holder acts for too long after it was replaced"],
  [/invalid end state/, "deadlock: no step is possible"],
];

function propertyOf(output: string): string {
  const assertion = /pan:1: (.*)/.exec(output)?.[1] ?? "";
  return PROPERTIES.find(([pattern]) => pattern.test(assertion))?.[1] ?? assertion;
}

function isAsExpected({ expect }: Run, found: Verdict["found"], property: string | null): boolean {
  if (expect === "holds") return found === "holds";
  return found === "violated" && (expect === "reached") === (property === PROBE);
}

/** Replays the trail. Each step is shown as the comment of the model's option that was taken. */
async function traceOf(folder: string, asked: Run): Promise<string[]> {
  const path = pathOf(asked);
  const source = (await readFile(path, "utf8")).split("\n");
  const { output } = await run(
    "spin",
    ["-t", "-p", "-k", `${asked.model}.pml.trail`, ...macrosOf(asked), path],
    folder,
  );
  const trace: string[] = [];
  let last = "";
  // The number in parentheses is a priority.
  for (const [, step, number, name, line] of output.matchAll(
    /^ *(\d+):\s+proc +(\d+) \((\w+):\d+\) \S+?:(\d+) /gm,
  )) {
    if (step === undefined || step === last || name === undefined) continue;
    last = step;
    // The second half of a read or a watched message; its first half is in the trace.
    if (source[Number(line) - 1]?.trimStart().startsWith("d_step") === true) continue;
    const label = labelAt(source, Number(line));
    if (label !== null) trace.push(`${actorOf(name, Number(number))}: ${label}`);
  }
  return trace;
}

/** Process 0 is `init`; node 0 of `lease.pml` is process 1, and so is member 0 of `group.pml`. */
function actorOf(name: string, number: number): string {
  const actor = name.toLowerCase();
  return name === "Node" || name === "Member" ? `${actor} ${number - 1}` : actor;
}

/** The comment of the option to which this line belongs. */
function labelAt(source: readonly string[], line: number): string | null {
  for (let at = line - 1; at >= 0; at -= 1) {
    const option = /^ {2}:: (?:d_step|atomic) \{ \/\* (.*) \*\//.exec(source[at] ?? "");
    if (option !== null) return option[1] ?? null;
    if (/^(?:proctype|inline|init)/.test(source[at] ?? "")) return null;
  }
  return null;
}

async function must(
  command: string,
  args: readonly string[],
  folder: string,
  signal?: AbortSignal,
): Promise<void> {
  const { code, output } = await run(command, args, folder, signal);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} failed:\n${output}`);
}

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  signal?: AbortSignal,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    // A process group of its own, so that a kill ends the shell and the verifier.
    const child = spawn(command, args, { cwd, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const end = (): void => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    };
    signal?.addEventListener("abort", end, { once: true });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (output += text));
    child.on("error", reject);
    child.on("close", (code) => {
      signal?.removeEventListener("abort", end);
      if (signal?.aborted === true) reject(signal.reason);
      else resolve({ code, output });
    });
  });
}
