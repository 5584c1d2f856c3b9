/**
 * A private network on this machine: a bridge, and for each node a network namespace with a virtual cable (veth) to the bridge.
 * Pulling a cable loses packets and closes nothing, as when a host vanishes. Needs Linux and root.
 */
import { runSync, undoAtExit } from "./undo-at-exit.ts";

const DEVICE = "eth0";
/**
 * The networks 100.64.64.0/24 to 100.127.255.0/24: a part of the range for shared private networks that the chaos harness does
 * not use.
 */
const SECOND_BYTES = { first: 64, count: 64 };
const THIRD_BYTES = { first: 64, count: 192 };
const NETWORKS = SECOND_BYTES.count * THIRD_BYTES.count;
/** Addresses 2 to 254; 1 is this machine. Names and addresses are not used twice: what removes a host may run twice. */
const MAX_HOSTS = 253;

let made = 0;

/** A host in the network: one namespace and its cable. */
export interface NetworkHost {
  /** Prefix for a command that is to run on the host. `ip` replaces itself with the command, so its pid is the command's. */
  readonly exec: readonly string[];
  /** From now on every packet from and to the host is lost. */
  pull(): void;
  mend(): void;
}

/** Disposing removes everything; so does the end of this process for any reason. */
export class HostNetwork implements Disposable {
  /** The address of this machine in the network. */
  readonly address: string;
  readonly #network: string;
  readonly #bridge: string;
  readonly #undo: (() => void)[] = [];
  #hosts = 0;

  private constructor(number: number) {
    this.#network = freeNetwork();
    this.#bridge = `nlb${process.pid}-${number}`;
    this.address = `${this.#network}.1`;
  }

  /** @throws `Error` if this process may not create namespaces. The message says why. */
  static create(): HostNetwork {
    if (process.platform !== "linux")
      throw new Error(`network namespaces need Linux; this is ${process.platform}`);
    made += 1;
    let network: HostNetwork | null = null;
    try {
      network = new HostNetwork(made);
      network.#build();
      // Fails now, not after the servers have started: a process may be allowed to make a bridge and not to mount a namespace.
      network.#probe();
      return network;
    } catch (error) {
      network?.[Symbol.dispose]();
      throw new Error(`cannot create a network namespace: ${reasonOf(error)}`);
    }
  }

  /** Adds one host. */
  add(): NetworkHost {
    this.#hosts += 1;
    const number = this.#hosts;
    if (number > MAX_HOSTS) throw new Error(`a network has at most ${MAX_HOSTS} hosts`);
    const name = `${this.#bridge}-${number}`;
    const cable = `v${number}${this.#bridge.slice(2)}`;
    this.#undo.unshift(undoAtExit(`ip netns del ${name}; ip link del ${cable}`));
    runSync("ip", "netns", "add", name);
    runSync("ip", "link", "add", cable, "type", "veth", "peer", "name", DEVICE, "netns", name);
    runSync("ip", "link", "set", cable, "master", this.#bridge);
    runSync("ip", "link", "set", cable, "up");
    runSync("ip", "-n", name, "addr", "add", `${this.#network}.${number + 1}/24`, "dev", DEVICE);
    runSync("ip", "-n", name, "link", "set", DEVICE, "up");
    runSync("ip", "-n", name, "link", "set", "lo", "up");
    return {
      exec: ["ip", "netns", "exec", name],
      pull: () => void runSync("ip", "link", "set", cable, "down"),
      mend: () => void runSync("ip", "link", "set", cable, "up"),
    };
  }

  [Symbol.dispose](): void {
    for (const undo of this.#undo.splice(0)) undo();
  }

  #build(): void {
    this.#undo.push(undoAtExit(`ip link del ${this.#bridge}`));
    runSync("ip", "link", "add", this.#bridge, "type", "bridge");
    runSync("ip", "addr", "add", `${this.address}/24`, "dev", this.#bridge);
    runSync("ip", "link", "set", this.#bridge, "up");
  }

  #probe(): void {
    const [ip = "", ...args] = this.add().exec;
    runSync(ip, ...args, "true");
    this.#undo.shift()?.();
  }
}

/** The first three bytes of a /24 that no interface or route of this machine uses. */
function freeNetwork(): string {
  const taken = `${runSync("ip", "-4", "-o", "addr")}\n${runSync("ip", "-4", "route")}`;
  for (let tries = 0; tries < NETWORKS; tries++) {
    const number = (process.pid * 61 + made + tries) % NETWORKS;
    const second = SECOND_BYTES.first + Math.floor(number / THIRD_BYTES.count);
    const network = `100.${second}.${THIRD_BYTES.first + (number % THIRD_BYTES.count)}`;
    if (!taken.includes(`${network}.`)) return network;
  }
  throw new Error("every /24 of 100.64.0.0/10 is in use on this machine");
}

function reasonOf(thrown: unknown): string {
  const { code, stderr, message } = thrown as NodeJS.ErrnoException & { stderr?: string };
  if (code === "ENOENT") return "there is no program `ip` (Debian package iproute2)";
  return stderr?.trim() || message;
}
