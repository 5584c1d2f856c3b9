/** IP addresses as bytes, which are compared instead of text. */
import { isIPv4, isIPv6 } from "node:net";

/** An address with its prefix, such as `10.0.0.100/24`. */
export interface CidrAddress {
  readonly family: 4 | 6;
  /** The address in canonical form, without prefix. */
  readonly text: string;
  readonly prefix: number;
  /** `text/prefix`. */
  readonly cidr: string;
  /** 4 or 16 bytes. */
  readonly bytes: Uint8Array;
}

/**
 * Parses and validates a virtual IP.
 *
 * @param input - IPv4 or IPv6 address with an optional prefix; without one it is /32 or /128.
 * @throws Error whose message completes "address ...": not an IP address, an invalid prefix, or an address that cannot move between
 * hosts, such as a loopback, multicast or link-local one.
 * @example
 * ```ts
 * parseCidr("2001:DB8::100/64").cidr; // "2001:db8::100/64"
 * ```
 */
export function parseCidr(input: string): CidrAddress {
  const [, host = "", prefixText] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(input.trim()) ?? [];
  const bytes = addressBytes(host);
  if (bytes === null) throw new Error("is not an IP address such as 10.0.0.100/24 or 2001:db8::100/64");
  const width = bytes.length * 8;
  const prefix = prefixText === undefined ? width : Number(prefixText);
  if (prefix < 1 || prefix > width) throw new Error(`must have a prefix between /1 and /${width}`);
  const unusable = whyUnusable(bytes);
  if (unusable !== null) throw new Error(`is ${unusable}, which cannot move between hosts`);
  const text = addressText(bytes);
  return { family: bytes.length === 4 ? 4 : 6, text, prefix, cidr: `${text}/${prefix}`, bytes };
}

/** `null` if the text is not an address. Zone ids are refused: the interface is an option of its own. */
export function addressBytes(text: string): Uint8Array | null {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  if (!isIPv6(text) || text.includes("%")) return null;
  const last = text.slice(text.lastIndexOf(":") + 1);
  const v4 = isIPv4(last) ? last.split(".").map(Number) : null;
  const groups = (v4 === null ? text : `${text.slice(0, -last.length)}0:0`).split("::");
  const [head = [], tail = []] = groups.map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = Array<string>(8 - head.length - tail.length).fill("0");
  const bytes = Uint8Array.from(
    [...head, ...zeros, ...tail].flatMap((group) => {
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 0xff];
    }),
  );
  if (v4 !== null) bytes.set(v4, 12);
  return bytes;
}

/** Canonical text; IPv6 is lower case and compressed. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push(Buffer.from(bytes.subarray(at, at + 2)).toString("hex"));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}

export function sameAddress(a: Uint8Array, b: Uint8Array | null): boolean {
  return b !== null && Buffer.from(a).equals(b);
}

function whyUnusable(bytes: Uint8Array): string | null {
  const [first = 0, second = 0] = bytes;
  if (bytes.every((byte) => byte === 0)) return "the unspecified address";
  if (bytes.length === 4) {
    if (first === 127) return "a loopback address";
    if (first >= 224) return first >= 240 ? "reserved" : "a multicast address";
    return null;
  }
  if (bytes.subarray(0, 15).every((byte) => byte === 0)) return "a loopback address";
  if (first === 0xff) return "a multicast address";
  if (first === 0xfe && (second & 0xc0) === 0x80) return "a link-local address";
  return null;
}
