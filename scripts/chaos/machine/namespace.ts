/**
 * A machine of its own for one node, as far as its network goes: a network namespace, and a cable to here that can be
 * pulled. What is lost here is packets and not bytes of a connection: the kernels on both sides go on trying, and give up.
 * Takes Linux and root.
 */
import { command, undoneAtEnd } from "./undo-at-exit.ts";

const DEVICE = "eth0";
/** Nobody has it: a packet sent there is lost on the way. */
const NO_MAC = "02:00:00:00:00:99";
const SUBNETS = 64 * 64;

let made = 0;

export class Namespace {
  /** This process, as the node sees it. */
  readonly host: string;
  /** In front of a command that is to run there. */
  readonly exec: readonly string[];
  readonly #name: string;
  readonly #cable: string;
  readonly #address: string;
  /** Also ends whatever is left of it. */
  readonly remove: () => void;

  private constructor(name: string, cable: string, subnet: number) {
    // Of 100.64.0.0/10, which is meant for private networks of this kind: four addresses each.
    const start = `100.${64 + Math.floor(subnet / 64)}.${subnet % 64}`;
    this.#name = name;
    this.#cable = cable;
    this.host = `${start}.1`;
    this.#address = `${start}.2`;
    this.exec = ["ip", "netns", "exec", name];
    this.remove = undoneAtEnd(`ip netns del ${name}; ip link del ${cable}`);
  }

  /** Throws where it may not. */
  static make(): Namespace {
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
      Namespace.make().remove();
      return true;
    } catch {
      return false;
    }
  }

  #build(): void {
    const name = this.#name;
    command("ip", "netns", "add", name);
    command("ip", "link", "add", this.#cable, "type", "veth", "peer", "name", DEVICE, "netns", name);
    command("ip", "addr", "add", `${this.host}/30`, "dev", this.#cable);
    command("ip", "link", "set", this.#cable, "up");
    command("ip", "-n", name, "addr", "add", `${this.#address}/30`, "dev", DEVICE);
    command("ip", "-n", name, "link", "set", DEVICE, "up");
    command("ip", "-n", name, "link", "set", "lo", "up");
  }

  /** Nothing gets through, and new connections find nobody. */
  pull(): void {
    command("ip", "link", "set", this.#cable, "down");
  }

  /** Packets from the node are lost. */
  loseOutgoing(): void {
    command("ip", "-n", this.#name, "neigh", "replace", this.host, ...misled(DEVICE));
  }

  /** Packets to the node are lost. */
  loseIncoming(): void {
    command("ip", "neigh", "replace", this.#address, ...misled(this.#cable));
  }

  mend(): void {
    command("ip", "link", "set", this.#cable, "up");
    command("ip", "neigh", "flush", "dev", this.#cable, "nud", "all");
    command("ip", "-n", this.#name, "neigh", "flush", "dev", DEVICE, "nud", "all");
  }
}

function misled(device: string): string[] {
  return ["lladdr", NO_MAC, "dev", device, "nud", "permanent"];
}

/** Another run may have some. */
function freeSubnet(): number {
  const taken = command("ip", "-4", "-o", "addr");
  for (let tries = 0; tries < SUBNETS; tries++) {
    const subnet = (process.pid * 61 + made + tries) % SUBNETS;
    if (!taken.includes(` 100.${64 + Math.floor(subnet / 64)}.${subnet % 64}.1/`)) return subnet;
  }
  throw new Error("no addresses are left in 100.64.0.0/10");
}
