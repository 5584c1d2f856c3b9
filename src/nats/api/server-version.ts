/** Versions of nats-server, and which version behaves how. */
import type { NatsConnection } from "@nats-io/transport-node";

/** The first version whose compare-and-set has a single winner with more than one replica. */
export const REPLICATED_CAS_SINCE = "2.9.21";
/** The oldest version with named ephemeral consumers and everything else that is used here. */
export const OLDEST_SERVER = "2.9.0";
/** The first version that can add `republish` to an existing stream. */
export const REPUBLISH_UPDATE_SINCE = "2.10.0";
/** The first version that has removed the files of a deleted stream before another one of the same name gets its own (measured; 2.9.10 has not). */
export const CLEAN_DELETION_SINCE = "2.10.0";
/** From this version at the latest, no server of a cluster answers about a stream before the stream has its final creation time. */
export const CREATION_TIME_SINCE = "2.12.5";

export type Version = readonly [major: number, minor: number, patch: number];

/** Reads `2.15.1`, `v2.15.1` or `2.15.1-RC.1`, without the suffix; `null` for anything else, such as a private build. */
export function parseVersion(text: string): Version | null {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(text);
  return match === null ? null : [Number(match[1]), Number(match[2]), Number(match[3])];
}

/** Negative if `a` is older than `b`, 0 if they are equal. */
export function versionDifference(a: Version, b: Version): number {
  return a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
}

/** A version that cannot be read counts as new: it may be a private build of a recent server. */
export function isAtLeast(version: string, wanted: string): boolean {
  const [have, want] = [parseVersion(version), parseVersion(wanted)];
  return have === null || want === null || versionDifference(have, want) >= 0;
}

/** The first version that lets a stream begin at a given sequence (`first_seq`); earlier ones ignore it. */
export const FIRST_SEQUENCE_SINCE = "2.10.0";

/** Version of the server that this connection is on; `""` if it has not been connected yet. */
export function serverVersion(connection: NatsConnection): string {
  return connection.info?.version ?? "";
}
