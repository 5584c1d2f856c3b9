/**
 * Where a real server's answer may differ from the fake's, and why the fake stays as it is. Everything else that differs
 * is a fault of the fake.
 */
import { isAtLeast } from "../../src/nats/api/server-version.ts";
import { IN_FLIGHT } from "./bucket/bucket-world.ts";
import type { Step } from "./bucket/operations.ts";

/** Which server it is compared with. */
export interface Subject {
  readonly version: string;
  readonly replicas: number;
}

export interface Deviation {
  readonly name: string;
  /** Where it is seen, for people. */
  readonly range: string;
  readonly reason: string;
  readonly where: (subject: Subject) => boolean;
  /** Whether this is such a difference: one line of each. Missing where the calibration waits until it has passed. */
  readonly admits?: (step: Step, fake: string, server: string) => boolean;
}

/** Seen by `NatsWorld`, which waits it out. */
export const YOUNG_BUCKET = "young-bucket";

export const DEVIATIONS: readonly Deviation[] = [
  {
    name: "refused-in-flight",
    range: "2.11 and later, more than one replica",
    reason:
      "While a write of the key is being replicated the server refuses every other one without looking at what it " +
      "expects (10164). The adapter calls that unknown, since the other one may be an earlier try of its own. For the " +
      "fake it is a request that was lost on its way: unknown, and not applied.",
    where: ({ version, replicas }) => replicas > 1 && isAtLeast(version, "2.11.0"),
    admits: (step, fake, server) =>
      (step.do === "race" || step.do === "pipeline") && fake === "unknown" && server === IN_FLIGHT,
  },
  {
    name: YOUNG_BUCKET,
    range: "every version, in a cluster",
    reason:
      "For some milliseconds after a bucket was made, servers that don't lead it don't know of it: a write through them " +
      "finds nobody. The adapter calls that unknown, and it was not applied. The fake's bucket is there at once; for it " +
      "this, too, is a lost request.",
    where: ({ replicas }) => replicas > 1,
  },
];

/** `[]`: the same. Names of deviations: they explain every difference. `null`: nothing does. */
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
