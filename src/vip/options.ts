/** What a virtual IP is told, checked at once. */
import { ClusterError, messageOf } from "../errors.ts";
import type { Logger, LogLevel } from "../log/logger.ts";
import { type CidrAddress, parseCidr } from "./address.ts";

export interface VirtualIpOptions {
  /**
   * IPv4 or IPv6 with its prefix, such as `10.0.0.100/32` or `2001:db8::100/64`. Without prefix: a single address (/32, /128),
   * which is right unless the network of the prefix should become reachable through it.
   */
  readonly address: string;
  /** The network interface that gets it, such as `eth0`. */
  readonly interface: string;
  /**
   * Before the address is added, the network is asked whether another host still has it, and silence for this long
   * means no. Default 30. Three questions are asked meanwhile.
   */
  readonly silenceMs?: number;
  /**
   * Waits this long after every takeover instead of asking. Only for networks where asking makes no sense; 0 gives up the
   * rule that two hosts never have the address at once. Default: ask; where that is impossible, the rest of the lease.
   */
  readonly acquireDelayMs?: number;
  /**
   * When the address is announced, in milliseconds after it was added. Default `[0, 100, 500, 2000]`. Empty: never.
   */
  readonly announceAtMs?: readonly number[];
  /** Default: the built-in logger, as a node's; `false`: silence. */
  readonly logger?: Logger | false;
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

/** Throws one `INVALID_CONFIG` that lists every problem. */
export function resolveVirtualIpOptions(options: VirtualIpOptions): ResolvedVirtualIpOptions {
  const problems: string[] = [];
  let address: CidrAddress | null = null;
  try {
    address = parseCidr(options.address);
  } catch (error) {
    problems.push(`address ${JSON.stringify(options.address)} ${messageOf(error)}`);
  }
  const device = options.interface;
  if (typeof device !== "string" || !/^[A-Za-z0-9_][^\s/:%]{0,14}$/.test(device)) {
    problems.push(
      `interface ${JSON.stringify(device)} must be the name of a network interface, such as "eth0"`,
    );
  }
  const ms = (name: string, value: number | undefined, least: number): void => {
    if (value === undefined || (Number.isInteger(value) && value >= least && value <= MAX_MS)) return;
    problems.push(
      `${name} ${JSON.stringify(value)} must be whole milliseconds between ${least} and ${MAX_MS}`,
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
