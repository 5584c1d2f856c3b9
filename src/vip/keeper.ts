/**
 * The keeper: a small shell beside this process that is the only one to touch the address.
 *
 *  - It waits on a pipe from this process. Whatever ends this process, SIGKILL too, closes the pipe, and the keeper
 *    removes the address, 5 to 25 ms after the kill. Not always before somebody has taken over: see `vacancy.ts`.
 *  - All changes go through it, one after the other. Were the address refreshed by a child of this process instead, that
 *    child could outlive the kill and put the address back behind the clean-up.
 *  - It looks at the clock itself, right before and right after each change: a command that was stuck in the pipe of a
 *    frozen machine must not give the address a lifetime that was right when it was sent.
 *
 * Killed as well (a container or cgroup as a whole), it leaves the address to the kernel, which ends it before the
 * lease does. Ownership is bookkeeping: only an address whose exclusive `add` succeeded here is changed or deleted.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { CidrAddress } from "./address.ts";
import { KERNEL_LATENESS_MS } from "./lifetime.ts";

/** A change that took longer than this is looked at again, in hundredths of a second. */
const SUSPICIOUS_CENTIS = 20;
/** Longest interface name of Linux, and so of an address's label. */
const MAX_LABEL = 15;

// Time is /proc/uptime: it counts while the machine is suspended. Signals of the terminal or the service manager are
// not for the keeper; SIGPIPE would end it at the very moment it has to clean up.
const SCRIPT = `
trap '' INT HUP TERM PIPE
ip=$1 family=$2 cidr=$3 device=$4 owned=$5; shift 5
look() { read -r up rest </proc/uptime; whole=\${up%.*}; now=$((whole * 100 + 1\${up#*.} - 100)); }
drop() {
  if [ "$owned" = 0 ]; then echo "$1 gone"; return; fi
  if said=$("$ip" "$family" addr del "$cidr" dev "$device" $label 2>&1); then owned=0; echo "$1 gone"; return; fi
  case $said in
    *"annot assign"*|*"annot find device"*|*"does not exist"*) owned=0; echo "$1 gone";;
    *) echo "$1 failed" $said;;
  esac
}
hold() {
  changed=0
  while :; do
    look; began=$now; seconds=$((($2 - now - ${KERNEL_LATENESS_MS / 10}) / 100))
    if [ "$seconds" -lt 1 ]; then
      # What was set before still ends in time. What was set just now may not.
      if [ "$changed" = 0 ]; then echo "$1 late"; else drop "$1"; fi
      return
    fi
    verb=add; [ "$owned" = 0 ] || verb=change
    preferred=$seconds; [ "$family" = -4 ] || preferred=0
    if ! said=$("$ip" "$family" addr "$verb" "$cidr" dev "$device" $flags valid_lft "$seconds" preferred_lft "$preferred" 2>&1)
    then echo "$1 failed" $said; return; fi
    owned=1; changed=1; look
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
  /** Too little of the lease was left when the keeper came to it: nothing was changed. */
  | { readonly kind: "late" }
  | { readonly kind: "gone" }
  | { readonly kind: "failed"; readonly message: string };

export interface KeeperOptions {
  /** Path of `ip`. */
  readonly ip: string;
  readonly address: CidrAddress;
  readonly device: string;
  /** The address is there already and was added by an earlier keeper of ours that was killed. */
  readonly adopt: boolean;
}

/** Runs from construction to `close()`, or until somebody kills it. */
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
      // A session of its own: a Ctrl-C for the terminal's foreground group is not for it.
      detached: true,
      stdio: ["pipe", "pipe", "ignore"],
    });
    const { stdin, stdout } = this.#process;
    stdin?.on("error", () => {}); // it has ended; its "close" says so
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

  /** For tests: what to kill. */
  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Adds the address, or extends it, for as long as this allows; `remainingMs` is called once, at once. */
  hold(remainingMs: () => number): Promise<KeeperAnswer> {
    // In this order: frozen in between, the deadline comes out too early, which is the safe side.
    const uptime = uptimeCentis();
    return this.#ask(`hold ${uptime + Math.floor(remainingMs() / 10)}`);
  }

  /** Removes the address if it was added here. */
  drop(): Promise<KeeperAnswer> {
    return this.#ask("drop");
  }

  /** Removes the address and ends. Idempotent. */
  async close(): Promise<void> {
    this.#process.stdin?.end();
    if (this.#running) await this.#ended;
  }

  #ask(words: string): Promise<KeeperAnswer> {
    if (!this.#running) return Promise.resolve({ kind: "failed", message: this.#error });
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      this.#process.stdin?.write(`${id} ${words}\n`);
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
 * IPv4: a label, so that people see whose address it is and a delete can't hit another's. IPv6: no duplicate detection by
 * the kernel (it takes a second, and the question was asked already), and deprecated, so that no connection of this
 * host starts from an address that it will lose.
 */
function flagsOf(address: CidrAddress, device: string): string[] {
  if (address.family === 6) return ["nodad"];
  const label = `${device}:vip`;
  return label.length <= MAX_LABEL ? ["label", label] : [];
}

/** Hundredths of a second since boot, suspension included: the keeper's clock. */
function uptimeCentis(): number {
  const [seconds = "0"] = readFileSync("/proc/uptime", "utf8").split(" ");
  return Math.floor(Number(seconds) * 100);
}
