/** The crash detection of a world's nodes. What may happen to a leader is decided by its own mode: its record says it. */
import { MIN_SILENCE_MS } from "../../src/config/accepted.ts";
import { roundTripMs } from "../../src/election/silence.ts";
import type { CrashDetection } from "../../src/election/types.ts";

/** Options of one node. */
export interface Detection {
  readonly crashDetection: CrashDetection;
  /** F. 0: no promise of silence. */
  readonly silenceMs: number;
}

/** `mixed`: one node of each mode. */
export type WorldDetection = CrashDetection | "mixed";

/** Options of the nodes, in their order. `turn` moves them on, so that worlds differ in which node has which. */
export function detectionsOf(world: WorldDetection, leaseMs: number, turn: number): readonly Detection[] {
  const longest = Math.floor(leaseMs / 2);
  const middle = Math.floor((longest + MIN_SILENCE_MS) / 2);
  const all = ((): Detection[] => {
    switch (world) {
      case "presence":
        return [longest, MIN_SILENCE_MS, 0].map((silenceMs) => ({ crashDetection: world, silenceMs }));
      case "silence":
        return [longest, middle, MIN_SILENCE_MS].map((silenceMs) => ({ crashDetection: world, silenceMs }));
      case "lease":
        return [0, 0, 0].map((silenceMs) => ({ crashDetection: world, silenceMs }));
      case "mixed":
        return [
          { crashDetection: "presence", silenceMs: longest },
          { crashDetection: "silence", silenceMs: MIN_SILENCE_MS },
          { crashDetection: "lease", silenceMs: 0 },
        ];
      default:
        return world satisfies never;
    }
  })();
  const first = turn % all.length;
  return [...all.slice(first), ...all.slice(0, first)];
}

/** How long a leader may go on that names a presence and has not noticed that its server has closed its connection. */
export function residueMs({ crashDetection, silenceMs }: Detection): number {
  return crashDetection === "presence" ? roundTripMs(silenceMs) : 0;
}
