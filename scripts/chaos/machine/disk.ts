/** A small disk for one server: a tmpfs. Needs Linux and the permission to mount. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runSync, undoAtExit } from "../../../src/bench/undo-at-exit.ts";

const SIZE = "128m";
const CHUNKS = [1 << 20, 1 << 12];

export class Disk {
  readonly #filler: string;
  /** Deletes the contents. */
  readonly unmount: () => void;

  private constructor(folder: string) {
    this.#filler = join(folder, "filler");
    this.unmount = undoAtExit(`umount -l '${folder}'; rmdir '${folder}'`);
  }

  /** Throws if this process may not mount. */
  static mount(folder: string, size: string = SIZE): Disk {
    mkdirSync(folder, { recursive: true });
    runSync("mount", "-t", "tmpfs", "-o", `size=${size}`, "chaos", folder);
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

  /** Fills the disk to the last page. */
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
