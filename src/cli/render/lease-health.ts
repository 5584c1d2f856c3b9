/** The facts about a node's lease and connection as text. */
import type { LeaseHealth } from "../../manager/lease-health.ts";
import { bad, type Part } from "./text.ts";

export const UNKNOWN = "-";

/** A margin of less than this part of the TTL is close to a loss of the lease. */
const LOW = 0.25;

export function marginText({ leastMarginMs }: LeaseHealth, leaseTtlMs: number | null): Part {
  if (leastMarginMs === null) return UNKNOWN;
  const text = `${(leastMarginMs / 1_000).toFixed(1)} s`;
  return leaseTtlMs !== null && leastMarginMs < LOW * leaseTtlMs ? bad(text) : text;
}

export function beatText({ beatRoundTripMs }: LeaseHealth): string {
  return beatRoundTripMs === null ? UNKNOWN : `${beatRoundTripMs.toFixed(1)} ms`;
}

/** `2 closed, 1 alive`; `none`. */
export function suspicionsText({ suspicions }: LeaseHealth): string {
  if (suspicions === null) return UNKNOWN;
  const given = Object.entries(suspicions).filter(([, count]) => count > 0);
  return given.length === 0 ? "none" : given.map(([outcome, count]) => `${count} ${outcome}`).join(", ");
}

/** One line for `status`; `null` if nothing is known. */
export function healthText(health: LeaseHealth): string | null {
  const { leastMarginMs, beatRoundTripMs, suspensions, suspicions } = health;
  const parts = [
    ...(leastMarginMs === null ? [] : [`least margin ${(leastMarginMs / 1_000).toFixed(1)} s`]),
    ...(beatRoundTripMs === null ? [] : [`beat ${beatText(health)}`]),
    ...(suspensions === null ? [] : [`${suspensions} suspension${suspensions === 1 ? "" : "s"}`]),
    ...(suspicions === null ? [] : [`suspicions: ${suspicionsText(health)}`]),
  ];
  return parts.length === 0 ? null : parts.join(", ");
}
