/**
 * From which stream a message about a bucket is. Subjects of other sites cross leaf nodes, and with them the messages that a
 * stream with the same name republishes there. Each write carries the creation time of the stream that it was meant for.
 */

/** Header of a lease write: the creation time of its stream, as the server writes it. */
export const STREAM_HEADER = "Nats-Leader-Stream";

/** Creation times of other streams that are remembered. */
const MAX_KNOWN = 64;

/**
 * A message of an unknown stream may be of one that replaced the stream: it counts until a read that began after it shows that the
 * stream is still the same. Go nodes and earlier versions write no creation time; their messages always count.
 */
export class StreamIdentity {
  #own: string | null = null;
  readonly #unknown = new Set<string>();
  readonly #foreign = new Set<string>();

  /** The creation time for `STREAM_HEADER`; `null` before the stream was seen. */
  get own(): string | null {
    return this.#own;
  }

  /** From which stream a message with this `STREAM_HEADER` is. `""`, no header, counts as the own one. */
  of(created: string): "own" | "unknown" | "foreign" {
    if (created === "" || created === this.#own) return "own";
    if (this.#foreign.has(created)) return "foreign";
    if (this.#unknown.size < MAX_KNOWN) this.#unknown.add(created);
    return "unknown";
  }

  /** Call it before a read of the stream. The function that it returns takes what the read has shown. */
  reading(): (created: string) => void {
    const before = [...this.#unknown];
    return (created) => {
      this.#own = created;
      for (const other of before) {
        this.#unknown.delete(other);
        if (other === created) continue;
        if (this.#foreign.size >= MAX_KNOWN) this.#foreign.clear();
        this.#foreign.add(other);
      }
    };
  }
}
