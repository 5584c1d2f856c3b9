/** The disk of a server, and the part of its configuration that changes while it runs. */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { NatsServer } from "../../../src/testing.ts";
import { Disk } from "../machine/disk.ts";

const RELOAD_MS = 10_000;

export interface ServerState {
  /** Configuration lines of the users that may connect. */
  readonly users: readonly string[];
  readonly jetstream: boolean;
}

export class ServerHome {
  readonly storeDir: string;
  /** `null` if the world has no small disks. */
  readonly disk: Disk | null;
  readonly #file: string;
  #state: ServerState;

  /** `name` is the server's name and the name of its folder below `folder`. */
  constructor(folder: string, name: string, smallDisk: boolean, state: ServerState) {
    this.storeDir = join(folder, name);
    this.disk = smallDisk ? Disk.mount(this.storeDir) : null;
    this.#file = join(folder, `${name}.conf`);
    this.#state = state;
    this.#write();
  }

  /** Line for the server's configuration file. The path is relative to that file, which is in a folder of the temp folder. */
  get include(): string {
    return `include ${JSON.stringify(relative(join(tmpdir(), "any"), this.#file))}`;
  }

  /** Takes effect when the server starts or reloads. */
  set(change: Partial<ServerState>): void {
    this.#state = { ...this.#state, ...change };
    this.#write();
  }

  #write(): void {
    const { users, jetstream } = this.#state;
    const lines = ["authorization { users: [", ...users, "] }", ...(jetstream ? [] : ["jetstream: false"])];
    writeFileSync(this.#file, `${lines.join("\n")}\n`);
  }
}

/** Makes a running server reload its configuration and waits until it has done so. */
export async function reload(server: NatsServer): Promise<void> {
  const { pid } = server;
  if (pid === undefined) throw new Error(`cannot reload ${server.name}: it has no process on this machine`);
  const loadedAt = async (): Promise<unknown> => {
    const answer = await fetch(`${server.monitorUrl}/varz`).catch(() => null);
    return ((await answer?.json()) as { config_load_time?: string } | undefined)?.config_load_time;
  };
  const before = await loadedAt();
  process.kill(pid, "SIGHUP");
  for (const giveUpAt = performance.now() + RELOAD_MS; performance.now() < giveUpAt; await pause(10)) {
    const now = await loadedAt();
    if (now !== undefined && now !== before) return;
  }
  throw new Error(
    `${server.name} did not reload its configuration within ${RELOAD_MS} ms; its log ends with ${server.logs().slice(-5).join("\n")}`,
  );
}
