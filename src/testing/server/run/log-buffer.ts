const MAX_LINES = 1000;
const MAX_LINE_CHARS = 4000;

/** Keeps the last 1000 lines of a log; lines are truncated to 4000 characters. */
export class LogBuffer {
  readonly #lines: string[] = [];
  #partial = "";

  /** Appends output; `chunk` may end within a line. */
  write(chunk: string): void {
    const lines = (this.#partial + chunk).split(/\r?\n/);
    this.#partial = (lines.pop() ?? "").slice(0, MAX_LINE_CHARS);
    for (const line of lines) this.#lines.push(line.slice(0, MAX_LINE_CHARS));
    if (this.#lines.length > MAX_LINES) this.#lines.splice(0, this.#lines.length - MAX_LINES);
  }

  /** The kept lines, oldest first. */
  lines(): readonly string[] {
    return this.#partial === "" ? [...this.#lines] : [...this.#lines, this.#partial];
  }

  /** The last `count` lines as one text, for an error message. */
  tail(count: number): string {
    return this.lines().slice(-count).join("\n");
  }

  /** Deletes all lines. */
  clear(): void {
    this.#lines.length = 0;
    this.#partial = "";
  }
}
