/** The summary of .ci/run, of steps that vitest has run in fact: another form of its output is found here. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runToExit } from "../../src/system/run-command.ts";
import { ROOT } from "../support/processes/node-command.ts";

const folder = mkdtempSync(join(tmpdir(), "nats-leader-summary-"));
const files = {
  "vite.config.mjs": `export default { test: { projects: [
    { test: { name: "first", globals: true, maxWorkers: 1, include: ["first/*.test.ts"] } },
    { test: { name: "second", globals: true, maxWorkers: 1, pool: "forks", include: ["second/*.test.ts"] } } ] } };`,
  "first/tests.test.ts": `
describe("a group", () => {
  test("of passing and failing tests", () => {});
  test("differs in much", () => {
    expect(Array.from({ length: 60 }, (_, index) => index)).toEqual([-1]);
  });
  test.skip("is skipped", () => {});
});
test.each(Array.from({ length: 8 }, (_, index) => index))("case %i", () => {
  throw new Error("the same in each");
});
`,
  "first/hook.test.ts": `describe("set up", () => {
  beforeAll(() => {
    throw new Error("the hook broke");
  });
  test("by a hook", () => {});
});`,
  "first/load.test.ts": 'import "./missing.ts"; test("is never reached", () => {});',
  "first/late.test.ts": `test("passes", async () => {
  setTimeout(() => { throw new Error("thrown after all"); }, 1);
  await new Promise((resolve) => setTimeout(resolve, 20));
});`,
  "second/killed.test.ts": `test("ends its process", async () => {
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => {});
});`,
  "second/passing.test.ts": 'test("passes", () => {});',
};

beforeAll(async () => {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  await runVitest("mixed");
  await runVitest("passing", "second/passing");
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Both streams go to one file, as in .ci/run: vitest prints errors to stderr, and counts to stdout. */
async function runVitest(name: string, ...args: readonly string[]): Promise<void> {
  const report = ["--reporter=default", "--reporter=json", `--outputFile.json=${name}.json`];
  const vitest = join(ROOT, "node_modules/vitest/vitest.mjs");
  const command = [process.execPath, vitest, "run", "--root", folder, ...report, ...args];
  await run("sh", ["-c", `exec "$@" >${name}.log 2>&1`, "sh", ...command]);
}

async function run(command: string, args: readonly string[]): ReturnType<typeof runToExit> {
  const { PATH } = process.env;
  const env = { PATH, CI: "true", NO_COLOR: "1" };
  return runToExit(command, [...args], { cwd: folder, env, timeoutMs: 60_000 });
}

/** Of steps `NAME SECONDS EXIT-CODE`. */
async function summaryOf(...steps: readonly string[]): Promise<readonly string[]> {
  writeFileSync(join(folder, "steps"), steps.map((step) => `${step}\n`).join(""));
  const { stdout, stderr } = await run(process.execPath, [join(ROOT, "scripts/build/summary.mjs"), folder]);
  expect(stderr).toBe("");
  return stdout.trimEnd().split("\n");
}

/** A failure's lines: its title, and what is indented below it. */
function failure(lines: readonly string[], title: string): readonly string[] {
  const start = lines.indexOf(title);
  expect(start, `${title} in\n${lines.join("\n")}`).toBeGreaterThan(0);
  const length = lines.slice(start + 1).findIndex((line) => !line.startsWith("    "));
  return lines.slice(start, start + 1 + length);
}

test("a failed test has its project, file, name and place, and the first lines of its message", async () => {
  const lines = await summaryOf("mixed 3 1");
  const [, ...rest] = failure(lines, "mixed: FAIL |first| first/tests.test.ts > a group > differs in much");
  expect(rest[0]).toBe("    at first/tests.test.ts:5:61");
  expect(rest[1]).toMatch(/^ {4}AssertionError: expected \[ .* to deeply equal \[ -1 \]$/);
  expect(rest).toContain("    - Expected");
  expect(rest.length).toBe(16);
});

test("tests that failed with the same error are named together", async () => {
  const lines = await summaryOf("mixed 3 1");
  expect(failure(lines, "mixed: FAIL |first| first/tests.test.ts > case 0").slice(1)).toEqual([
    ...[1, 2, 3, 4].map((index) => `    |first| first/tests.test.ts > case ${index}`),
    "    and 3 more with the same error",
    "    at first/tests.test.ts:10:9",
    "    Error: the same in each",
  ]);
});

test("hooks, files that do not load, errors of no test and tests without an end are failures, too", async () => {
  const lines = await summaryOf("mixed 3 1");
  expect(failure(lines, "mixed: FAIL |first| first/hook.test.ts > set up").slice(1)).toEqual([
    "    at first/hook.test.ts:3:11",
    "    Error: the hook broke",
  ]);
  expect(failure(lines, "mixed: FAIL |first| first/load.test.ts [ first/load.test.ts ]").slice(1, 3)).toEqual(
    ["    at first/load.test.ts:1:1", expect.stringContaining("Cannot find module './missing.ts'")],
  );
  const late = failure(lines, "mixed: Uncaught Exception");
  expect(late[1]).toBe("    Error: thrown after all");
  expect(late.join("\n")).toContain('originated in "first/late.test.ts"');
  expect(late.join("\n")).toContain("at Timeout._onTimeout first/late.test.ts:2:");
  expect(failure(lines, "mixed: Unhandled Error").join("\n")).toContain("Worker exited unexpectedly");
  expect(failure(lines, "mixed: tests that did not end").slice(1)).toEqual([
    "    second/killed.test.ts > ends its process",
  ]);
});

test("each failure is printed once", async () => {
  const titles = (await summaryOf("mixed 3 1")).filter((line) => /^mixed: /.test(line));
  expect(titles).toHaveLength(7);
  expect(new Set(titles).size).toBe(7);
});

test("the steps and the counts are the end", async () => {
  const lines = await summaryOf("mixed 3 1", "passing 12 0");
  expect(lines.slice(lines.indexOf("===== steps") - 1)).toEqual([
    "",
    "===== steps",
    "mixed               3 s  FAILED (1)",
    "passing            12 s  ok",
    "failed: mixed",
    "",
    "===== tests",
    "mixed            Test Files: 3 failed | 2 passed (6); Tests: 9 failed | 3 passed | 2 skipped (15); Errors: 2 errors",
    "passing          Test Files: 1 passed (1); Tests: 1 passed (1)",
    "4 passed, 11 failed, 3 skipped",
  ]);
});

test("of a step without tests the last 30 lines are printed; of one that passed none", async () => {
  const numbers = Array.from({ length: 200 }, (_, index) => `line ${index}`);
  writeFileSync(join(folder, "lint.log"), `\u001b[31m${numbers.join("\n")}\u001b[0m\n\n`);
  const lines = await summaryOf("lint 1 2", "passing 12 0");
  expect(lines.slice(0, 4)).toEqual([
    "",
    "===== failures",
    "lint: exit code 2; the end of its output",
    "    line 170",
  ]);
  expect(failure(lines, "lint: exit code 2; the end of its output")).toHaveLength(31);
  expect((await summaryOf("passing 12 0"))[1]).toBe("===== steps");
});

test("of tests that were killed, those marked as failed are named, and half a report is none", async () => {
  writeFileSync(
    join(folder, "hung.log"),
    " ❯ |nats| test/a.test.ts (2 tests | 1 failed) 12ms\n   ✓ passes 2ms\n   × fails 10ms\n",
  );
  writeFileSync(join(folder, "hung.json"), '{"testResults":[{"na');
  const lines = await summaryOf("hung 900 124");
  expect(failure(lines, "hung: marked as failed")).toEqual(["hung: marked as failed", "    × fails 10ms"]);
  expect(failure(lines, "hung: exit code 124; the end of its output")).toHaveLength(4);
  expect(lines.at(-1)).toBe("0 passed, 0 failed");
});

test("failed tests that the output does not name are taken from the report", async () => {
  writeFileSync(join(folder, "other.log"), "✗ another form of output\n");
  const assertionResults = [
    {
      status: "failed",
      ancestorTitles: ["a group"],
      title: "fails",
      failureMessages: ["Error: why\n    at x:1"],
    },
  ];
  const file = { name: join(folder, "test/a.test.ts"), status: "failed", message: "", assertionResults };
  const broken = {
    name: join(folder, "test/b.test.ts"),
    status: "failed",
    message: "no",
    assertionResults: [],
  };
  writeFileSync(join(folder, "other.json"), JSON.stringify({ testResults: [file, broken] }));
  const lines = await summaryOf("other 1 1");
  expect(failure(lines, "other: FAIL test/a.test.ts > a group > fails")).toEqual([
    "other: FAIL test/a.test.ts > a group > fails",
    "    Error: why",
    "        at x:1",
  ]);
  expect(failure(lines, "other: FAIL test/b.test.ts")).toEqual(["other: FAIL test/b.test.ts", "    no"]);
  expect(lines.at(-1)).toBe("0 passed, 2 failed");
});

test("it has no more than 96 lines of 201 characters, and with many failures a title of each", async () => {
  const names = Array.from({ length: 40 }, (_, index) => `step-${index}`);
  for (const name of names) writeFileSync(join(folder, `${name}.log`), `${"x".repeat(5000)}\n`.repeat(40));
  const many = await summaryOf(...names.map((name) => `${name} 1 1`));
  expect(many).toHaveLength(96);
  expect(many.filter((line) => / exit code 1; /.test(line))).toHaveLength(40);
  expect(Math.max(...many.map((line) => line.length))).toBe(201);
  const few = await summaryOf("mixed 3 1", ...names.slice(0, 5).map((name) => `${name} 1 1`));
  expect(few).toHaveLength(96);
  for (const name of names.slice(0, 5)) {
    expect(failure(few, `${name}: exit code 1; the end of its output`).length).toBeGreaterThan(5);
  }
});

test("more failures than lines are counted", async () => {
  const assertionResults = Array.from({ length: 300 }, (_, index) => ({
    status: "failed",
    ancestorTitles: [],
    title: `test ${index}`,
    failureMessages: ["Error: why"],
  }));
  const file = { name: join(folder, "test/a.test.ts"), status: "failed", message: "", assertionResults };
  writeFileSync(join(folder, "crowd.log"), "✗\n");
  writeFileSync(join(folder, "crowd.json"), JSON.stringify({ testResults: [file] }));
  const lines = await summaryOf("crowd 1 1");
  const titles = lines.filter((line) => line.startsWith("crowd: FAIL"));
  expect(lines).toHaveLength(96);
  expect(lines).toContain(`and ${300 - titles.length} more failures`);
  expect(lines.at(-1)).toBe("0 passed, 300 failed");
});
