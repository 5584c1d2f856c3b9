/** Whose interval or event it is. */
import type { Detection } from "../detection.ts";
import type { CheckOptions, FaultMark } from "./findings.ts";

interface OfProcess {
  /** The lane: a node id, with an apostrophe for a second process with the same id. */
  readonly node: string;
  readonly processNumber: number;
}

export function isSameProcess(one: OfProcess, other: OfProcess): boolean {
  return one.node === other.node && one.processNumber === other.processNumber;
}

/** The options of the process. Throws if there are none. */
export function detectionOf(
  { node }: OfProcess,
  { detections }: Pick<CheckOptions, "detections">,
): Detection {
  const found = detections[node.replace("'", "")];
  if (found === undefined) throw new Error(`bug: no crash detection is known of node ${node}`);
  return found;
}

export function lastFault(faults: readonly FaultMark[], atMs: number): FaultMark | null {
  return faults.findLast(({ fromMs }) => fromMs <= atMs) ?? null;
}
