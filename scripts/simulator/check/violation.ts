/** How a history can end other than well. */

/** Something that must hold did not. */
export class Violation extends Error {}

/**
 * A write that was made for a bucket which was deleted meanwhile has found the revision it expected in the next one.
 * NATS knows no expectation on the identity of a stream, so nobody can prevent that; whoever deletes the bucket under a
 * running cluster takes the risk. Such a history proves nothing any more and ends.
 */
export class Strayed extends Error {}
