/** Resources that only the leader's host may have, such as a virtual IP. */
import type { Hooks } from "../node/hooks.ts";

/**
 * A resource that is held only during a term, such as `VirtualIp`. Its hooks wrap those of the application: it is acquired
 * before `onBecomeLeader` and released before `onLoseLeadership`, and so, in a graceful handover, before the release of the
 * lease. It reads the deadline and its extensions from the term.
 */
export interface TermResource {
  /** Called before the daemon starts. Rejects if this host cannot hold the resource; the daemon then does not start. */
  check(): Promise<void>;
  hooks(application: Hooks): Hooks;
  /** Whether this host holds it now. */
  readonly held: boolean;
  /** Releases everything. Not called during a term. */
  close(): Promise<void>;
}
