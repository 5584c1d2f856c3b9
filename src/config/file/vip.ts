/** The virtual IP of a configuration, and what it needs from the lease. */
import { isIPv6 } from "node:net";
import { leaseSpanMs } from "../../election/lease.ts";
import { DEFAULTS } from "../options.ts";
import { EXTENSION_SLACK_MS, KERNEL_LATENESS_MS, vipSilenceProblems } from "../silence.ts";
import { get, type Tree } from "./tree.ts";
import type { ElectionSection, FileConfig, VipConfig } from "./types.ts";

/** A shorter lease has no room for a lifetime in whole seconds. */
export const MIN_VIP_LEASE_TTL_MS = 3_000;
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

function silenceProblems(values: Tree): string[] {
  const election = get(values, "election") as ElectionSection | undefined;
  return vipSilenceProblems(election ?? {}, "vip.address is set").map((problem) => `election.${problem}`);
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
  return Math.floor((leaseSpanMs(leaseTtlMs) - KERNEL_LATENESS_MS) / 1_000) * 1_000 - EXTENSION_SLACK_MS;
}
