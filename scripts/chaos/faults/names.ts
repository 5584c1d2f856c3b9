/** Names of all faults, by group. Their order is part of what a seed decides. */
export const FAULT_GROUPS = {
  process: [
    "kill",
    "kill-follower",
    "kill-two",
    "kill-half-open",
    "term",
    "step-down",
    "freeze",
    "freeze-short",
    "freeze-and-cut",
    "freeze-all",
    "block",
    "block-and-cut",
    "duplicate-id",
    "different-ttls",
    "freeze-seconds",
  ],
  network: [
    "blackhole",
    "half-open",
    "requests-lost",
    "requests-late",
    "responses-lost",
    "ack-lost",
    "late-acquire",
    "cut",
    "flap",
    "reset-client-side",
    "reset-server-side",
    "freeze-and-reset-server-side",
    "slow",
    "too-slow",
    "all-too-slow",
    "followers-cut-off",
    "watch-blocked",
    "slow-consumer",
    "cable-pulled",
    "cable-pulled-and-kill",
    "packets-out-lost",
    "packets-in-lost",
    "host-lost",
    "backlog",
    "service-flood",
  ],
  server: [
    "server-kill",
    "server-restart",
    "server-freeze-short",
    "server-freeze",
    "lame-duck",
    "rolling-restart",
    "quorum-lost",
    "servers-all-killed",
    "route-split",
    "stream-leader-stepdown",
    "credentials-revoked",
    "all-credentials-revoked",
    "disk-full",
    "jetstream-off",
  ],
  bucket: [
    "key-deleted",
    "key-purged",
    "bucket-deleted",
    "bucket-recreated",
    "garbage",
    "huge-record",
    "foreign-record",
    "old-events",
    "forged-advisory",
    "forged-status",
    "stranger",
    "presence-deleted",
  ],
  clock: [
    "clock-back",
    "clock-forward",
    "freeze-and-clock-back",
    "clock-rate",
    "clock-rate-far",
    "wall-clock",
  ],
} as const;

export type FaultGroup = keyof typeof FAULT_GROUPS;
export type FaultName<G extends FaultGroup = FaultGroup> = (typeof FAULT_GROUPS)[G][number];

export const FAULT_NAMES: readonly FaultName[] = Object.values(FAULT_GROUPS).flat();

/** `undefined` if no fault has this name. */
export function faultNamed(text: string): FaultName | undefined {
  return FAULT_NAMES.find((name) => name === text);
}

export function groupOf(name: FaultName): FaultGroup {
  const groups = Object.keys(FAULT_GROUPS) as FaultGroup[];
  return groups.find((group) => FAULT_GROUPS[group].some((other) => other === name)) ?? "process";
}
