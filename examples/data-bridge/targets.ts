/**
 * The addresses of the instances in a file that Prometheus watches (`file_sd_configs`). An instance that was killed keeps its place until the
 * next one with its number is ready, so that Prometheus sees that it is down; one that was stopped is removed.
 */
import { renameSync, writeFileSync } from "node:fs";

export class Targets {
  readonly #path: string;
  readonly #addresses = new Map<number, string>();

  /** Writes the file, without an instance. @throws Error if it cannot be written. */
  constructor(path: string) {
    this.#path = path;
    this.#write();
  }

  ready(number: number, url: string): void {
    this.#addresses.set(number, new URL(url).host);
    this.#write();
  }

  stopped(number: number): void {
    if (this.#addresses.delete(number)) this.#write();
  }

  /** Prometheus must not read half a file. */
  #write(): void {
    const targets = [...this.#addresses].map(([number, address]) => ({
      targets: [address],
      labels: { instance_number: String(number) },
    }));
    const next = `${this.#path}.next`;
    writeFileSync(next, `${JSON.stringify(targets, null, 2)}\n`);
    renameSync(next, this.#path);
  }
}
