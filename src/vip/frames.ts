/**
 * The Ethernet frames that move an address between hosts: ARP for IPv4 (RFC 826, 5227), neighbour discovery for IPv6 (RFC 4861,
 * 4862). They are complete, so that any program with a raw socket can send them.
 */
import type { CidrAddress } from "./address.ts";

export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;

const BROADCAST = Buffer.alloc(6, 0xff);
const ALL_NODES = Buffer.from("ff020000000000000000000000000001", "hex");
const ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
const OVERRIDE = 0x20;

/** Bytes that a received frame must contain at an offset. */
export interface BytesAt {
  readonly offset: number;
  readonly bytes: Buffer;
}

export function ethertypeOf(address: CidrAddress): number {
  return address.family === 4 ? ETHERTYPE_ARP : ETHERTYPE_IPV6;
}

/**
 * Announces that the address is now at this hardware address. IPv4: a gratuitous ARP request and reply, because some devices accept
 * only one of them. IPv6: an unsolicited neighbour advertisement to all nodes with the override flag.
 */
export function announcement(address: CidrAddress, mac: Buffer): Buffer[] {
  if (address.family === 4) {
    const ip = Buffer.from(address.bytes);
    return [1, 2].map((operation) =>
      arp({
        operation,
        mac,
        sender: ip,
        targetMac: operation === 1 ? Buffer.alloc(6) : BROADCAST,
        target: ip,
      }),
    );
  }
  const body = Buffer.alloc(32);
  body[0] = NEIGHBOUR_ADVERTISEMENT;
  body[4] = OVERRIDE;
  body.set(address.bytes, 8);
  body.set([2, 1, ...mac], 24); // target link-layer address
  return [icmpv6({ mac, source: Buffer.from(address.bytes), destination: ALL_NODES, body })];
}

/** Asks which host has the address. The sender's IP address is empty, so that no neighbour updates its cache from the question. */
export function question(address: CidrAddress, mac: Buffer): Buffer {
  if (address.family === 4) {
    const target = Buffer.from(address.bytes);
    return arp({ operation: 1, mac, sender: Buffer.alloc(4), targetMac: Buffer.alloc(6), target });
  }
  const body = Buffer.alloc(24);
  body[0] = NEIGHBOUR_SOLICITATION;
  body.set(address.bytes, 8);
  const destination = Buffer.from("ff0200000000000000000001ff000000", "hex");
  destination.set(address.bytes.subarray(13), 13);
  return icmpv6({ mac, source: Buffer.alloc(16), destination, body });
}

/** Matches every answer to `question`. The source of a matching frame is the host that has the address. */
export function answerPattern(address: CidrAddress): BytesAt[] {
  const bytes = Buffer.from(address.bytes);
  if (address.family === 4) return [{ offset: 28, bytes }];
  return [
    { offset: 54, bytes: Buffer.from([NEIGHBOUR_ADVERTISEMENT]) },
    { offset: 62, bytes },
  ];
}

interface Arp {
  readonly operation: number;
  readonly mac: Buffer;
  readonly sender: Buffer;
  readonly targetMac: Buffer;
  readonly target: Buffer;
}

function arp({ operation, mac, sender, targetMac, target }: Arp): Buffer {
  const kind = Buffer.from([0, 1, 8, 0, 6, 4, 0, operation]); // Ethernet, IPv4
  return Buffer.concat([ethernet(BROADCAST, mac, ETHERTYPE_ARP), kind, mac, sender, targetMac, target]);
}

interface Icmpv6 {
  readonly mac: Buffer;
  readonly source: Buffer;
  readonly destination: Buffer;
  /** Its checksum field is zero and is filled in here. */
  readonly body: Buffer;
}

function icmpv6({ mac, source, destination, body }: Icmpv6): Buffer {
  const header = Buffer.alloc(8);
  header[0] = 0x60;
  header.writeUInt16BE(body.length, 4);
  header[6] = ICMPV6;
  header[7] = 255;
  const pseudo = Buffer.alloc(8);
  pseudo.writeUInt32BE(body.length, 0);
  pseudo[7] = ICMPV6;
  body.writeUInt16BE(checksum(Buffer.concat([source, destination, pseudo, body])), 2);
  const multicast = Buffer.concat([Buffer.from([0x33, 0x33]), destination.subarray(12)]);
  return Buffer.concat([ethernet(multicast, mac, ETHERTYPE_IPV6), header, source, destination, body]);
}

function ethernet(destination: Buffer, source: Buffer, ethertype: number): Buffer {
  return Buffer.concat([destination, source, Buffer.from([ethertype >> 8, ethertype & 0xff])]);
}

/** The Internet checksum (RFC 1071) of an even number of bytes. */
export function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
