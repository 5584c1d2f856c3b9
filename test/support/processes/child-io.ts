/**
 * The child's side of `spawnChild`: one JSON value per line, commands in on stdin, reports out on stdout. The child
 * ends when its stdin does, so it can't outlive a parent that was killed with SIGKILL.
 */
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

/** Reports to the parent. Synchronous: a report that was made before a SIGKILL arrives. */
export function say(report: object): void {
  writeSync(1, `${JSON.stringify(report)}\n`);
}

/** Calls `handle` for each command, in order. Call it once, also when there are no commands to expect. */
export function listen<C = unknown>(handle: (command: C) => void | Promise<void>): void {
  let tail: Promise<void> = Promise.resolve();
  const fail = (error: unknown): void => {
    console.error(error);
    process.exit(1);
  };
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      tail = tail.then(() => handle(JSON.parse(line) as C)).catch(fail);
    })
    .on("close", () => process.exit());
}
