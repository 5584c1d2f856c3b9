/** What a process of the demo says, one JSON object per line. Only `held` and `isLeader` are opinions, asked just before `at`. */
export type Report = { readonly at: number } /** `start()` is about to be called. */ & (
  | { readonly type: "starting" }
  /** First statement of `onBecomeLeader`. */
  | { readonly type: "become"; readonly epoch: number }
  /** One round of leader work; not `held`: nothing was done in it. */
  | { readonly type: "round"; readonly epoch: number; readonly count: number; readonly held: boolean }
  /** First statement of `onLoseLeadership`: nothing is done for this term from here on. */
  | { readonly type: "lose"; readonly epoch: number; readonly reason: string }
  | { readonly type: "follow"; readonly leader: string | null }
  /** The process had not run for a second or more; `isLeader()` was the first thing it asked. */
  | { readonly type: "thawed"; readonly isLeader: boolean }
  | { readonly type: "warning"; readonly message: string }
);

/** Milliseconds of a clock that all processes of this machine share: it counts from boot. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
