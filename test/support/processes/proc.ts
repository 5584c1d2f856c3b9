/** States and groups of processes, from the kernel of Linux. */
import { readFileSync } from "node:fs";

/** The kernel's state letter of a process; `X` if it does not exist or is a zombie. */
export function stateOf(pid: number): string {
  const [state = "X"] = statOf(pid);
  return state === "Z" ? "X" : state;
}

/** The id of the process group; `null` if the process does not exist. */
export function groupOf(pid: number): number | null {
  const group = statOf(pid)[2];
  return group === undefined ? null : Number(group);
}

/** All descendants of a process. */
export function descendantsOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .split(" ")
    .filter(Boolean)
    .map(Number);
  return children.flatMap((child) => [child, ...descendantsOf(child)]);
}

/** The fields after the name, which may contain blanks and brackets. */
function statOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
  } catch {
    return [];
  }
}
