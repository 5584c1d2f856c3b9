/** A small disk of its own for one server: a file system in memory. Takes Linux and the right to mount. */
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const SIZE = "128m";
const CHUNKS = [1 << 20, 1 << 12];

export class Disk {
  readonly #filler: string;
  readonly #release: () => void;

  private constructor(folder: string, release: () => void) {
    this.#filler = join(folder, "filler");
    this.#release = release;
  }

  /** Throws where it may not. */
  static mount(folder: string): Disk {
    mkdirSync(folder, { recursive: true });
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE}`, "chaos", folder], { stdio: "pipe" });
    // Unmounts also when this process is killed: its end of the pipe closes then.
    const keeper = spawn("/bin/sh", ["-c", 'read -r _; umount -l "$0"; rmdir "$0"', folder], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
    });
    keeper.unref();
    return new Disk(folder, () => {
      execFileSync("umount", ["-l", folder], { stdio: "pipe" });
      keeper.stdin?.end();
    });
  }

  /** Whether this process may mount. */
  static possible(): boolean {
    const folder = mkdtempSync(join(tmpdir(), "nats-leader-disk-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "chaos", folder], { stdio: "pipe" });
      execFileSync("umount", [folder], { stdio: "pipe" });
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

  unmount(): void {
    this.#release();
  }
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, chunk: Buffer): Promise<void> {
  for (;;) {
    try {
      await file.write(chunk);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOSPC") return;
      throw error;
    }
  }
}
