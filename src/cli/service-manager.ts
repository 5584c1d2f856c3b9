/**
 * Reports to systemd that this process runs, and that its event loop does: `Type=notify` and `WatchdogSec=` of a unit. Node has no Unix datagram
 * sockets, so the messages go through systemd's own program `systemd-notify`; the unit needs `NotifyAccess=all`.
 */
import { messageOf } from "../errors.ts";
import type { Logger } from "../log/logger.ts";
import { printable } from "../log/printable.ts";
import { runCommand } from "../system/run-command.ts";

const HELPER = "systemd-notify";
const HELPER_TIMEOUT_MS = 5_000;
const VARIABLES = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] as const;
const MAX_STATUS = 200;

export class ServiceManager {
  readonly #socket: string | null;
  readonly #log: Logger;
  readonly #watchdog: NodeJS.Timeout | undefined;
  /** What has not been sent; a newer value of a name replaces an older one. */
  readonly #pending = new Map<string, string>();
  #sending: Promise<void> | null = null;
  #hasFailed = false;

  /** Takes systemd's variables out of `env`: programs that this process starts must not speak for it. */
  constructor(env: NodeJS.ProcessEnv, log: Logger, pid: number = process.pid) {
    const [socket = "", usec = "", watched = ""] = VARIABLES.map((name) => env[name] ?? "");
    for (const name of VARIABLES) delete env[name];
    this.#socket = socket === "" ? null : socket;
    this.#log = log;
    const intervalMs = socket === "" ? null : watchdogIntervalMs(usec, watched, pid);
    if (intervalMs === null) return;
    this.#watchdog = setInterval(() => this.#send("WATCHDOG", "1"), intervalMs).unref();
  }

  /** The process runs: systemd starts what is ordered after it. */
  ready(status: string): void {
    this.#send("READY", "1");
    this.status(status);
  }

  /** Shown by `systemctl status`. */
  status(text: string): void {
    this.#send("STATUS", printable(text).slice(0, MAX_STATUS));
  }

  stopping(): void {
    this.#send("STOPPING", "1");
  }

  /** Waits for what is being sent. Never rejects. */
  async close(): Promise<void> {
    clearInterval(this.#watchdog);
    await this.#sending;
  }

  #send(name: string, value: string): void {
    if (this.#socket === null) return;
    this.#pending.set(name, value);
    this.#sending ??= this.#sendAll(this.#socket).finally(() => {
      this.#sending = null;
    });
  }

  /** One program at a time, however often something changes. */
  async #sendAll(socket: string): Promise<void> {
    while (this.#pending.size > 0) {
      const assignments = [...this.#pending].map(([name, value]) => `${name}=${value}`);
      this.#pending.clear();
      try {
        const env = { ...process.env, NOTIFY_SOCKET: socket };
        await runCommand(HELPER, assignments, { timeoutMs: HELPER_TIMEOUT_MS, env });
      } catch (error) {
        if (!this.#hasFailed) {
          this.#log.warn(
            { err: messageOf(error) },
            `systemd cannot be notified: ${HELPER} failed; see its unit`,
          );
        }
        this.#hasFailed = true;
      }
    }
  }
}

/** Half of the time after which systemd ends the process; `null`: it does not watch this process. */
export function watchdogIntervalMs(usec: string, watched: string, pid: number): number | null {
  if (!/^\d{1,15}$/.test(usec) || Number(usec) === 0) return null;
  if (watched !== "" && watched !== String(pid)) return null;
  return Math.max(1, Math.floor(Number(usec) / 2_000));
}
