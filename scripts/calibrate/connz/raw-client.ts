/** A client on a bare socket: it decides which bytes are one write, when it reads, and how its connection ends. */
import { connect, type Socket } from "node:net";
import type { NatsServer } from "../../../src/testing/server/types.ts";
import { waitFor } from "../../shared/wait.ts";

const PATIENCE_MS = 60_000;

export interface Login {
  readonly user?: string;
  readonly pass?: string;
  readonly echo?: boolean;
}

export class RawClient {
  /** Called for every message. */
  onMessage: (() => void) | null = null;
  readonly #socket: Socket;
  /** Messages received by subject, and lines of the protocol by their first word. */
  readonly #received = new Map<string, number>();
  #rest = "";
  #clientId = 0;
  #serverId = "";
  #closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket
      .setNoDelay(true)
      .setEncoding("latin1")
      .on("error", () => {});
    socket.on("data", (text: string) => this.#read(text));
    socket.once("close", () => {
      this.#closed = true;
    });
  }

  static async open(server: NatsServer, login: Login = {}): Promise<RawClient> {
    const client = new RawClient(connect(server.port, server.host));
    await client.until("INFO");
    client.write(`CONNECT ${JSON.stringify({ verbose: false, headers: true, ...login })}\r\n`);
    await client.roundTrip();
    return client;
  }

  get clientId(): number {
    return this.#clientId;
  }

  get serverId(): string {
    return this.#serverId;
  }

  get closed(): boolean {
    return this.#closed;
  }

  write(text: string): void {
    this.#socket.write(text, "latin1");
  }

  /** Everything that was written before has been parsed by the server; the end of its last read buffer may not be reached yet. */
  async roundTrip(): Promise<void> {
    const pongs = this.count("PONG");
    this.write("PING\r\n");
    await this.until("PONG", pongs + 1);
  }

  /** The messages with this subject, or lines with this first word, that were received. */
  count(what: string): number {
    return this.#received.get(what) ?? 0;
  }

  async until(what: string, least = 1, timeoutMs: number = PATIENCE_MS): Promise<void> {
    await waitFor(() => this.count(what) >= least, {
      timeoutMs,
      intervalMs: 1,
      message: () => `${least} times "${what}" on a bare socket, which has ${this.count(what)}`,
    });
  }

  /** Reads on, and looks at nothing any more. */
  ignore(): void {
    this.#socket.removeAllListeners("data");
    this.#socket.on("data", () => {});
  }

  /** Stops reading: what arrives stays in the socket. */
  pause(): void {
    this.#socket.pause();
  }

  end(): void {
    this.#socket.end();
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split("\r\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#line(line);
  }

  /** Payloads pass through here as well: they must contain no line that begins like one of the protocol. */
  #line(line: string): void {
    const [word = "", subject = ""] = line.split(" ", 2);
    if (word === "INFO") {
      const info = JSON.parse(line.slice(5)) as { readonly client_id: number; readonly server_id: string };
      this.#clientId = info.client_id;
      this.#serverId = info.server_id;
    }
    const what = word === "MSG" || word === "HMSG" ? subject : word;
    if (/^(INFO|PING|PONG|MSG|HMSG|-ERR)$/.test(word)) this.#received.set(what, this.count(what) + 1);
    if (word === "MSG" || word === "HMSG") this.onMessage?.();
    if (word === "PING") this.write("PONG\r\n");
  }
}

/** A message in the protocol. */
export function pub(subject: string, payload = "x", times = 1): string {
  return `PUB ${subject} ${payload.length}\r\n${payload}\r\n`.repeat(times);
}
