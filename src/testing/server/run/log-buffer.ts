const MAX_LINES = 1000;
const MAX_LINE_CHARS = 4000;

/** The last 1000 lines of a log; longer lines are cut. */
export class LogBuffer {
  readonly #lines: string[] = [];
  #partial = "";

  /** Takes a piece of output, which may end within a line. */
  write(chunk: string): void {
    const lines = (this.#partial + chunk).split(/\r?\n/);
    this.#partial = (lines.pop() ?? "").slice(0, MAX_LINE_CHARS);
    for (const line of lines) this.#lines.push(line.slice(0, MAX_LINE_CHARS));
    if (this.#lines.length > MAX_LINES) this.#lines.splice(0, this.#lines.length - MAX_LINES);
  }

  /** What is kept, oldest first. */
  lines(): readonly string[] {
    return this.#partial === "" ? [...this.#lines] : [...this.#lines, this.#partial];
  }

  /** The last `count` lines as one text, for an error message. */
  tail(count: number): string {
    return this.lines().slice(-count).join("\n");
  }

  /** Forgets everything. */
  clear(): void {
    this.#lines.length = 0;
    this.#partial = "";
  }
}
