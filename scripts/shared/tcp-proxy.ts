/**
 * A TCP proxy between NATS clients and one server that injects network faults. It forwards whole protocol frames, so that a
 * frame can be dropped without corrupting the rest. It does not support TLS.
 *
 * Connect clients with `ignoreClusterUpdates: true`: otherwise addresses that the server advertises bypass the proxy.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Frame, FrameReader } from "./nats-frames.ts";
import { openThings } from "./open-things.ts";
import type { Flow, ProxyOptions, TakenFrame, TcpProxy } from "./proxy-types.ts";
import { deferred, within } from "./wait.ts";

type Side = "server" | "client";

/** One direction of one connection. A `null` frame in the queue is the end of the stream. */
interface Pipe {
  readonly from: Socket;
  readonly to: Socket;
  readonly side: Side;
  readonly queue: { readonly frame: Frame | null; readonly dueMs: number }[];
  timer: NodeJS.Timeout | undefined;
  /** Disconnected by a reset: further data are ignored. */
  severed: boolean;
}

interface Pair {
  readonly toServer: Pipe;
  readonly toClient: Pipe;
}

interface Taker {
  readonly side: Side;
  readonly matches: (frame: Frame) => boolean;
  taken(frame: TakenFrame): void;
}

export async function startProxy(options: ProxyOptions): Promise<TcpProxy> {
  const proxy = new RunningProxy(options);
  await proxy.listen();
  return proxy;
}

class RunningProxy implements TcpProxy {
  accepted = 0;
  readonly #options: ProxyOptions;
  readonly #listener: Server;
  readonly #pairs = new Set<Pair>();
  readonly #takers = new Set<Taker>();
  readonly #flows: Record<Side, Flow> = { server: "pass", client: "pass" };
  readonly #closing = new AbortController();
  #delayMs = 0;
  #keep: ((frame: Frame) => boolean) | null = null;
  #refusing = false;
  #stalled = false;
  #port = 0;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.#listener = createServer((client) => this.#accept(client));
  }

  async listen(): Promise<void> {
    const listening = deferred();
    this.#listener.once("error", listening.reject);
    this.#listener.listen(0, this.#host, listening.resolve);
    await listening.promise;
    this.#port = (this.#listener.address() as AddressInfo).port;
    openThings.add(this);
  }

  get port(): number {
    return this.#port;
  }

  get title(): string {
    return `proxy ${this.url}`;
  }

  get url(): string {
    return `nats://${this.#host}:${this.#port}`;
  }

  get #host(): string {
    return this.#options.host ?? "127.0.0.1";
  }

  get connections(): number {
    return [...this.#pairs].filter((pair) => !pair.toServer.from.destroyed).length;
  }

  toServer(flow: Flow): void {
    this.#flow("server", flow);
  }

  toClient(flow: Flow): void {
    this.#flow("client", flow);
  }

  blackhole(on: boolean): void {
    this.toServer(on ? "hold" : "pass");
    this.toClient(on ? "hold" : "pass");
  }

  stallToClient(on: boolean): void {
    this.#stalled = on;
    for (const { toClient } of this.#pairs) {
      if (on) toClient.from.pause();
      else toClient.from.resume();
    }
  }

  delay(ms: number): void {
    this.#delayMs = ms;
  }

  filterToClient(keep: ((frame: Frame) => boolean) | null): void {
    this.#keep = keep;
  }

  takeNextToServer(matches: (frame: Frame) => boolean, timeoutMs = 15_000): Promise<TakenFrame> {
    return this.#take("server", matches, timeoutMs);
  }

  takeNextToClient(matches: (frame: Frame) => boolean, timeoutMs = 15_000): Promise<TakenFrame> {
    return this.#take("client", matches, timeoutMs);
  }

  takeReplyTo(matches: (request: Frame) => boolean, timeoutMs = 15_000): Promise<TakenFrame> {
    let reply: string | undefined;
    const spy: Taker = {
      side: "server",
      matches: (frame) => {
        if (frame.reply !== "" && matches(frame)) {
          reply = frame.reply;
          this.#takers.delete(spy);
        }
        return false;
      },
      taken: () => {},
    };
    this.#takers.add(spy);
    const taken = this.#take("client", (frame) => reply !== undefined && frame.subject === reply, timeoutMs);
    void taken.catch(() => this.#takers.delete(spy));
    return taken;
  }

  cut(): void {
    for (const pair of this.#pairs) this.#end(pair, "both", "close");
  }

  resetServerSide(): void {
    for (const pair of this.#pairs) this.#end(pair, "server", "reset");
  }

  resetClientSide(): void {
    for (const pair of this.#pairs) this.#end(pair, "client", "reset");
  }

  refuse(on: boolean): void {
    this.#refusing = on;
  }

  async close(): Promise<void> {
    openThings.delete(this);
    this.#closing.abort(new Error("the proxy was closed"));
    const closed = deferred();
    this.#listener.close(() => closed.resolve());
    this.cut();
    await closed.promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    if (this.#refusing) {
      client.on("error", () => {});
      client.destroy();
      return;
    }
    this.accepted++;
    const server = connect({
      host: this.#options.target.host ?? "127.0.0.1",
      port: this.#options.target.port,
    });
    const pair: Pair = {
      toServer: { from: client, to: server, side: "server", queue: [], timer: undefined, severed: false },
      toClient: { from: server, to: client, side: "client", queue: [], timer: undefined, severed: false },
    };
    this.#pairs.add(pair);
    this.#read(pair, pair.toServer);
    this.#read(pair, pair.toClient);
    if (this.#stalled) server.pause();
  }

  #read(pair: Pair, pipe: Pipe): void {
    const reader = new FrameReader();
    let ended = false;
    const end = (): void => {
      if (ended) return;
      ended = true;
      this.#enqueue(pipe, null);
    };
    pipe.from.setNoDelay(true);
    pipe.from
      .on("data", (chunk: Buffer) => {
        for (const frame of reader.push(chunk)) this.#receive(pipe, frame);
      })
      .on("end", end)
      .on("error", () => {}) // "close" follows
      .on("close", () => {
        end();
        if (pipe.to.destroyed) this.#pairs.delete(pair);
      });
  }

  #receive(pipe: Pipe, frame: Frame): void {
    if (pipe.severed || this.#flows[pipe.side] === "drop") return;
    if (pipe.side === "client" && this.#keep !== null && !this.#keep(frame)) return;
    for (const taker of this.#takers) {
      if (taker.side !== pipe.side || !taker.matches(frame)) continue;
      this.#takers.delete(taker);
      taker.taken({
        frame,
        release: () => !pipe.severed && pipe.to.writable && pipe.to.write(frame.bytes) !== undefined,
      });
      return;
    }
    this.#enqueue(pipe, frame);
  }

  #enqueue(pipe: Pipe, frame: Frame | null): void {
    const last = pipe.queue.at(-1);
    pipe.queue.push({ frame, dueMs: Math.max(last?.dueMs ?? 0, performance.now() + this.#delayMs) });
    if (pipe.queue.length === 1) this.#forward(pipe);
  }

  /** Forwards the frames that are due, in one write. Except for `release()`, only this method writes. */
  #forward(pipe: Pipe): void {
    clearTimeout(pipe.timer);
    if (this.#flows[pipe.side] === "hold") return;
    const now = performance.now();
    const later = pipe.queue.findIndex(({ dueMs }) => dueMs > now);
    const due = pipe.queue.splice(0, later === -1 ? pipe.queue.length : later);
    const wait = pipe.queue[0];
    if (wait !== undefined) pipe.timer = setTimeout(() => this.#forward(pipe), Math.ceil(wait.dueMs - now));
    if (pipe.severed || due.length === 0) return;
    const bytes = due.flatMap(({ frame }) => (frame === null ? [] : [frame.bytes]));
    if (bytes.length > 0 && pipe.to.writable) pipe.to.write(Buffer.concat(bytes));
    if (due.some(({ frame }) => frame === null)) pipe.to.destroySoon();
  }

  #flow(side: Side, flow: Flow): void {
    this.#flows[side] = flow;
    for (const pair of this.#pairs) {
      const pipe = side === "server" ? pair.toServer : pair.toClient;
      if (flow === "drop")
        pipe.queue.splice(0, pipe.queue.length, ...pipe.queue.filter((item) => item.frame === null));
      this.#forward(pipe);
    }
  }

  async #take(side: Side, matches: (frame: Frame) => boolean, timeoutMs: number): Promise<TakenFrame> {
    const found = deferred<TakenFrame>();
    const taker: Taker = { side, matches, taken: found.resolve };
    this.#takers.add(taker);
    try {
      const message = `a frame to the ${side} that matches`;
      return await within(found.promise, { timeoutMs, message, signal: this.#closing.signal });
    } finally {
      this.#takers.delete(taker);
    }
  }

  #end(pair: Pair, side: Side | "both", how: "close" | "reset"): void {
    for (const pipe of [pair.toServer, pair.toClient]) {
      pipe.severed = true;
      pipe.queue.length = 0;
      clearTimeout(pipe.timer);
      if (side !== "both" && side !== pipe.side) continue;
      if (how === "reset") pipe.to.resetAndDestroy();
      else pipe.to.destroy();
    }
  }
}
