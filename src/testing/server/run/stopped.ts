import { readdir, readFile } from "node:fs/promises";
import { poll } from "./wait.ts";

const WAIT_MS = 1000;

/**
 * Resolves when every thread of a process has stopped after SIGSTOP. The signal takes effect asynchronously: threads on other
 * cores run on for a moment and may still answer a client. Without /proc it resolves at once.
 */
export async function waitUntilStopped(pid: number): Promise<void> {
  if (process.platform !== "linux") return;
  await poll(async () => ((await allStopped(pid)) ? true : undefined), { timeoutMs: WAIT_MS, everyMs: 1 });
}

async function allStopped(pid: number): Promise<boolean> {
  try {
    const threads = await readdir(`/proc/${pid}/task`);
    const states = await Promise.all(threads.map((id) => readFile(`/proc/${pid}/task/${id}/status`, "utf8")));
    return states.every((text) => /^State:\s+[TZX]/m.test(text));
  } catch {
    return false; // a thread has exited: the next poll decides
  }
}
