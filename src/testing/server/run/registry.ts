import { rmSync } from "node:fs";
import type { NatsServer } from "../types.ts";

const running = new Set<NatsServer>();
const pids = new Set<number>();
const privateDirs = new Set<string>();
let hooked = false;

/**
 * The servers started by this process that are running now, oldest first. A test suite that ends with some in
 * here has leaked them.
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

/** Kills the process when this one exits. */
export function killAtExit(pid: number): void {
  hook();
  pids.add(pid);
}

/** The process has ended: its id may be given to another one now. */
export function forgetPid(pid: number): void {
  pids.delete(pid);
}

/** Removes the folder when this process exits. */
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
        // it ended by itself a moment ago; there is nobody left to tell
      }
    }
    for (const dir of privateDirs) {
      try {
        rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
      } catch {
        // the watchdog tries again; an exit hook that throws would change this process's exit code
      }
    }
  });
}
