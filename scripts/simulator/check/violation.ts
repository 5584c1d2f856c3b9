/** Why a history ended early. */

/** An invariant did not hold. */
export class Violation extends Error {}

/**
 * A write for a deleted bucket found the revision that it expects in the next bucket. NATS has no condition on the identity
 * of a stream, so no client can exclude that; it is a documented risk of deleting the bucket of a running cluster. The
 * history proves nothing from here on and ends.
 */
export class StrayWrite extends Error {}
