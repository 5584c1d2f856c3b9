/** The virtual IP of a configuration, and what it needs from the lease. */
import { isIPv6 } from "node:net";
import { leaseSpanMs } from "../../election/lease.ts";
import { beatIntervalMs } from "../../election/silence.ts";
import { DEFAULTS } from "../options.ts";
import { largestSilenceMs } from "../timing.ts";
import { get, type Tree } from "./tree.ts";
import type { FileConfig, VipConfig } from "./types.ts";

/** A shorter lease has no room for a lifetime in whole seconds. */
export const MIN_VIP_LEASE_TTL_MS = 3_000;
/** Upper limit of the delay with which the kernel removes an address (`vip/lifetime.ts`). */
const KERNEL_LATENESS_MS = 1_300;
/** For the time that a renewal or a beat takes, and the rounding of the kernel. */
const RENEWAL_SLACK_MS = 100;
/** An address that is extended to this lifetime in time outlasts a pause of a second. */
const LEAST_LIFETIME_MS = 2_000;
/** The part of a stretch that is always left while every beat comes back: a beat is proven by the next one. */
const LEAST_STRETCH = 1 - 2 * beatIntervalMs(1);
/** With a shorter one, the address would come and go between two beats. */
export const MIN_VIP_SILENCE_MS: number = Math.ceil(
  (KERNEL_LATENESS_MS + LEAST_LIFETIME_MS + RENEWAL_SLACK_MS) / LEAST_STRETCH,
);
const DEFAULT_VIP_SILENCE_MS = 5_000;

export function vipOf({ vip }: FileConfig): VipConfig | null {
  if (vip?.address === undefined || vip.interface === undefined) return null;
  const netmask = vip.netmask ?? (isIPv6(vip.address) ? 64 : 24);
  return { address: vip.address, netmask, interface: vip.interface };
}

/**
 * `isValid`: whether no other problem was found for the path. `unusable`: why no host can take an IP address, completing
 * "vip.address ..."; without it every address counts as usable.
 */
export function vipProblems(
  values: Tree,
  isValid: (path: string) => boolean,
  unusable: (address: string) => string | null = () => null,
): string[] {
  const address = get(values, "vip.address");
  if (typeof address !== "string") return [];
  const problems: string[] = [];
  const why = isValid("vip.address") ? unusable(address) : null;
  if (why !== null) problems.push(`vip.address "${address}" ${why}`);
  if (get(values, "vip.interface") === undefined) {
    problems.push(
      "vip.interface is missing; it must be the name of a network interface, because vip.address is set",
    );
  }
  const netmask = get(values, "vip.netmask");
  if (typeof netmask === "number" && netmask > 32 && isValid("vip.netmask") && !isIPv6(address)) {
    problems.push(`vip.netmask ${netmask} must be from 0 to 32 for the IPv4 address "${address}"`);
  }
  if (!isValid("election.leaseTtlMs")) return problems;
  if (isValid("election.silenceMs") && isValid("election.crashDetection"))
    problems.push(...silenceProblems(values));
  if (!isValid("election.heartbeatIntervalMs")) return problems;
  return [...problems, ...leaseProblems(values)];
}

/** The kernel must have removed the address of a silent leader before another node may lead. */
function silenceProblems(values: Tree): string[] {
  const silenceMs = get(values, "election.silenceMs") as number | undefined;
  const crashDetection = get(values, "election.crashDetection");
  const leaseTtlMs = (get(values, "election.leaseTtlMs") as number | undefined) ?? DEFAULTS.leaseTtlMs;
  if (crashDetection === "lease") return [];
  const why =
    "the lifetime of the address ends before another node may lead, and the kernel counts it in seconds";
  if (crashDetection === "silence" && largestSilenceMs(leaseTtlMs) < MIN_VIP_SILENCE_MS)
    return [
      `election.leaseTtlMs ${leaseTtlMs} must be at least ${2 * MIN_VIP_SILENCE_MS}, because vip.address is set and crashDetection is "silence": silenceMs is at least ${MIN_VIP_SILENCE_MS} and at most half of it; ${why}`,
    ];
  if (silenceMs === undefined || silenceMs === 0 || silenceMs >= MIN_VIP_SILENCE_MS) return [];
  const or0 = crashDetection === "silence" ? "" : "0 or ";
  return [
    `election.silenceMs ${silenceMs} must be ${or0}at least ${MIN_VIP_SILENCE_MS}, because vip.address is set: ${why}`,
  ];
}

/** The default of `silenceMs` with a virtual IP. 0, no promise of silence: the lease is too short. */
export function vipSilenceMs(leaseTtlMs: number): number {
  const silenceMs = Math.min(DEFAULT_VIP_SILENCE_MS, largestSilenceMs(leaseTtlMs));
  return silenceMs < MIN_VIP_SILENCE_MS ? 0 : silenceMs;
}

function leaseProblems(values: Tree): string[] {
  const given = (path: string): number | undefined => get(values, path) as number | undefined;
  const leaseTtlMs = given("election.leaseTtlMs") ?? DEFAULTS.leaseTtlMs;
  if (leaseTtlMs < MIN_VIP_LEASE_TTL_MS) {
    return [
      `election.leaseTtlMs ${leaseTtlMs} must be at least ${MIN_VIP_LEASE_TTL_MS}, because vip.address is set: the kernel counts the lifetime of an address in seconds`,
    ];
  }
  const heartbeatIntervalMs = given("election.heartbeatIntervalMs");
  const limitMs = vipHeartbeatLimitMs(leaseTtlMs);
  if (heartbeatIntervalMs === undefined || heartbeatIntervalMs <= limitMs) return [];
  return [
    `election.heartbeatIntervalMs ${heartbeatIntervalMs} must be at most ${limitMs}, because vip.address is set: with leaseTtlMs ${leaseTtlMs} the kernel may remove the address ${limitMs} ms after a renewal`,
  ];
}

/**
 * Longest time between two renewals. With each renewal the address gets the whole seconds that fit into the rest of the lease, and
 * they must last until the next one.
 */
export function vipHeartbeatLimitMs(leaseTtlMs: number): number {
  return Math.floor((leaseSpanMs(leaseTtlMs) - KERNEL_LATENESS_MS) / 1_000) * 1_000 - RENEWAL_SLACK_MS;
}
