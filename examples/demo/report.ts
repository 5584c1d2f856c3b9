/** A report of a demo process, one JSON object per line. `held` and `isLeader` were read just before `at`. */
export type Report = { readonly at: number } /** `start()` is about to be called. */ & (
  | { readonly type: "starting" }
  /** First statement of `onBecomeLeader`. */
  | { readonly type: "become"; readonly epoch: number }
  /** One round of the leader's work; if `held` is false, no work was done. */
  | { readonly type: "round"; readonly epoch: number; readonly count: number; readonly held: boolean }
  /** First statement of `onLoseLeadership`: no work of this term is done from here on. */
  | { readonly type: "lose"; readonly epoch: number; readonly reason: string }
  | { readonly type: "follow"; readonly leader: string | null }
  /** The process had not run for at least a second; `isLeader` is the first result afterwards. */
  | { readonly type: "thawed"; readonly isLeader: boolean }
  | { readonly type: "warning"; readonly message: string }
);

/** Milliseconds of CLOCK_MONOTONIC; comparable between the processes of one host. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
