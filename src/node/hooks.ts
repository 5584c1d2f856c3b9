/** The hooks of an application, and the check of what was passed as such. */
import { type ConnectedServer, HOOK_NAMES, type HookName } from "../application/types.ts";
import { nearest } from "../config/suggest.ts";
import type { Leader, LossReason } from "../election/types.ts";
import { ClusterError } from "../errors.ts";
import type { Term } from "./term.ts";

/** A promise is awaited, any other result is ignored. */
type Awaitable = unknown;

/**
 * Called on changes of leadership and of the connection. All are optional, may be async, and run one at a time and in order,
 * never on the renewal path: a slow hook cannot cost the lease. A hook that throws is logged and reported as a `hook-error`
 * event. A hook that keeps other hooks or work waiting for long is reported as a warning `HOOK_SLOW`.
 *
 * `stop()`, `stepDown()` and `withdraw()` may be awaited inside a hook: the call resolves before the drain has ended (`pending`), and the
 * rest follows when the hook has returned.
 */
export interface Hooks {
  /**
   * This node leads. If the hook throws, the node steps down (`hook-failed`) and pauses before it campaigns again; the pause
   * doubles with every failure in a row. Leader work starts when the hook has returned.
   *
   * Does not fire: for a term that ended before an earlier hook had returned; for a term of another node; when a suspended
   * term resumes.
   */
  onBecomeLeader?(term: Term): Awaitable;
  /**
   * The term has ended or is being given up; `term.signal` has aborted. With the reasons `released`, `stopped` and `hook-failed`
   * the lease is kept until this hook and all leader work have ended, at most for `drainTimeoutMs`, so that the next leader
   * starts after them. With all other reasons another node may lead already.
   *
   * Fires exactly once for every term whose `onBecomeLeader` was called, after that call. Does not fire: when the process is
   * killed; when the term is suspended; when the node stops and an earlier hook has not returned after `drainTimeoutMs`.
   */
  onLoseLeadership?(term: Term, reason: LossReason): Awaitable;
  /**
   * The leader changed; `null`: there is none, because the lease was released or has expired.
   *
   * Does not fire: for renewals; for changes that follow each other faster than this hook returns, except the last.
   */
  onLeaderChange?(leader: Leader | null): Awaitable;
  /**
   * The connection to NATS is lost. `server` is the server that it was on, `null` if that is not known. Does not fire: for the first
   * attempts to connect; on `stop()`.
   */
  onNatsDisconnect?(error: Error | null, server: ConnectedServer | null): Awaitable;
  /** The connection to NATS is back, on `server`; `null` if that is not known. Does not fire: for the first connection. */
  onNatsReconnect?(server: ConnectedServer | null): Awaitable;
}

/**
 * A key of hooks that keep an address on the host: its value is true. The kernel removes the address by itself when the process is
 * frozen, at a time that depends on `silenceMs`. `new Node()` therefore checks this option, and chooses its default, for these.
 */
export const KEEPS_ADDRESS: unique symbol = Symbol.for("nats-leader.keeps-address");

// `Hooks` and the application side name the same hooks.
HOOK_NAMES satisfies readonly (keyof Hooks)[];
true satisfies keyof Hooks extends HookName ? true : never;

/** Do these hooks keep an address on the host? */
export function keepsAddress(hooks: object): boolean {
  return (hooks as { readonly [KEEPS_ADDRESS]?: boolean } | null)?.[KEEPS_ADDRESS] === true;
}

/**
 * Checks that every hook is a function and has a known name.
 *
 * @param more - Names that are allowed besides.
 * @throws ClusterError `INVALID_CONFIG`, naming every hook that is wrong.
 */
export function checkHooks(hooks: Hooks, more: readonly string[] = []): void {
  checkHookNames(hooks, [...HOOK_NAMES, ...more]);
}

/**
 * Checks that every hook is a function and has one of these names.
 *
 * @throws ClusterError `INVALID_CONFIG`, naming every hook that is wrong.
 */
export function checkHookNames(hooks: object, known: readonly string[]): void {
  if (typeof hooks !== "object" || hooks === null) {
    throw new ClusterError(
      "INVALID_CONFIG",
      `hooks must be an object, not ${hooks === null ? "null" : typeof hooks}`,
    );
  }
  const problems: string[] = [];
  for (const name of hookKeys(hooks)) {
    if (known.includes(name)) {
      const value = (hooks as Readonly<Record<string, unknown>>)[name];
      if (value === undefined || typeof value === "function") continue;
      problems.push(`hook ${name} must be a function, not ${value === null ? "null" : typeof value}`);
    } else if (/^on[A-Z]/.test(name)) {
      const meant = nearest(name, known, {});
      problems.push(`${name} is not a hook${meant === undefined ? "" : `; did you mean ${meant}?`}`);
    }
  }
  if (problems.length > 0) throw new ClusterError("INVALID_CONFIG", problems.join("; "));
}

/** Which of these hooks are given. */
export function givenHooks<Name extends string>(
  hooks: Readonly<Partial<Record<Name, unknown>>>,
  names: readonly Name[],
): ReadonlySet<Name> {
  return new Set(names.filter((name) => hooks[name] !== undefined));
}

/** Only the hooks of a node, of an object that has others besides. */
export function nodeHooks(hooks: Hooks): Hooks {
  return Object.fromEntries(
    [...givenHooks(hooks, HOOK_NAMES)].map((name) => [
      name,
      (...args: unknown[]) => (hooks[name] as (...args: unknown[]) => unknown).apply(hooks, args),
    ]),
  );
}

/** Own names and those of a class that the hooks are an instance of. */
function hookKeys(hooks: object): string[] {
  const keys = new Set<string>();
  for (
    let at: object | null = hooks;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at)
  ) {
    for (const key of Object.getOwnPropertyNames(at)) keys.add(key);
  }
  return [...keys];
}
