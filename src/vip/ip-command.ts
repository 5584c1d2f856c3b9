/** Finds the `ip` command of iproute2, and reads the state of an interface with it. */
import { ClusterError, messageOf } from "../errors.ts";
import { findProgram } from "../system/find-program.ts";
import { runCommand } from "../system/run-command.ts";
import { addressBytes, type CidrAddress, sameAddress } from "./address.ts";

const TIMEOUT_MS = 2000;
/** The kernel's value for an unlimited lifetime. */
const FOREVER_S = 0xffffffff;

export interface LinkAddress {
  /** `null` if it is neither IPv4 nor IPv6. */
  readonly bytes: Uint8Array | null;
  readonly prefix: number;
  /** Remaining seconds; `null`: unlimited. */
  readonly lifetimeS: number | null;
}

export interface LinkState {
  readonly index: number;
  readonly up: boolean;
  readonly loopback: boolean;
  /** `null` unless the interface is Ethernet-like and resolves neighbours. */
  readonly mac: Buffer | null;
  readonly addresses: readonly LinkAddress[];
}

/** A link on which neighbours can be asked. */
export interface AskableLink {
  readonly index: number;
  readonly mac: Buffer;
}

export function askable(link: LinkState): AskableLink | null {
  return link.mac === null ? null : { index: link.index, mac: link.mac };
}

/** Whether questions and announcements for one are valid for the other. */
export function sameLink(a: LinkState, b: LinkState): boolean {
  return a.index === b.index && (a.mac === null ? b.mac === null : b.mac !== null && a.mac.equals(b.mac));
}

/** Folders that are often missing in the PATH of a service. */
export const SYSTEM_FOLDERS: readonly string[] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

export function requireIp(): string {
  const path = findProgram("ip", SYSTEM_FOLDERS);
  if (path !== null) return path;
  throw new ClusterError(
    "VIP_FAILED",
    'a virtual IP needs the "ip" command, which was not found: install iproute2',
  );
}

/** Reads the interface from the kernel. Rejects with `VIP_FAILED` if it does not exist or `ip` is not usable. */
export async function readLink(ip: string, device: string): Promise<LinkState> {
  let text: string;
  try {
    text = await run(ip, ["-json", "addr", "show", "dev", device]);
  } catch (error) {
    const missing = /does not exist|Cannot find device/i.test(messageOf(error));
    const why = missing ? "there is no such interface on this host" : messageOf(error);
    throw new ClusterError("VIP_FAILED", `virtual IP: interface "${device}": ${why}`, {
      cause: error,
      recoverable: true,
    });
  }
  const link = parseLink(text, device);
  if (link !== null) return link;
  throw new ClusterError(
    "VIP_FAILED",
    `virtual IP: "${ip} -json addr show" printed no JSON: install iproute2`,
  );
}

/** `null` if the text is not iproute2's JSON for this interface. */
export function parseLink(text: string, device: string): LinkState | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  // Some versions print an empty object for every interface that was filtered out.
  const entries = (Array.isArray(json) ? json : []).map(record);
  const link = entries.find((entry) => entry["ifname"] === device);
  const index = link?.["ifindex"];
  if (link === undefined || typeof index !== "number") return null;
  const flags = Array.isArray(link["flags"]) ? link["flags"] : [];
  const mac = Buffer.from(String(link["address"]).replaceAll(":", ""), "hex");
  const resolves = link["link_type"] === "ether" && !flags.includes("NOARP") && mac.length === 6;
  const addresses = Array.isArray(link["addr_info"]) ? link["addr_info"].map(record) : [];
  return {
    index,
    up: flags.includes("UP"),
    loopback: flags.includes("LOOPBACK"),
    mac: resolves ? mac : null,
    addresses: addresses.map((address) => ({
      bytes: addressBytes(String(address["local"])),
      prefix: Number(address["prefixlen"]),
      lifetimeS: address["valid_life_time"] === FOREVER_S ? null : Number(address["valid_life_time"]),
    })),
  };
}

/** The address on this interface, with any prefix. */
export function findAddress(link: LinkState, wanted: CidrAddress): LinkAddress | null {
  return link.addresses.find((address) => sameAddress(wanted.bytes, address.bytes)) ?? null;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

/** Resolves with stdout; rejects with the last lines of stderr. */
export function run(command: string, args: readonly string[]): Promise<string> {
  return runCommand(command, args, { timeoutMs: TIMEOUT_MS });
}
