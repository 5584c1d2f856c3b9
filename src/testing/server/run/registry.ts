import { rmSync } from "node:fs";
import type { NatsServer } from "../types.ts";

const running = new Set<NatsServer>();
const pids = new Set<number>();
const privateDirs = new Set<string>();
let hooked = false;

/**
 * The running servers that this process started, oldest first. A test suite that ends while this is not empty has leaked
 * servers.
 */
export function openServers(): NatsServer[] {
  return [...running];
}

export function markRunning(server: NatsServer): void {
  running.add(server);
}

export function markEnded(server: NatsServer): void {
  running.delete(server);
}

/** Kills this process id when the current process exits. */
export function killAtExit(pid: number): void {
  hook();
  pids.add(pid);
}

/** Called when the process has exited: its id may be reused. */
export function forgetPid(pid: number): void {
  pids.delete(pid);
}

/** Deletes the folder when the current process exits. */
export function removeAtExit(dir: string): void {
  hook();
  privateDirs.add(dir);
}

export function forgetDir(dir: string): void {
  privateDirs.delete(dir);
}

function hook(): void {
  if (hooked) return;
  hooked = true;
  process.on("exit", () => {
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // the process has just exited
      }
    }
    for (const dir of privateDirs) {
      try {
        rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
      } catch {
        // the watchdog tries again; an exception in an exit hook would change the exit code
      }
    }
  });
}
