/**
 * Declared differences between real servers and the fake, with the reason why the fake stays as it is. Any other difference
 * is a defect of the fake.
 */
import { isAtLeast } from "../../src/nats/api/server-version.ts";
import { IN_FLIGHT } from "./bucket/bucket-world.ts";
import type { Step } from "./bucket/operations.ts";

/** The server that the fake is compared with. */
export interface Subject {
  readonly version: string;
  readonly replicas: number;
}

export interface Deviation {
  readonly name: string;
  /** Versions and setups in which it occurs, as text. */
  readonly range: string;
  readonly reason: string;
  readonly where: (subject: Subject) => boolean;
  /** Whether these two lines differ for this reason. Missing if the calibration waits until the deviation has passed. */
  readonly admits?: (step: Step, fake: string, server: string) => boolean;
}

/** `NatsBucketWorld` detects it and waits until it has passed. */
export const YOUNG_BUCKET = "young-bucket";

export const DEVIATIONS: readonly Deviation[] = [
  {
    name: "refused-in-flight",
    range: "2.11 and later, more than one replica",
    reason:
      "While a write to the key is being replicated, the server refuses every other write without checking its " +
      "expectation (10164). The adapter reports the outcome as unknown, because the other write may be an earlier attempt " +
      "of its own. In the fake this is a lost request: unknown and not applied.",
    where: ({ version, replicas }) => replicas > 1 && isAtLeast(version, "2.11.0"),
    admits: (step, fake, server) =>
      (step.do === "race" || step.do === "pipeline") && fake === "unknown" && server === IN_FLIGHT,
  },
  {
    name: YOUNG_BUCKET,
    range: "every version, in a cluster",
    reason:
      "For some milliseconds after a bucket was created, servers that do not lead its stream do not have it: a write " +
      "through them gets no responders. The adapter reports the outcome as unknown; the write is not applied. The fake's " +
      "bucket is available at once; there this, too, is a lost request.",
    where: ({ replicas }) => replicas > 1,
  },
];

/** Returns the names of the deviations that explain every difference, `[]` if there is none, `null` if one is unexplained. */
export function compare(
  subject: Subject,
  step: Step,
  fake: readonly string[],
  server: readonly string[],
): readonly string[] | null {
  if (fake.length !== server.length) return null;
  const names: string[] = [];
  for (const [index, line] of fake.entries()) {
    const other = server[index] ?? "";
    if (line === other) continue;
    const found = DEVIATIONS.find(
      ({ where, admits }) => where(subject) && admits?.(step, line, other) === true,
    );
    if (found === undefined) return null;
    names.push(found.name);
  }
  return names;
}
