/** Which server we talk to, where behaviour differs between versions. */
import type { NatsConnection } from "@nats-io/transport-node";

/** The first version on which compare-and-set has one winner with more than one replica. */
export const REPLICATED_CAS_SINCE = "2.9.21";
/** Oldest version that knows named ephemeral consumers and everything else that is used here. */
export const OLDEST_SERVER = "2.9.0";
/** Republish can be added to an existing stream. */
export const REPUBLISH_UPDATE_SINCE = "2.10.0";

/** Version of the server this connection is on, `""` while disconnected. */
export function serverVersion(connection: NatsConnection): string {
  return connection.info?.version ?? "";
}

/** Compares `major.minor.patch`; a version that can't be read (a private build) counts as new. */
export function isAtLeast(version: string, wanted: string): boolean {
  const have = numbers(version);
  const want = numbers(wanted);
  if (have === null || want === null) return true;
  for (let i = 0; i < 3; i++) {
    const difference = (have[i] ?? 0) - (want[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function numbers(version: string): number[] | null {
  const match = /^v?(\d+)\.(\d+)\.(\d+)/.exec(version);
  return match === null ? null : match.slice(1).map(Number);
}
