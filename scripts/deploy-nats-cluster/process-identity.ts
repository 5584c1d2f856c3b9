/** Distinguishes a process from a later one with the same pid. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/** The start time of the process, as text of the operating system; undefined if it does not exist or is a zombie. */
export function startOf(pid: number): string | undefined {
  return process.platform === "linux" ? startByProc(pid) : startByPs(pid);
}

// /proc/PID/stat: "pid (name) state ... starttime ..."; the name may contain spaces and parentheses.
function startByProc(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return undefined;
    // Ticks since boot: unique only together with the boot id.
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
    return undefined; // ps exits with 1 if the process does not exist
  }
}
