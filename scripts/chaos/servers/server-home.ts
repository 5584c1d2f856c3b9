/** What a server of a world stands on: the part of its configuration that changes while it runs, and its disk. */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { NatsServer } from "../../../src/testing.ts";
import { Disk } from "../machine/disk.ts";

const RELOAD_MS = 10_000;

export interface ServerState {
  /** The lines of the users that may connect. */
  readonly users: readonly string[];
  readonly jetstream: boolean;
}

export class ServerHome {
  readonly storeDir: string;
  /** `null` where no file system can be mounted. */
  readonly disk: Disk | null;
  readonly #file: string;
  #state: ServerState;

  /** `index` from 0: of the server in its world. `name`: of the server, which names its folder. */
  constructor(folder: string, name: string, smallDisk: boolean, state: ServerState) {
    this.storeDir = join(folder, name);
    this.disk = smallDisk ? Disk.mount(this.storeDir) : null;
    this.#file = join(folder, `${name}.conf`);
    this.#state = state;
    this.#write();
  }

  /** For its configuration file. What is included is looked for from that file's folder, which is one below the system's. */
  get include(): string {
    return `include ${JSON.stringify(relative(join(tmpdir(), "any"), this.#file))}`;
  }

  /** Holds for a server that is started from now on. */
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

/** Makes a running server read its configuration again. */
export async function reload(server: NatsServer): Promise<void> {
  const { pid } = server;
  if (pid === undefined)
    throw new Error(`${server.name} has no process here to be told to read its configuration`);
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
    `${server.name} has not read its configuration; its log ends with ${server.logs().slice(-5).join("\n")}`,
  );
}
