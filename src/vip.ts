/**
 * nats-leader/vip: a virtual IP on Linux, which is on the leader's host and on no other.
 *
 * docs/vip.md states how this is kept after crashes, and the cases in which it is not.
 */

export { parseCidr } from "./vip/address.ts";
export type { VirtualIpOptions } from "./vip/options.ts";
export type { VirtualIpState } from "./vip/tenure.ts";
export type { VirtualIpHealth } from "./vip/virtual-ip.ts";
export { VirtualIp } from "./vip/virtual-ip.ts";
