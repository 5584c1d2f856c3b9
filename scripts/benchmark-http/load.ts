/** Requests at a constant rate, whatever the answers take. */
import { connect, type Socket } from "node:net";

export interface LoadOptions {
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  /** Per second. */
  readonly rate: number;
  readonly durationMs: number;
}

export interface LoadResult {
  readonly answered: number;
  /** Requests that found no free connection when they were due, by the end of the run. */
  readonly unsent: number;
  /** Answers other than 200, and connections that broke. */
  readonly failures: number;
  /** From when a request was due. */
  readonly latenciesMs: readonly number[];
  readonly bytes: number;
}

const HEAD_END = "\r\n\r\n";
const TICK_MS = 1;

class Connection {
  readonly #socket: Socket;
  readonly #request: string;
  #dueMs = 0;
  #text = "";
  isFree = true;

  constructor(
    socket: Socket,
    request: string,
    answered: (ok: boolean, dueMs: number, bytes: number) => void,
  ) {
    this.#socket = socket;
    this.#request = request;
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      this.#text += chunk;
      const at = this.#text.indexOf(HEAD_END);
      const length = Number(/^content-length: (\d+)\r$/im.exec(this.#text)?.[1] ?? Number.NaN);
      if (at < 0 || this.#text.length < at + HEAD_END.length + length) return;
      const ok = this.#text.startsWith("HTTP/1.1 200 ");
      const bytes = this.#text.length;
      this.#text = "";
      this.isFree = true;
      answered(ok, this.#dueMs, bytes);
    });
  }

  send(dueMs: number): void {
    this.isFree = false;
    this.#dueMs = dueMs;
    this.#socket.write(this.#request);
  }
}

export async function load({ port, path, connections, rate, durationMs }: LoadOptions): Promise<LoadResult> {
  const latenciesMs: number[] = [];
  const free: Connection[] = [];
  /** When the requests were due that wait for a connection, oldest first. */
  const waiting: number[] = [];
  let [answered, failures, bytes] = [0, 0, 0];
  const sockets = await Promise.all(Array.from({ length: connections }, () => dial(port)));
  const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
  for (const socket of sockets) {
    const connection = new Connection(socket, request, (ok, dueMs, length) => {
      latenciesMs.push(performance.now() - dueMs);
      answered += 1;
      bytes += length;
      if (!ok) failures += 1;
      const next = waiting.shift();
      if (next === undefined) free.push(connection);
      else connection.send(next);
    });
    socket.on("close", () => {
      failures += 1;
    });
    free.push(connection);
  }
  const startMs = performance.now();
  let issued = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now();
      const elapsedMs = Math.min(now - startMs, durationMs);
      for (const due = Math.floor((elapsedMs * rate) / 1_000); issued < due; issued++) {
        const dueMs = startMs + (issued * 1_000) / rate;
        const connection = free.pop();
        if (connection === undefined) waiting.push(dueMs);
        else connection.send(dueMs);
      }
      if (now - startMs < durationMs) return;
      clearInterval(timer);
      resolve();
    }, TICK_MS);
  });
  const unsent = waiting.length;
  for (const socket of sockets) socket.removeAllListeners("close").destroy();
  return { answered, unsent, failures, latenciesMs, bytes };
}

function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    socket.once("error", reject);
    socket.setNoDelay(true);
  });
}
