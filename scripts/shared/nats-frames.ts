/** One message of the NATS client protocol, in either direction. */
export interface Frame {
  /** In upper case: MSG, HMSG, PUB, HPUB, SUB, PING, INFO, … */
  readonly verb: string;
  /** Subject of a message or a publish, otherwise "". */
  readonly subject: string;
  /** Reply subject of a message or a publish, "" if there is none. */
  readonly reply: string;
  /** The whole frame: line, headers and payload. */
  readonly text: string;
  readonly bytes: Buffer;
}

const crlf = Buffer.from("\r\n");
/** Number of words of a line without a reply subject, of which the last ones are sizes. */
const replyAt: Readonly<Record<string, { readonly words: number; readonly sizes: number }>> = {
  PUB: { words: 3, sizes: 1 },
  HPUB: { words: 4, sizes: 2 },
  MSG: { words: 4, sizes: 1 },
  HMSG: { words: 5, sizes: 2 },
};

/** Splits one direction of a connection into frames. Any frame can be dropped without corrupting the rest. */
export class FrameReader {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): Frame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Frame[] = [];
    for (let frame = this.#take(); frame !== null; frame = this.#take()) frames.push(frame);
    return frames;
  }

  #take(): Frame | null {
    const lineEnd = this.#rest.indexOf(crlf);
    if (lineEnd === -1) return null;
    const words = this.#rest.toString("latin1", 0, lineEnd).split(/[ \t]+/);
    const verb = (words[0] ?? "").toUpperCase();
    const shape = replyAt[verb];
    const size = lineEnd + 2 + (shape === undefined ? 0 : Number(words.at(-1)) + 2);
    if (this.#rest.length < size) return null;
    const bytes = this.#rest.subarray(0, size);
    this.#rest = this.#rest.subarray(size);
    const hasReply = shape !== undefined && words.length > shape.words;
    return {
      verb,
      subject: shape === undefined ? "" : (words[1] ?? ""),
      reply: hasReply ? (words.at(-1 - shape.sizes) ?? "") : "",
      text: bytes.toString("utf8"),
      bytes,
    };
  }
}

/** Whether the frame is JetStream's ack of a stored publish. */
export function isPubAck(frame: Frame): boolean {
  if (frame.verb !== "MSG") return false;
  try {
    const answer: unknown = JSON.parse(frame.text.slice(frame.text.indexOf("\r\n")));
    return typeof answer === "object" && answer !== null && "stream" in answer && "seq" in answer;
  } catch {
    return false;
  }
}
