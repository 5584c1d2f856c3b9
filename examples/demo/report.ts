/** What a process of the demo says: one JSON object per line. */
export type Report = { readonly at: number } & (
  /** `start()` is about to be called. */
  | { readonly type: "starting" }
  /** Takes part, whoever leads. */
  | { readonly type: "started" }
  /** First statement of `onBecomeLeader`. */
  | { readonly type: "become"; readonly epoch: number }
  /** One round of leader work. `held`: it was the leader when it asked, just before `at`; else it left the work undone. */
  | { readonly type: "tick"; readonly epoch: number; readonly count: number; readonly held: boolean }
  /** First statement of `onLoseLeadership`: from here on the process does nothing as leader. */
  | { readonly type: "lose"; readonly epoch: number; readonly reason: string }
  | { readonly type: "leader"; readonly leader: string | null; readonly epoch: number }
  /** The process had not run for a while. `isLeader`: what the node said in the first line that ran again. */
  | { readonly type: "thawed"; readonly afterMs: number; readonly isLeader: boolean }
  | { readonly type: "warning"; readonly message: string }
);

/** Milliseconds of a clock that all processes of this machine share: it counts from boot. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
