import { parseVersion, type Version, versionDifference } from "../../../nats/api/server-version.ts";

/** The nats-server version that this project is developed and tested with. */
export const PINNED_NATS_VERSION = "2.15.1";

/** The oldest nats-server version that the tests run on. */
export const OLDEST_NATS_VERSION = "2.9.10";

function requireVersion(text: string): Version {
  const version = parseVersion(text);
  if (version === null)
    throw new TypeError(`not a version: ${JSON.stringify(text)}, expected one like "2.15.1"`);
  return version;
}

/** Negative if `a` is older, 0 if both are equal. A suffix such as "-RC.1" is ignored. */
export function compareVersions(a: string, b: string): number {
  return versionDifference(requireVersion(a), requireVersion(b));
}

/** Whether `version` has the minor version of `wanted` or a newer one, at any patch level. */
export function isCurrentEnough(version: string, wanted: string): boolean {
  const [major, minor] = requireVersion(wanted);
  return compareVersions(version, `${major}.${minor}.0`) >= 0;
}

// The first version with each feature, measured or from its release notes.
const LIMITS: readonly (readonly [since: string, lacks: string])[] = [
  ["2.11.0", "no server-enforced fencing (needs 2.11)"],
  ["2.12.0", "no atomic batches (needs 2.12)"],
  ["2.9.21", "no safe R3 (needs 2.9.21)"],
  ["2.10.0", "no sync_interval: always (needs 2.10)"],
];

/** One line with the features that an older server lacks; undefined if it has all that are used here. */
export function limitsNote(version: string): string | undefined {
  const lacking = LIMITS.filter(([since]) => compareVersions(version, since) < 0).map(([, lacks]) => lacks);
  return lacking.length === 0 ? undefined : `${version}: ${lacking.join(", ")}`;
}
