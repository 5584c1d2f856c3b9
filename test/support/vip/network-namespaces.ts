/**
 * A network of namespaces: hosts on one bridge, which is in a namespace of its own. This process gets an interface to the network, so
 * that it can reach the nats-server there. Disposal removes everything.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openThings } from "../../../scripts/shared/open-things.ts";
import { findNatsServer, type NatsServer, startNatsServer } from "../../../src/testing.ts";

const DEVICE = "eth0";
let labs = 0;

/** Why no network can be created on this machine; `null` if it can. */
export function whyNoNamespaces(): string | null {
  if (process.platform !== "linux") return "not Linux";
  if (process.getuid?.() !== 0) return "not root";
  const probe = `nlp${process.pid}`;
  try {
    ip("netns", "add", probe);
  } catch (error) {
    return `ip netns: ${lastLine(error)}`;
  }
  try {
    ip("-n", probe, "link", "add", "name", "probe0", "type", "bridge");
    ip("-n", probe, "link", "add", "name", "probe1", "type", "veth", "peer", "name", "probe2");
    return null;
  } catch (error) {
    return `no bridge or veth: ${lastLine(error)}`;
  } finally {
    ip("netns", "del", probe);
  }
}

/** Opens a connection to itself, lets ss close it, and prints why that had no effect. */
const KILL_PROBE = `
const { createServer, connect } = require("node:net");
const { spawnSync } = require("node:child_process");
const end = (why) => { process.stdout.write(why); process.exit(); };
const server = createServer((socket) => socket.on("error", () => {}));
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const socket = connect(port, "127.0.0.1", () => {
    const which = ["state", "established", "dst", "127.0.0.1", "dport", "=", ":" + port];
    const { error, status, stderr } = spawnSync("ss", ["--kill", ...which], { encoding: "utf8" });
    if (error !== undefined) end(error.code === "ENOENT" ? "no program ss" : error.message);
    if (status !== 0) end("ss --kill: " + stderr.trim().split(/\\n/).pop());
    setTimeout(end, 1000, "ss --kill has no effect: the kernel lacks CONFIG_INET_DIAG_DESTROY");
  });
  socket.on("error", () => {});
  socket.on("close", () => end(""));
});
`;

/** Why `closeServerSide()` cannot work on this machine; `null` if it can. */
export function whyNoSocketKill(): string | null {
  const why = execFileSync(process.execPath, ["--eval", KILL_PROBE], { encoding: "utf8" });
  return why === "" ? null : why;
}

function lastLine(error: unknown): string {
  return error instanceof Error ? (error.message.trim().split("\n").pop() ?? "") : String(error);
}

export function ip(...args: string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export interface Host {
  readonly name: string;
  /** Name of its namespace. */
  readonly namespace: string;
  readonly device: string;
  readonly ipv4: string;
  readonly mac: string;
  /** Prefix of a command that runs there. */
  readonly exec: readonly string[];
}

interface AddressInfo {
  readonly local: string;
  readonly prefixlen: number;
  readonly label?: string;
  readonly valid_life_time: number;
}

export class Lab implements AsyncDisposable {
  readonly title: string = "a network of namespaces";
  readonly #id: string;
  readonly #net: string;
  readonly #namespaces: string[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "nats-leader-lab-"));
  readonly #bridge: string;
  #hosts = 0;
  #nats: Host | null = null;
  #server: NatsServer | null = null;

  constructor() {
    labs += 1;
    this.#id = `${process.pid}x${labs}`;
    this.#net = `10.${200 + (process.pid % 50)}.${(Math.floor(process.pid / 50) + labs) % 250}`;
    this.#bridge = this.#namespace("lan");
    ip("-n", this.#bridge, "link", "add", "br0", "type", "bridge");
    ip("-n", this.#bridge, "link", "set", "br0", "up");
    openThings.add(this);
    // The interface of this process.
    const own = `nl${this.#id}`.slice(0, 15);
    ip("link", "add", own, "type", "veth", "peer", "name", "up0", "netns", this.#bridge);
    ip("addr", "add", `${this.#net}.1/24`, "dev", own);
    ip("link", "set", own, "up");
    this.#plug("up0");
  }

  /** An address in the lab's IPv4 network. */
  address(last: number): string {
    return `${this.#net}.${last}`;
  }

  host(name: string): Host {
    this.#hosts += 1;
    const namespace = this.#namespace(name);
    const port = `p${this.#hosts}`;
    ip("-n", namespace, "link", "set", "lo", "up");
    ip("-n", namespace, "link", "add", DEVICE, "type", "veth", "peer", "name", port, "netns", this.#bridge);
    const ipv4 = this.address(10 + this.#hosts);
    ip("-n", namespace, "addr", "add", `${ipv4}/24`, "dev", DEVICE);
    ip("-n", namespace, "addr", "add", `fd77::${10 + this.#hosts}/64`, "dev", DEVICE, "nodad");
    ip("-n", namespace, "link", "set", DEVICE, "up");
    this.#plug(port);
    const [link] = JSON.parse(ip("-n", namespace, "-json", "link", "show", DEVICE)) as { address: string }[];
    return {
      name,
      namespace,
      device: DEVICE,
      ipv4,
      mac: link?.address ?? "",
      exec: ["ip", "netns", "exec", namespace],
    };
  }

  /** A nats-server on a host of its own. */
  async natsServer(): Promise<NatsServer> {
    this.#nats = this.host("nats");
    const { exec, ipv4 } = this.#nats;
    const { path } = await findNatsServer();
    const binary = join(this.#folder, "nats-server");
    writeFileSync(binary, `#!/bin/sh\nexec ${exec.join(" ")} ${path} "$@"\n`, { mode: 0o755 });
    this.#server = await startNatsServer({ binary, host: ipv4, port: 4222, monitorPort: 8222 });
    return this.#server;
  }

  /** Closes the server's connections with that host, and lets no packet say so to the host until the returned function is called. */
  closeServerSide({ ipv4 }: Host): () => void {
    if (this.#nats === null) throw new Error("the server has not been started");
    const { namespace, exec } = this.#nats;
    const [command = "", ...args] = exec;
    ip("-n", namespace, "route", "add", "blackhole", `${ipv4}/32`);
    const kill = [...args, "ss", "--kill", "state", "established", "dst", ipv4];
    execFileSync(command, kill, { stdio: ["ignore", "ignore", "pipe"] });
    return () => void ip("-n", namespace, "route", "del", "blackhole", `${ipv4}/32`);
  }

  /** The entries for this address on the host's interface. */
  addresses(host: Host, text: string): AddressInfo[] {
    const links = JSON.parse(ip("-n", host.namespace, "-json", "addr", "show", "dev", DEVICE)) as {
      addr_info?: AddressInfo[];
    }[];
    return links.flatMap((link) => link.addr_info ?? []).filter(({ local }) => local === text);
  }

  /** The hardware address for that IP address in the host's neighbour cache. */
  neighbour(host: Host, text: string): string | null {
    const entries = JSON.parse(ip("-n", host.namespace, "-json", "neigh", "show", text) || "[]") as {
      lladdr?: string;
    }[];
    return entries[0]?.lladdr ?? null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    openThings.delete(this);
    await this.#server?.dispose();
    for (const namespace of this.#namespaces.splice(0)) ip("netns", "del", namespace);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #namespace(name: string): string {
    const namespace = `nl-${this.#id}-${name}`;
    ip("netns", "add", namespace);
    this.#namespaces.push(namespace);
    return namespace;
  }

  #plug(port: string): void {
    ip("-n", this.#bridge, "link", "set", port, "master", "br0");
    ip("-n", this.#bridge, "link", "set", port, "up");
  }
}
