/** How a node fares with its lease and its connection, as its status says. */

/** Each is `null` if it is not known: the node does not answer, is of an earlier version or go-cluster's, or has nothing to report yet. */
export interface LeaseHealth {
  /** Name of the NATS server that its connection is on. */
  readonly server: string | null;
  /** Least time to the deadline of its lease in the last minute, in milliseconds. */
  readonly leastMarginMs: number | null;
  /** How often a term of it was suspended since its start. */
  readonly suspensions: number | null;
  /** Its suspicions about leaders since its start, by outcome. */
  readonly suspicions: Readonly<Record<string, number>> | null;
  /** Round trip of its newest beat, in milliseconds. */
  readonly beatRoundTripMs: number | null;
}

/** Of a status, or of what has more. `null`: the node does not answer. */
export function leaseHealthOf(status: Partial<LeaseHealth> | null): LeaseHealth {
  return {
    server: status?.server ?? null,
    leastMarginMs: status?.leastMarginMs ?? null,
    suspensions: status?.suspensions ?? null,
    suspicions: status?.suspicions ?? null,
    beatRoundTripMs: status?.beatRoundTripMs ?? null,
  };
}
