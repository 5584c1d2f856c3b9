/** The promise of silence: its default, its relation to the lease, and what a virtual IP needs of it. */
import { beatIntervalMs } from "../inquiry/durations.ts";
import { MIN_SILENCE_MS } from "./accepted.ts";
import { DEFAULTS, type NodeOptions } from "./options.ts";
import type { IsValid } from "./timing.ts";

/** Upper limit of the delay with which the kernel removes an address (`vip/lifetime.ts`). */
export const KERNEL_LATENESS_MS = 1_300;
/** For the time that a renewal or a beat takes, and the rounding of the kernel. */
export const EXTENSION_SLACK_MS = 100;
/** An address that is extended to this lifetime in time outlasts a pause of a second. */
const LEAST_LIFETIME_MS = 2_000;
/** The part of a stretch that is always left while every beat comes back: a beat is proven by the next one. */
const LEAST_STRETCH = 1 - 2 * beatIntervalMs(1);

/** With a shorter promise, an address that ends before another node may lead would come and go between two beats. */
export const MIN_VIP_SILENCE_MS: number = Math.ceil(
  (KERNEL_LATENESS_MS + LEAST_LIFETIME_MS + EXTENSION_SLACK_MS) / LEAST_STRETCH,
);
const DEFAULT_VIP_SILENCE_MS = 5_000;
/** With a shorter lease a leader promises no silence by default. */
export const LEAST_PROMISING_LEASE_MS = 5_000;
const WHY_VIP =
  "the lifetime of the address ends before another node may lead, and the kernel counts it in seconds";

/** Parts of a node that need more of `silenceMs` than the node itself. */
export interface SilenceNeeds {
  /** A virtual IP follows the node's terms. */
  readonly vip?: boolean;
}

/** F: the given value, or a default that fits the lease. 0: no promise of silence. */
export function silenceMsOf(options: NodeOptions, { vip = false }: SilenceNeeds = {}): number {
  const { leaseTtlMs = DEFAULTS.leaseTtlMs, crashDetection, silenceMs } = options;
  if (crashDetection === "lease") return 0;
  if (silenceMs !== undefined) return silenceMs;
  if (vip) return vipSilenceMs(leaseTtlMs);
  // With a short lease a promise would gain little and cost terms: a pause of 0.75 F less a round trip suspends.
  if (crashDetection !== "silence" && leaseTtlMs < LEAST_PROMISING_LEASE_MS) return 0;
  return Math.min(DEFAULTS.silenceMs, largestSilenceMs(leaseTtlMs));
}

/** At least `MIN_SILENCE_MS` for every valid lease. */
function largestSilenceMs(leaseTtlMs: number): number {
  return Math.floor(leaseTtlMs / 2);
}

/** The default with a virtual IP. 0, no promise of silence: the lease is too short for one. */
export function vipSilenceMs(leaseTtlMs: number): number {
  const silenceMs = Math.min(DEFAULT_VIP_SILENCE_MS, largestSilenceMs(leaseTtlMs));
  return silenceMs < MIN_VIP_SILENCE_MS ? 0 : silenceMs;
}

/** One problem at most. */
export function silenceProblems(options: NodeOptions, valid: IsValid): string[] {
  const { silenceMs } = options;
  if (silenceMs === undefined || !valid("silenceMs")) return [];
  const crashDetection = valid("crashDetection") ? options.crashDetection : undefined;
  if (crashDetection === "lease" && silenceMs > 0)
    return [
      `silenceMs ${silenceMs} must be 0 or omitted with crashDetection "lease", with which a leader is replaced only when its lease has expired`,
    ];
  if (!valid("leaseTtlMs")) return [];
  const leaseTtlMs = options.leaseTtlMs ?? DEFAULTS.leaseTtlMs;
  const largest = largestSilenceMs(leaseTtlMs);
  if (crashDetection === "silence" && silenceMs === 0)
    return [
      `silenceMs 0 must be from ${MIN_SILENCE_MS} to ${largest} with crashDetection "silence": without a promise of silence a leader that vanishes is replaced only when its lease has expired, which crashDetection "lease" says`,
    ];
  if (silenceMs <= largest) return [];
  return [
    `silenceMs ${silenceMs} must be at most half of leaseTtlMs ${leaseTtlMs} (${largest}), so that a silent leader is replaced before its lease expires`,
  ];
}

/** With a virtual IP. The kernel must have removed the address of a silent leader before another node may lead. `why` is the reason for the rule. */
export function vipSilenceProblems(
  options: Pick<NodeOptions, "leaseTtlMs" | "crashDetection" | "silenceMs">,
  why: string,
): string[] {
  const { leaseTtlMs = DEFAULTS.leaseTtlMs, crashDetection, silenceMs } = options;
  if (crashDetection === "lease") return [];
  if (crashDetection === "silence" && largestSilenceMs(leaseTtlMs) < MIN_VIP_SILENCE_MS)
    return [
      `leaseTtlMs ${leaseTtlMs} must be at least ${2 * MIN_VIP_SILENCE_MS}, because ${why} and crashDetection is "silence": silenceMs is at least ${MIN_VIP_SILENCE_MS} and at most half of it; ${WHY_VIP}`,
    ];
  if (silenceMs === undefined || silenceMs === 0 || silenceMs >= MIN_VIP_SILENCE_MS) return [];
  const or0 = crashDetection === "silence" ? "" : "0 or ";
  return [`silenceMs ${silenceMs} must be ${or0}at least ${MIN_VIP_SILENCE_MS}, because ${why}: ${WHY_VIP}`];
}
