/** Things that only the leader's host may have, such as a virtual IP. */
import type { Hooks } from "../node/hooks.ts";

/**
 * Something that is held exactly while a term is; `VirtualIp` is one. Its hooks go around those of the application: it is
 * there before `onBecomeLeader`, and gone before `onLoseLeadership` and so, in a graceful handover, before the lease is
 * deleted. What it needs beyond that (to be extended, to go at the deadline) it takes from the term.
 */
export interface TermResource {
  /** Can this host have it at all? Before the daemon starts; when it rejects, the daemon does not. */
  check(): Promise<void>;
  hooks(application: Hooks): Hooks;
  /** Is it here right now? */
  readonly held: boolean;
  /** Lets go of everything. Never called while a term runs. */
  close(): Promise<void>;
}
