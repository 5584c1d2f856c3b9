/**
 * Who emits: one object per `Node` or `Group`, which can be asked for its facts at any time. A listener finds that of a `Node` or
 * `Group` with `sourceOf()`.
 */
import type { RoleName } from "../election/types.ts";
import type { SuspicionOutcome } from "./sets.ts";

export interface NodeSource {
  readonly kind: "node";
  readonly clusterId: string;
  readonly nodeId: string;
  /** Compares clocks at every call. */
  read(): NodeFacts;
}

export interface GroupSource {
  readonly kind: "group";
  readonly groupId: string;
  readonly memberId: string;
  /** Compares clocks at every call. */
  read(): GroupFacts;
}

export type Source = NodeSource | GroupSource;

/** What a node and a member of a group know of their lease and their connection. Counts begin at `start()`. */
export interface LeaseFacts {
  /** Between `start()` and `stop()`. */
  readonly running: boolean;
  /** `null` while it does not run. */
  readonly incarnation: string | null;
  readonly connected: boolean;
  /** Do the others notice at once when its connection ends? `false` while it does not run; `null`: they need not, by its configuration. */
  readonly presence: boolean | null;
  /** Name of the server that the connection is on; `null` without one. */
  readonly server: string | null;
  /** Round trip of the newest beat on the present connection; `null`: none has come back. */
  readonly beatRoundTripMs: number | null;
  /** Least time to the deadline of the lease in the last minute, the present moment included; `null`: it held none. */
  readonly leastMarginMs: number | null;
  /** The option `leaseTtlMs`. Every margin is less. */
  readonly leaseTtlMs: number;
  readonly suspensions: number;
  /** Milliseconds of all suspensions, the present one included. */
  readonly suspendedMs: number;
  /** For how long it is suspended now; 0: it is not. */
  readonly suspendedForMs: number;
  readonly suspicions: Readonly<Record<SuspicionOutcome, number>>;
}

export interface NodeFacts extends LeaseFacts {
  /** May it act as the leader now? */
  readonly isLeader: boolean;
  /** Does it see a leader, itself or another? */
  readonly hasLeader: boolean;
  readonly role: RoleName;
  /** Of the leader that it sees, or of the last one that it saw; 0: none so far. */
  readonly epoch: number;
}

export interface GroupFacts extends LeaseFacts {
  /** Resources that it owns. */
  readonly owned: number;
  /** Resources on its list that no member owns, as far as it knows. An owner counts until it has heard nothing of it for longer than the lease. */
  readonly unowned: number;
}

const sources = new WeakMap<object, Source>();

/** Makes the source of a `Node` or `Group` known. */
export function register<S extends Source>(owner: object, source: S): S {
  sources.set(owner, source);
  return source;
}

/** The source of a `Node` or `Group`; `undefined` for anything else. */
export function sourceOf(owner: object): Source | undefined {
  return sources.get(owner);
}
