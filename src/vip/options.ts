/** The options of a virtual IP, and their validation. */
import { ClusterError, messageOf } from "../errors.ts";
import type { Logger, LogLevel } from "../log/logger.ts";
import { INTERFACE_NAME } from "../system/interface-name.ts";
import { type CidrAddress, parseCidr } from "./address.ts";

export interface VirtualIpOptions {
  /**
   * IPv4 or IPv6 address with an optional prefix, such as `10.0.0.100/32` or `2001:db8::100/64`. With a shorter prefix than /32 or
   * /128, the network of the prefix becomes reachable through the interface, too.
   *
   * @default prefix /32 for IPv4, /128 for IPv6
   */
  readonly address: string;
  /** Name of the network interface that gets the address, such as `eth0`. */
  readonly interface: string;
  /**
   * Before the address is added, three questions ask the other hosts whether one of them has it. No answer for this time, in
   * milliseconds, means that none has.
   *
   * @default 30
   */
  readonly silenceMs?: number;
  /**
   * Fixed wait after every takeover, in milliseconds, in place of the questions. For networks in which hosts do not answer them.
   * With a wait shorter than the lease, two hosts can have the address at once after a crash.
   *
   * @default The other hosts are asked; where this is impossible, the wait is the remaining lease.
   */
  readonly acquireDelayMs?: number;
  /**
   * Times of the announcements, in milliseconds after the address was added. Empty: no announcement.
   *
   * @default [0, 100, 500, 2000]
   */
  readonly announceAtMs?: readonly number[];
  /**
   * Receives the log lines `vip-*` (docs/reference.md); `false`: no logging.
   *
   * @default the built-in logger, as for a node
   */
  readonly logger?: Logger | false;
  /**
   * Level of the built-in logger.
   *
   * @default The environment variable `LOG_LEVEL`, else "info".
   */
  readonly logLevel?: LogLevel;
}

export interface ResolvedVirtualIpOptions {
  readonly address: CidrAddress;
  readonly device: string;
  readonly silenceMs: number;
  readonly acquireDelayMs: number | null;
  readonly announceAtMs: readonly number[];
}

const DEFAULT_SILENCE_MS = 30;
const DEFAULT_ANNOUNCE_AT_MS = [0, 100, 500, 2000];
const MAX_MS = 600_000;

/** Throws one `INVALID_CONFIG` that lists all problems. */
export function resolveVirtualIpOptions(options: VirtualIpOptions): ResolvedVirtualIpOptions {
  const problems: string[] = [];
  let address: CidrAddress | null = null;
  try {
    address = parseCidr(options.address);
  } catch (error) {
    problems.push(`address ${JSON.stringify(options.address)} ${messageOf(error)}`);
  }
  const device = options.interface;
  if (typeof device !== "string" || !INTERFACE_NAME.test(device)) {
    problems.push(
      `interface ${JSON.stringify(device)} must be the name of a network interface, such as "eth0"`,
    );
  }
  const ms = (name: string, value: number | undefined, least: number): void => {
    if (value === undefined || (Number.isInteger(value) && value >= least && value <= MAX_MS)) return;
    problems.push(
      `${name} ${JSON.stringify(value)} must be an integer between ${least} and ${MAX_MS} (milliseconds)`,
    );
  };
  ms("silenceMs", options.silenceMs, 1);
  ms("acquireDelayMs", options.acquireDelayMs, 0);
  for (const at of options.announceAtMs ?? []) ms("announceAtMs", at, 0);
  if (address === null || problems.length > 0) {
    const lines = problems.map((problem) => `\n  ${problem}`);
    throw new ClusterError("INVALID_CONFIG", `invalid virtual IP options:${lines.join("")}`);
  }
  return {
    address,
    device,
    silenceMs: options.silenceMs ?? DEFAULT_SILENCE_MS,
    acquireDelayMs: options.acquireDelayMs ?? null,
    announceAtMs: options.announceAtMs ?? DEFAULT_ANNOUNCE_AT_MS,
  };
}
