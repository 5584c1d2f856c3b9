/** The node options about silence, as options of a script (`readArguments`). */
import { CRASH_DETECTIONS } from "../../src/config/options.ts";
import type { CrashDetection } from "../../src/election/types.ts";

export const SILENCE_OPTIONS = {
  "crash-detection": {
    type: "string",
    default: "presence",
    value: "how",
    help: `the node option crashDetection: ${CRASH_DETECTIONS.join(", ")}` as string,
  },
  "silence-ms": {
    type: "string",
    value: "ms",
    help: "the node option silenceMs (default: that of a node)",
  },
} as const;

/** @throws `Error` that names the option. */
export function crashDetectionNamed(text: string): CrashDetection {
  const found = CRASH_DETECTIONS.find((one) => one === text);
  if (found !== undefined) return found;
  throw new Error(`--crash-detection must be one of ${CRASH_DETECTIONS.join(", ")}, not ${text}`);
}
