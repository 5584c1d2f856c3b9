// Prints the summary of .ci/run: what failed and how, the steps, the counts of the tests. Machines that run it keep only the end of
// its output, so that the summary has at most 96 lines, and the counts of all tests are the last of them.
//
//   node scripts/build/summary.mjs FOLDER
//
// FOLDER has the file "steps", a line "NAME SECONDS EXIT-CODE" per step, and the output of each step, NAME.log. NAME.json is vitest's
// report of a step that runs tests. Failures are taken from the output, since the report lacks unhandled errors, failed hooks,
// differences and projects.
import { existsSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";

const MAX_LINES = 96;
const MAX_COLUMNS = 200;
/** Of the message of a failed test. */
const MESSAGE_LINES = 15;
/** Of an error that belongs to no test. */
const ERROR_LINES = 20;
/** Of the output of a failed step without either. */
const TAIL_LINES = 30;
/** Tests of a block or a report that are named, not only counted. */
const MAX_NAMES = 5;

/** @typedef {{ name: string, seconds: number, code: number, log: string[], report: Report | null }} Step */
/** @typedef {{ testResults: { name: string, status: string, message: string, assertionResults: Result[] }[] }} Report */
/** @typedef {{ status: string, ancestorTitles: string[], title: string, failureMessages: string[] }} Result */
/**
 * One failure: a title, and lines of which either end can be left out.
 * @typedef {{ title: string, lines: string[], keep: "first" | "last" }} Failure
 */

/** @returns {Step[]} */
function readSteps(folder) {
  return read(join(folder, "steps"))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [name, seconds, code] = line.split(" ");
      return {
        name,
        seconds: Number(seconds),
        code: Number(code),
        log: plainLines(read(join(folder, `${name}.log`))),
        report: parsed(read(join(folder, `${name}.json`))),
      };
    });
}

function read(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}

/** A report that was being written when its step was killed is none. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Without escape sequences, and of an overwritten line only what is left of it. */
function plainLines(text) {
  return stripVTControlCharacters(text)
    .split("\n")
    .map((line) => line.replace(/\r$/, "").replace(/^.*\r/, ""));
}

/** @returns {Failure[]} */
function failuresOf(step) {
  if (step.code === 0) return [];
  const found = [...blocksOf(step), ...unnamedOf(step)];
  if (found.length > 0) return found;
  // It was killed, or a threshold of the coverage is not reached. Failed tests are marked while vitest runs.
  const marked = step.log.filter((line) => /^ +× /.test(line)).map((line) => line.trim());
  const tail = step.log.slice(0, step.log.findLastIndex((line) => line.trim() !== "") + 1).slice(-TAIL_LINES);
  return [
    ...(marked.length > 0 ? [{ title: `${step.name}: marked as failed`, lines: marked, keep: "first" }] : []),
    { title: `${step.name}: exit code ${step.code}; the end of its output`, lines: tail, keep: "last" },
  ];
}

/**
 * What vitest prints at its end: a block per error, between lines of "⎯".
 * @returns {Failure[]}
 */
function blocksOf({ name, log }) {
  const failures = [];
  let kind = null;
  let block = [];
  const close = () => {
    const failure = kind === null ? null : failureOf(name, kind, block);
    if (failure !== null) failures.push(failure);
    block = [];
  };
  for (const line of log) {
    if (/^ Test Files {2}/.test(line)) break;
    const ruler = /^⎯+(?: (\S.*\S) ⎯+|(?:\[\d+\/\d+\]⎯+)?)$/.exec(line);
    if (ruler === null) {
      block.push(line);
      continue;
    }
    close();
    kind = ruler[1] ?? kind;
  }
  close();
  return failures;
}

/** @returns {Failure | null} */
function failureOf(step, kind, block) {
  const rest = block.filter((line) => !/^ FAIL {2}/.test(line));
  const names = block.filter((line) => /^ FAIL {2}/.test(line)).map((line) => line.slice(7));
  const isTest = names.length > 0;
  // The header of the unhandled errors has nothing but their number.
  if (!isTest && /^(?:Failed (?:Suites|Tests) \d+|Unhandled Errors)$/.test(kind)) return null;
  const frames = rest.filter((line) => /^ ❯ /.test(line)).map((line) => line.slice(3));
  const own = frames.filter((frame) => !/node_modules\/|\bnode:/.test(frame));
  const file = /(?:^|\s)(\S+\.[cm]?[jt]sx?)(?= [>[]|$)/.exec(names[0] ?? "")?.[1] ?? "";
  const at = own.find((frame) => file !== "" && frame.includes(`${file}:`));
  // Excerpts of the source.
  const message = rest
    .filter((line) => !/^ ❯ |^ {2,}\d+\|(?: |$)|^ +\| +\^+$/.test(line))
    .map((line) => line.trimEnd());
  const lines = [
    ...names.slice(1, MAX_NAMES),
    ...(names.length > MAX_NAMES ? [`and ${names.length - MAX_NAMES} more with the same error`] : []),
    ...(at === undefined ? [] : [`at ${at}`]),
    ...withoutBlanks(message).slice(0, isTest ? MESSAGE_LINES : ERROR_LINES),
    ...own
      .filter((frame) => frame !== at)
      .slice(0, 3)
      .map((frame) => `at ${frame}`),
  ];
  if (lines.length === 0) return null;
  return { title: `${step}: ${isTest ? `FAIL ${names[0]}` : kind}`, lines, keep: "first" };
}

function withoutBlanks(lines) {
  return lines.filter((line) => line.trim() !== "");
}

/**
 * Tests of the report that no block names: those that never ended, because their process did, and all if vitest prints its blocks in
 * another form.
 * @returns {Failure[]}
 */
function unnamedOf({ name: step, log, report }) {
  const named = log.filter((line) => /^ FAIL {2}/.test(line));
  const failures = [];
  for (const { name, status, message, assertionResults } of report?.testResults ?? []) {
    const file = relative(process.cwd(), name);
    const titleOf = ({ ancestorTitles, title }) =>
      [file, ...ancestorTitles.filter((part) => part !== ""), title].join(" > ");
    const failed = assertionResults.filter((result) => result.status === "failed");
    for (const result of failed) {
      const title = titleOf(result);
      if (named.some((line) => line.endsWith(title) || line.includes(`${title} `))) continue;
      const lines = withoutBlanks(plainLines(result.failureMessages.join("\n"))).slice(0, MESSAGE_LINES);
      failures.push({ title: `${step}: FAIL ${title}`, lines, keep: "first" });
    }
    if (status === "failed" && failed.length === 0 && !named.some((line) => line.includes(file))) {
      failures.push({
        title: `${step}: FAIL ${file}`,
        lines: withoutBlanks(plainLines(message)),
        keep: "first",
      });
    }
    const pending = assertionResults.filter((result) => result.status === "pending").map(titleOf);
    if (pending.length > 0) {
      const more = pending.length > MAX_NAMES ? [`and ${pending.length - MAX_NAMES} more`] : [];
      failures.push({
        title: `${step}: tests that did not end`,
        lines: [...pending.slice(0, MAX_NAMES), ...more],
        keep: "first",
      });
    }
  }
  return failures;
}

/**
 * Every failure has its title; the lines are shared out, so that a long message leaves those of the others their part.
 * @param {Failure[]} failures
 * @returns {string[]}
 */
function detailsOf(failures, maxLines) {
  const shown = failures.length > maxLines ? failures.slice(0, maxLines - 1) : failures;
  let rest = maxLines - failures.length;
  const byNeed = [...shown].sort((a, b) => a.lines.length - b.lines.length);
  const parts = new Map();
  for (const [index, failure] of byNeed.entries()) {
    const part = Math.max(0, Math.min(failure.lines.length, Math.floor(rest / (byNeed.length - index))));
    parts.set(failure, part);
    rest -= part;
  }
  const details = shown.flatMap((failure) => {
    const part = parts.get(failure);
    const lines =
      failure.keep === "first"
        ? failure.lines.slice(0, part)
        : failure.lines.slice(failure.lines.length - part);
    return [failure.title, ...lines.map((line) => `    ${line}`)];
  });
  if (shown.length < failures.length) details.push(`and ${failures.length - shown.length} more failures`);
  return details;
}

function stepLine({ name, seconds, code }) {
  return `${name.padEnd(16)} ${String(seconds).padStart(4)} s  ${code === 0 ? "ok" : `FAILED (${code})`}`;
}

/** What vitest counts in one step. */
function countsOf({ name, log }) {
  const counts = log.filter((line) => /^ +(?:Test Files|Tests|Errors) {2}/.test(line));
  if (counts.length === 0) return [];
  return [`${name.padEnd(16)} ${counts.map((line) => line.trim().replace(/ {2,}/, ": ")).join("; ")}`];
}

function sum(steps) {
  let passed = 0;
  let failed = 0;
  let skipped = 0;
  for (const { report } of steps) {
    for (const file of report?.testResults ?? []) {
      const count = (status) => file.assertionResults.filter((result) => result.status === status).length;
      passed += count("passed");
      // A file can fail outside its tests: it does not load, or leaves something open.
      failed += count("failed") || (file.status === "failed" ? 1 : 0);
      skipped += file.assertionResults.length - count("passed") - count("failed");
    }
  }
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

const steps = readSteps(process.argv[2]);
const failed = steps.filter(({ code }) => code !== 0).map(({ name }) => name);
const end = [
  "",
  "===== steps",
  ...steps.map(stepLine),
  ...(failed.length > 0 ? [`failed: ${failed.join(" ")}`] : []),
  "",
  "===== tests",
  ...steps.flatMap(countsOf),
  sum(steps),
];
const details = detailsOf(steps.flatMap(failuresOf), MAX_LINES - 2 - end.length);
const lines = [...(details.length > 0 ? ["", "===== failures", ...details] : []), ...end];
console.log(
  lines.map((line) => (line.length > MAX_COLUMNS ? `${line.slice(0, MAX_COLUMNS)}…` : line)).join("\n"),
);
