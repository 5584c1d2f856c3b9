/** Changes to this machine that must be undone even if this process is killed. */
import { execFileSync, spawn } from "node:child_process";

/** Runs a command and returns its stdout. Throws with its stderr when it fails. */
export function runSync(name: string, ...args: string[]): string {
  return execFileSync(name, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/**
 * Runs `script` (of /bin/sh) when this process ends: a detached shell waits until its end of a pipe closes. The returned
 * function runs the script at once. The script may run twice, so it must tolerate that everything is undone already.
 */
export function undoAtExit(script: string): () => void {
  const keeper = spawn("/bin/sh", ["-c", `read -r _\n${script}`], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  keeper.unref();
  return () => {
    try {
      execFileSync("/bin/sh", ["-c", script], { stdio: "ignore" });
    } catch {
      // the detached shell tries once more
    }
    keeper.stdin?.end();
  };
}
