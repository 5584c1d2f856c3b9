/** What must be undone on this machine, also when this process is killed: its end of a pipe closes then. */
import { execFileSync, spawn } from "node:child_process";

/** Throws what the command says when it fails. */
export function command(name: string, ...args: string[]): string {
  return execFileSync(name, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** `script`: of a shell; it may find things undone already. The answer runs it now. */
export function undoneAtEnd(script: string): () => void {
  const keeper = spawn("/bin/sh", ["-c", `read -r _\n${script}`], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  keeper.unref();
  return () => {
    try {
      execFileSync("/bin/sh", ["-c", script], { stdio: "ignore" });
    } catch {
      // the keeper tries once more
    }
    keeper.stdin?.end();
  };
}
