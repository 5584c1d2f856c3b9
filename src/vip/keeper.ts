/**
 * The keeper: a shell process that makes all changes to the address.
 *
 *  - It reads a pipe from this process. Every end of this process, including SIGKILL, closes the pipe, and the keeper then removes the
 *    address: 5 to 25 ms after the kill. That can be after another node has taken over; `vacancy.ts` covers this case.
 *  - It makes changes one after the other. If children of this process changed the address instead, one of them could survive the
 *    kill and add the address again after the keeper has removed it.
 *  - It reads the clock immediately before and after each change. A command that was delayed in the pipe of a frozen machine would
 *    otherwise set a lifetime that was correct only when the command was sent.
 *
 * If the keeper is killed, too (with its container or cgroup), the kernel removes the address before another node may lead (`lifetime.ts`). The keeper
 * owns the address only if its own exclusive `add` succeeded; it never changes or deletes any other.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { KERNEL_LATENESS_MS } from "../config/silence.ts";
import type { CidrAddress } from "./address.ts";

/** A change that took longer is repeated with the remaining time. Hundredths of a second. */
const SUSPICIOUS_CENTIS = 20;
/** Longest interface name on Linux, which also limits the label of an address. */
const MAX_LABEL = 15;

// The clock is /proc/uptime, which also counts while the machine is suspended. The keeper ignores signals of the terminal and the
// service manager, which are meant for this process, and SIGPIPE, which would end it when it has to remove the address.
const SCRIPT = `
trap '' INT HUP TERM PIPE
ip=$1 family=$2 cidr=$3 device=$4 owned=$5; shift 5
read_clock() { read -r up rest </proc/uptime; whole=\${up%.*}; now=$((whole * 100 + 1\${up#*.} - 100)); }
drop() {
  if [ "$owned" = 0 ]; then echo "$1 gone"; return; fi
  if said=$("$ip" "$family" addr del "$cidr" dev "$device" $label 2>&1); then owned=0; echo "$1 gone"; return; fi
  # After a thaw the kernel has removed the address already. Its refusal has other words in each version, so it is asked as well.
  case $said in *"annot assign"*|*"not found"*|*"annot find device"*|*"does not exist"*) owned=0; echo "$1 gone"; return;; esac
  if left=$("$ip" "$family" -o addr show dev "$device" to "\${cidr%/*}" 2>/dev/null) && [ -z "$left" ]
  then owned=0; echo "$1 gone"; else echo "$1 failed" $said; fi
}
hold() {
  changed=0
  while :; do
    read_clock; began=$now; seconds=$((($2 - now - ${KERNEL_LATENESS_MS / 10}) / 100))
    if [ "$seconds" -lt 1 ]; then
      # A lifetime from an earlier command ends in time. One from this command may not.
      if [ "$changed" = 0 ]; then echo "$1 late"; else drop "$1"; fi
      return
    fi
    verb=add; [ "$owned" = 0 ] || verb=change
    preferred=$seconds; [ "$family" = -4 ] || preferred=0
    if ! said=$("$ip" "$family" addr "$verb" "$cidr" dev "$device" $flags valid_lft "$seconds" preferred_lft "$preferred" 2>&1)
    then echo "$1 failed" $said; return; fi
    owned=1; changed=1; read_clock
    if [ $((now - began)) -le ${SUSPICIOUS_CENTIS} ]; then echo "$1 held $seconds"; return; fi
  done
}
flags=$*; label=
case $flags in label*) label=$flags;; esac
while read -r id word deadline; do
  case $word in hold) hold "$id" "$deadline";; drop) drop "$id";; esac
done
drop end
`;

export type KeeperAnswer =
  | { readonly kind: "held"; readonly seconds: number }
  /** Too little time was left when the keeper read the command: the address was not added or extended. */
  | { readonly kind: "late" }
  | { readonly kind: "gone" }
  | { readonly kind: "failed"; readonly message: string };

export interface KeeperOptions {
  /** Path of `ip`. */
  readonly ip: string;
  readonly address: CidrAddress;
  readonly device: string;
  /** The address exists and was added by an earlier keeper of this process, which was killed. */
  readonly adopt: boolean;
}

/** Runs from construction to `close()`, or until it is killed. */
export class Keeper {
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, (answer: KeeperAnswer) => void>();
  readonly #ended: Promise<void>;
  #lastId = 0;
  #running = true;
  #error = "the keeper has ended";

  constructor({ ip, address, device, adopt }: KeeperOptions) {
    const family = `-${address.family}`;
    const args = [ip, family, address.cidr, device, adopt ? "1" : "0", ...flagsOf(address, device)];
    this.#process = spawn("/bin/sh", ["-c", SCRIPT, "nats-leader-vip", ...args], {
      // A session of its own, so that Ctrl-C in the terminal does not reach it.
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
    });
    const { stdin, stdout } = this.#process;
    stdin?.on("error", () => {}); // the keeper has ended, which "close" reports
    if (stdout !== null) createInterface({ input: stdout }).on("line", (line) => this.#onLine(line));
    this.#process.on("error", (error) => {
      this.#error = `cannot start /bin/sh: ${error.message}`;
      this.#onEnd();
    });
    this.#ended = new Promise((resolve) => {
      this.#process.once("close", () => {
        this.#onEnd();
        resolve();
      });
    });
    this.#process.unref();
    for (const pipe of [stdin, stdout]) {
      if (pipe !== null && "unref" in pipe && typeof pipe.unref === "function") pipe.unref();
    }
  }

  get running(): boolean {
    return this.#running;
  }

  /** For tests, which kill it. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Adds the address, or extends its lifetime, within `remainingMs`, which is called once and synchronously. */
  hold(remainingMs: () => number): Promise<KeeperAnswer> {
    // Read the clock first: if the process is frozen between the two, the deadline is too early, which is safe.
    const uptime = uptimeCentis();
    return this.#request(`hold ${uptime + Math.floor(remainingMs() / 10)}`);
  }

  /** Removes the address if it was added here. */
  drop(): Promise<KeeperAnswer> {
    return this.#request("drop");
  }

  /** Removes the address and ends. Idempotent. */
  async close(): Promise<void> {
    this.#process.stdin?.end();
    if (this.#running) await this.#ended;
  }

  #request(command: string): Promise<KeeperAnswer> {
    if (!this.#running) return Promise.resolve({ kind: "failed", message: this.#error });
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#process.stdin?.write(`${id} ${command}\n`);
    });
  }

  #onLine(line: string): void {
    const [, id = "", word, rest = ""] = /^(\d+) (\w+) ?(.*)$/.exec(line) ?? [];
    const resolve = this.#pending.get(Number(id));
    if (resolve === undefined) return;
    this.#pending.delete(Number(id));
    if (word === "held") resolve({ kind: "held", seconds: Number(rest) });
    else if (word === "late" || word === "gone") resolve({ kind: word });
    else resolve({ kind: "failed", message: rest });
  }

  #onEnd(): void {
    this.#running = false;
    for (const resolve of this.#pending.values()) resolve({ kind: "failed", message: this.#error });
    this.#pending.clear();
  }
}

/**
 * IPv4: a label, which shows the owner and prevents the deletion of an address without it. IPv6: no duplicate detection by the
 * kernel, which takes a second and has been done here. The script also makes the IPv6 address deprecated, so that this host does not
 * open connections from an address that it will lose.
 */
function flagsOf(address: CidrAddress, device: string): string[] {
  if (address.family === 6) return ["nodad"];
  const label = `${device}:vip`;
  return label.length <= MAX_LABEL ? ["label", label] : [];
}

/** The keeper's clock: hundredths of a second since boot, including suspension. */
function uptimeCentis(): number {
  const [seconds = "0"] = readFileSync("/proc/uptime", "utf8").split(" ");
  return Math.floor(Number(seconds) * 100);
}
