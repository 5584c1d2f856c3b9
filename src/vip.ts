/** nats-leader/vip: an address that only the leader's host has. Linux. */

export { parseCidr } from "./vip/address.ts";
export type { VirtualIpOptions } from "./vip/options.ts";
export type { VirtualIpState } from "./vip/tenure.ts";
export type { VirtualIpHealth } from "./vip/virtual-ip.ts";
export { VirtualIp } from "./vip/virtual-ip.ts";
