/**
 * The ledgers as their owners write them: entry n + 1 behind entry n, in one write with the fence and with the position, so that
 * nothing can be lost or stored twice, whatever becomes of an answer.
 */
import { type NatsConnection, RequestError } from "@nats-io/transport-node";
import { ClusterError } from "../../../src/errors.ts";
import { FencedStream, type FencedWriter } from "../../../src/fencing.ts";
import type { ResourceTerm } from "../../../src/group.ts";
import { type Entry, ledgerOf } from "./messages.ts";

const TIMEOUT_MS = 1_000;

interface Position {
  readonly n: number;
  /** Sequence of the last entry; 0: there is none. */
  readonly sequence: number;
  readonly by: string | null;
}

export class Ledger {
  readonly #connection: NatsConnection;
  readonly #stream: string;
  readonly #subject: string;
  readonly #fenced: FencedStream;
  readonly #by: string;

  private constructor(connection: NatsConnection, resource: string, fenced: FencedStream, by: string) {
    const { stream, subject } = ledgerOf(resource);
    this.#connection = connection;
    this.#stream = stream;
    this.#subject = subject;
    this.#fenced = fenced;
    this.#by = by;
  }

  static async open(
    connection: NatsConnection,
    resource: string,
    options: { readonly by: string; readonly replicas: number },
  ): Promise<Ledger> {
    const { stream, subject } = ledgerOf(resource);
    const { replicas } = options;
    const settings = { stream, subjects: [subject], replicas, timeoutMs: TIMEOUT_MS };
    return new Ledger(connection, resource, await FencedStream.connect(connection, settings), options.by);
  }

  /** Takes the fence for this term, and reads where the owner before has come to. */
  async take(term: ResourceTerm, signal: AbortSignal): Promise<LedgerWriter> {
    const writer = await this.#fenced.open(term, { signal });
    return new LedgerWriter(this, writer, await this.position());
  }

  async position(): Promise<Position> {
    const body = JSON.stringify({ last_by_subj: this.#subject });
    const name = `$JS.API.STREAM.MSG.GET.${this.#stream}`;
    const answer = await this.#connection.request(name, body, { timeout: TIMEOUT_MS });
    const { error, message } = answer.json<{
      readonly error?: { readonly code: number };
      readonly message?: { readonly seq: number; readonly data?: string };
    }>();
    if (error?.code === 404) return { n: 0, sequence: 0, by: null };
    if (message === undefined) throw new RequestError(`${name}: ${JSON.stringify(error)}`);
    const { n, by } = JSON.parse(Buffer.from(message.data ?? "", "base64").toString()) as Entry;
    return { n, by, sequence: message.seq };
  }

  async write(writer: FencedWriter, n: number, after: number): Promise<number> {
    const entry: Entry = { n, epoch: writer.epoch, by: this.#by };
    const { sequence } = await writer.publish(this.#subject, JSON.stringify(entry), { expectLast: after });
    return sequence;
  }
}

export class LedgerWriter {
  readonly #ledger: Ledger;
  readonly #writer: FencedWriter;
  #position: Position;

  constructor(ledger: Ledger, writer: FencedWriter, position: Position) {
    this.#ledger = ledger;
    this.#writer = writer;
    this.#position = position;
  }

  /** Number of the entry that was stored. */
  async append(): Promise<number> {
    const { n, sequence } = this.#position;
    try {
      this.#position = {
        n: n + 1,
        sequence: await this.#ledger.write(this.#writer, n + 1, sequence),
        by: null,
      };
      return n + 1;
    } catch (error) {
      // It may be stored, now or later: the next entry goes behind what a read shows, or is refused because of it.
      if (error instanceof ClusterError && error.code !== "STALE_EPOCH")
        this.#position = await this.#ledger.position();
      throw error;
    }
  }
}
