/** The hooks of a group's application. */

import type { ConnectedServer } from "../application/types.ts";
import type { DisownReason } from "./application/types.ts";
import type { MemberView } from "./core/events.ts";
import type { ResourceTerm } from "./term.ts";

/** A promise is awaited, any other result is ignored. */
type Awaitable = unknown;

/**
 * Called on changes of what this member owns, of the group's members and of the connection. All are optional and may be async. Hooks
 * of one resource run one at a time and in order; hooks of different resources run side by side. Never on the renewal path: a
 * slow hook cannot cost the session. A hook that throws is logged and reported as a `hook-error` event. A hook that keeps other hooks or
 * work of its resource waiting for long is reported as a warning `HOOK_SLOW`.
 *
 * `stop()` and `drain()` may be awaited inside a hook: the call resolves before the drain has ended (`pending`), and the rest follows when
 * the hook has returned.
 */
export interface GroupHooks {
  /**
   * This member owns the resource. If the hook throws, the resource is given up (`refused`) and not taken again for a while, which
   * doubles with every failure in a row. Work starts when the hook has returned.
   *
   * Does not fire: for a term that ended before an earlier hook of the resource had returned; for resources of other members; when
   * a suspended session resumes.
   */
  onOwn?(term: ResourceTerm): Awaitable;
  /**
   * The term has ended or is being given up; `term.signal` has aborted. With the reasons `moved`, `draining`, `unlisted`, `refused` and
   * `stopped` the resource is kept until this hook and all work of the term have ended, so that the next owner starts after them. With
   * all other reasons another member may own the resource already.
   *
   * Fires exactly once for every term whose `onOwn` was called, after that call. Does not fire: when the process is killed; when the
   * session is suspended; when the member stops and an earlier hook of the resource has not returned after `drainTimeoutMs`.
   */
  onDisown?(term: ResourceTerm, reason: DisownReason): Awaitable;
  /**
   * A member has joined or left, or what it says of itself has changed. Does not fire for changes that follow each other faster than
   * this hook returns, except the last.
   */
  onMembersChange?(members: readonly MemberView[]): Awaitable;
  /**
   * The connection to NATS is lost. `server` is the server that it was on, `null` if that is not known. Does not fire: for the first
   * attempts to connect; on `stop()`.
   */
  onNatsDisconnect?(error: Error | null, server: ConnectedServer | null): Awaitable;
  /** The connection to NATS is back, on `server`; `null` if that is not known. Does not fire: for the first connection. */
  onNatsReconnect?(server: ConnectedServer | null): Awaitable;
}
