/** Tells a process from a later one that was given the same pid. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** When the process started, as the system says it; undefined when there is none, or only its zombie. */
export function startOf(pid: number): string | undefined {
  return process.platform === "linux" ? startByProc(pid) : startByPs(pid);
}

// /proc/PID/stat: "pid (name) state ... starttime ..."; the name may hold blanks and brackets.
function startByProc(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    // Ticks since the boot: the boot's id belongs to it.
    return `${fields[19]}@${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}`;
  } catch {
    return undefined; // gone
  }
}

function startByPs(pid: number): string | undefined {
  try {
    const text = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
    return text === "" || text.startsWith("Z") ? undefined : text.replace(/^\S+\s+/, "");
  } catch {
    return undefined; // ps exits 1 when there is no such process
  }
}

export function isAlive(pid: number): boolean {
  return startOf(pid) !== undefined;
}
