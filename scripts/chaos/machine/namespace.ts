/**
 * A network namespace for one node, joined to the host by a virtual cable (veth) that can be pulled. Faults here lose
 * packets, not bytes of a connection: the kernels on both sides retransmit until they give up. Needs Linux and root.
 */
import { runSync, undoAtExit } from "../../../src/bench/undo-at-exit.ts";

const DEVICE = "eth0";
/** No device has this address, so packets sent to it are lost. */
const NO_MAC = "02:00:00:00:00:99";
const SUBNETS = 64 * 64;

let made = 0;

export class Namespace {
  /** The address of this process as seen from the namespace. */
  readonly host: string;
  /** Prefix for a command that is to run in the namespace. */
  readonly exec: readonly string[];
  readonly #name: string;
  readonly #cable: string;
  readonly #address: string;
  /** Removes the namespace and the cable; also runs when this process ends. */
  readonly remove: () => void;

  private constructor(name: string, cable: string, subnet: number) {
    // Four addresses each of 100.64.0.0/10, the range for shared private networks.
    const start = `100.${64 + Math.floor(subnet / 64)}.${subnet % 64}`;
    this.#name = name;
    this.#cable = cable;
    this.host = `${start}.1`;
    this.#address = `${start}.2`;
    this.exec = ["ip", "netns", "exec", name];
    this.remove = undoAtExit(`ip netns del ${name}; ip link del ${cable}`);
  }

  /** Throws if this process may not create network namespaces. */
  static create(): Namespace {
    made += 1;
    const name = `nlc${process.pid}-${made}`;
    const cable = `nc${process.pid}-${made}`.slice(-15);
    const namespace = new Namespace(name, cable, freeSubnet());
    try {
      namespace.#build();
      return namespace;
    } catch (error) {
      namespace.remove();
      throw error;
    }
  }

  static possible(): boolean {
    if (process.platform !== "linux") return false;
    try {
      Namespace.create().remove();
      return true;
    } catch {
      return false;
    }
  }

  #build(): void {
    const name = this.#name;
    runSync("ip", "netns", "add", name);
    runSync("ip", "link", "add", this.#cable, "type", "veth", "peer", "name", DEVICE, "netns", name);
    runSync("ip", "addr", "add", `${this.host}/30`, "dev", this.#cable);
    runSync("ip", "link", "set", this.#cable, "up");
    runSync("ip", "-n", name, "addr", "add", `${this.#address}/30`, "dev", DEVICE);
    runSync("ip", "-n", name, "link", "set", DEVICE, "up");
    runSync("ip", "-n", name, "link", "set", "lo", "up");
  }

  /** Nothing gets through, and new connections fail. */
  pull(): void {
    runSync("ip", "link", "set", this.#cable, "down");
  }

  /** Packets from the node are lost. */
  loseOutgoing(): void {
    runSync("ip", "-n", this.#name, "neigh", "replace", this.host, ...toNoDevice(DEVICE));
  }

  /** Packets to the node are lost. */
  loseIncoming(): void {
    runSync("ip", "neigh", "replace", this.#address, ...toNoDevice(this.#cable));
  }

  mend(): void {
    runSync("ip", "link", "set", this.#cable, "up");
    runSync("ip", "neigh", "flush", "dev", this.#cable, "nud", "all");
    runSync("ip", "-n", this.#name, "neigh", "flush", "dev", DEVICE, "nud", "all");
  }
}

function toNoDevice(device: string): string[] {
  return ["lladdr", NO_MAC, "dev", device, "nud", "permanent"];
}

/** A /30 that no other run on this machine uses. */
function freeSubnet(): number {
  const taken = runSync("ip", "-4", "-o", "addr");
  for (let tries = 0; tries < SUBNETS; tries++) {
    const subnet = (process.pid * 61 + made + tries) % SUBNETS;
    if (!taken.includes(` 100.${64 + Math.floor(subnet / 64)}.${subnet % 64}.1/`)) return subnet;
  }
  throw new Error("cannot create a network namespace: every /30 of 100.64.0.0/10 is in use on this machine");
}
