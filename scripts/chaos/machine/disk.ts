/** A small disk of its own for one server: a file system in memory. Takes Linux and the right to mount. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { command, undoneAtEnd } from "./undo-at-exit.ts";

const SIZE = "128m";
const CHUNKS = [1 << 20, 1 << 12];

export class Disk {
  readonly #filler: string;
  /** For good: what is on it is gone. */
  readonly unmount: () => void;

  private constructor(folder: string) {
    this.#filler = join(folder, "filler");
    this.unmount = undoneAtEnd(`umount -l '${folder}'; rmdir '${folder}'`);
  }

  /** Throws where it may not. */
  static mount(folder: string, size: string = SIZE): Disk {
    mkdirSync(folder, { recursive: true });
    command("mount", "-t", "tmpfs", "-o", `size=${size}`, "chaos", folder);
    return new Disk(folder);
  }

  /** Whether this process may mount. */
  static possible(): boolean {
    const folder = mkdtempSync(join(tmpdir(), "nats-leader-disk-"));
    try {
      Disk.mount(folder, "64k").unmount();
      return true;
    } catch {
      return false;
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }

  /** Until not a page is left. */
  async fill(): Promise<void> {
    const file = await open(this.#filler, "w");
    try {
      for (const size of CHUNKS) await writeAll(file, Buffer.alloc(size));
    } finally {
      await file.close();
    }
  }

  free(): void {
    rmSync(this.#filler, { force: true });
  }
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (;;) {
    try {
      await file.write(chunk);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOSPC") return;
      throw error;
    }
  }
}
