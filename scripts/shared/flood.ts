/** Bare sockets that publish as fast as a server reads. A client needs longer to send a message than its receiver to read it. */
import { createConnection, type Socket } from "node:net";

const CHUNK_BYTES = 65_536;

export interface FloodOptions {
  readonly server: { readonly host: string; readonly port: number };
  readonly login: { readonly user: string; readonly pass: string } | null;
  readonly subject: string;
  /** Where receivers answer. Default: nowhere. */
  readonly reply?: string;
  readonly payloadBytes: number;
  /** Over all sockets. */
  readonly maxBytes: number;
  /** Several, because the server reads each of them on a thread of its own. */
  readonly sockets: number;
}

export class Flood {
  /** All bytes were sent and processed by the server, or the sockets are closed. */
  isDone = false;
  failure: Error | null = null;
  readonly #sockets: readonly Socket[];

  private constructor(sockets: readonly Socket[]) {
    this.#sockets = sockets;
  }

  static start(options: FloodOptions): Flood {
    const { server, login, subject, reply, payloadBytes, maxBytes } = options;
    const head = ["PUB", subject, ...(reply === undefined ? [] : [reply]), payloadBytes].join(" ");
    const message = `${head}\r\n${"x".repeat(payloadBytes)}\r\n`;
    const chunk = Buffer.from(message.repeat(Math.ceil(CHUNK_BYTES / message.length)));
    const sockets = Array.from({ length: options.sockets }, () =>
      createConnection({ port: server.port, host: server.host }),
    );
    const flood = new Flood(sockets);
    for (const socket of sockets) {
      socket.on("error", (error) => (flood.failure = error)).resume();
      socket.write(`CONNECT ${JSON.stringify({ verbose: false, ...login })}\r\n`);
    }
    const share = maxBytes / options.sockets;
    void Promise.all(sockets.map((socket) => pump(socket, chunk, share))).then(() => (flood.isDone = true));
    return flood;
  }

  stop(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Resolves when all bytes have been sent and processed by the server, or the socket is closed. */
async function pump(socket: Socket, chunk: Buffer, maxBytes: number): Promise<void> {
  for (let sent = 0; sent < maxBytes && !socket.destroyed; sent += chunk.length) {
    if (!socket.write(chunk)) await drained(socket);
  }
  if (socket.destroyed) return;
  await new Promise<void>((resolve) => {
    socket
      .on("close", () => resolve())
      .on("data", (data: Buffer) => {
        if (data.includes("PONG\r\n")) resolve();
      });
    socket.write("PING\r\n");
  });
}

/** Resolves when the socket can take more, or is closed. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.on("drain", done).on("close", done);
  });
}
