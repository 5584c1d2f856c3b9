/** Relations between durations, and defaults that satisfy them. */
import { leaseMarginMs, leaseSpanMs } from "../election/lease.ts";
import { MIN_REQUEST_TIMEOUT_MS, type OptionName } from "./accepted.ts";
import { DEFAULTS, type NodeOptions } from "./options.ts";

export interface Timing {
  readonly leaseTtlMs: number;
  readonly heartbeatIntervalMs: number;
  readonly requestTimeoutMs: number;
  readonly retryDelayMs: number;
  readonly reconnectWaitMs: number;
}

/**
 * Given values, and defaults that fit them. By default heartbeat, two requests and retry delay take 30 + 2 x 15 + 5 = 65 % of
 * the TTL, and the span is at least 75 %.
 */
export function timingOf(options: NodeOptions): Timing {
  const leaseTtlMs = options.leaseTtlMs ?? DEFAULTS.leaseTtlMs;
  const share = (fallback: number, part: number): number => Math.min(fallback, Math.floor(leaseTtlMs * part));
  const heartbeatIntervalMs = options.heartbeatIntervalMs ?? share(DEFAULTS.heartbeatIntervalMs, 0.3);
  const retryDelayMs = options.retryDelayMs ?? share(DEFAULTS.retryDelayMs, 0.05);
  const room = Math.floor((leaseSpanMs(leaseTtlMs) - heartbeatIntervalMs - retryDelayMs) / 2);
  const fitting = Math.min(share(DEFAULTS.requestTimeoutMs, 0.15), room);
  return {
    leaseTtlMs,
    heartbeatIntervalMs,
    retryDelayMs,
    requestTimeoutMs: options.requestTimeoutMs ?? Math.max(MIN_REQUEST_TIMEOUT_MS, fitting),
    reconnectWaitMs: options.reconnectWaitMs ?? share(DEFAULTS.reconnectWaitMs, 0.05),
  };
}

export type IsValid = (...names: OptionName[]) => boolean;

export function timingProblems(given: NodeOptions, valid: IsValid): string[] {
  if (!valid("leaseTtlMs")) return [];
  // Relations with an invalid value are left out: it may not be a number.
  const options = validOnly(given, valid);
  const problems: string[] = [];
  const { leaseTtlMs, heartbeatIntervalMs } = timingOf(options);
  const grace = options.successorGraceMs ?? DEFAULTS.successorGraceMs;
  if (valid("successorGraceMs") && grace > leaseTtlMs) {
    problems.push(
      `successorGraceMs ${grace} must be at most leaseTtlMs ${leaseTtlMs}, so that a successor that fails costs no more time than a dead leader`,
    );
  }
  if (!valid("heartbeatIntervalMs")) return problems;
  if (heartbeatIntervalMs >= leaseTtlMs / 2) {
    // The sums below would report the same problem again.
    return [
      ...problems,
      `heartbeatIntervalMs ${heartbeatIntervalMs} must be less than half of leaseTtlMs ${leaseTtlMs} (${Math.ceil(leaseTtlMs / 2) - 1} at most), so that one lost renewal can be repeated before the deadline`,
    ];
  }
  if (!valid("requestTimeoutMs", "retryDelayMs")) return problems;
  const retry = spanProblem(
    options,
    [
      ["heartbeatIntervalMs", 1],
      ["requestTimeoutMs", 2],
      ["retryDelayMs", 1],
    ],
    ["requestTimeoutMs", "retryDelayMs", "heartbeatIntervalMs"],
    "a renewal without an answer can be repeated, with the full time for its answer, before the deadline",
  );
  if (retry !== null) return [...problems, retry];
  if (!valid("reconnectWaitMs") || options.connection !== undefined) return problems;
  const reconnect = spanProblem(
    options,
    [
      ["heartbeatIntervalMs", 1],
      ["reconnectWaitMs", 2],
      ["requestTimeoutMs", 1],
    ],
    ["reconnectWaitMs", "requestTimeoutMs", "heartbeatIntervalMs"],
    "a leader whose connection drops can reconnect (after up to twice reconnectWaitMs) and renew before the deadline",
  );
  return reconnect === null ? problems : [...problems, reconnect];
}

const TERMS = ["heartbeatIntervalMs", "requestTimeoutMs", "retryDelayMs", "reconnectWaitMs"] as const;

function validOnly(options: NodeOptions, valid: IsValid): NodeOptions {
  const invalid = TERMS.filter((name) => !valid(name));
  return { ...options, ...Object.fromEntries(invalid.map((name) => [name, undefined])) };
}

/** A sum that must fit into the leader's span. The problem names the first of `suspects` that was given. */
function spanProblem(
  options: NodeOptions,
  terms: readonly (readonly [keyof Timing, number])[],
  suspects: readonly (keyof Timing)[],
  reason: string,
): string | null {
  const timing = timingOf(options);
  const { leaseTtlMs } = timing;
  const span = Math.floor(leaseSpanMs(leaseTtlMs));
  const sum = terms.reduce((total, [name, times]) => total + times * timing[name], 0);
  if (sum <= span) return null;
  const blamed = suspects.find((name) => options[name] !== undefined) ?? "leaseTtlMs";
  const formula = terms
    .map(([name, times]) => `${times === 1 ? "" : `${times} x `}${name} ${timing[name]}`)
    .join(" + ");
  const margin = Math.ceil(leaseMarginMs(leaseTtlMs));
  return `${blamed} ${timing[blamed]} does not fit: ${formula} = ${sum} must be at most ${span} (leaseTtlMs ${leaseTtlMs} less its margin ${margin}), so that ${reason}`;
}
