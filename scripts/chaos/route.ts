/** TCP connections between two servers that can be delayed, held up or cut. Bytes are not looked at. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

interface Target {
  readonly host: string;
  readonly port: number;
}

export class Route {
  readonly #listener: Server;
  readonly #delayMs: number;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #held = false;
  #refusing = false;

  private constructor(target: Target, delayMs: number) {
    this.#delayMs = delayMs;
    this.#listener = createServer((client) => this.#accept(client, target));
  }

  /** Every byte, and the end of a connection, is under way for `delayMs` in either direction. */
  static async open(target: Target, delayMs = 0): Promise<Route> {
    const route = new Route(target, delayMs);
    await new Promise<void>((resolve) => route.#listener.listen(0, target.host, resolve));
    return route;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** Bytes wait in both directions until it is mended; nothing is closed. */
  hold(): void {
    this.#held = true;
    for (const pair of this.#pairs) this.#apply(pair);
  }

  /** Ends every connection, and those that are made until it is mended. */
  cut(): void {
    this.#refusing = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  mend(): void {
    this.#refusing = false;
    this.#held = false;
    for (const pair of this.#pairs) this.#apply(pair);
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #accept(client: Socket, target: Target): void {
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const pair = [client, connect(target)] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [pair[1], client]] as const) {
      from.setNoDelay(true);
      from.on("data", (bytes) => this.#later(() => void to.write(bytes)));
      from.on("error", () => {});
      from.on("close", () => {
        this.#later(() => to.destroy());
        this.#pairs.delete(pair);
      });
    }
    this.#apply(pair);
  }

  /** In order: timers of one duration fire in the order in which they were set. */
  #later(deliver: () => void): void {
    if (this.#delayMs === 0) deliver();
    else setTimeout(deliver, this.#delayMs);
  }

  #apply(pair: readonly [Socket, Socket]): void {
    for (const socket of pair) {
      if (this.#held) socket.pause();
      else socket.resume();
    }
  }
}
