/** A TCP proxy between two servers that can delay, hold back or cut their connections. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

interface Target {
  readonly host: string;
  readonly port: number;
}

export interface RouteOptions {
  /** Delay of every byte, and of the end of a connection, in each direction. @default 0 */
  readonly delayMs?: number;
  /** Decides by the first bytes of the dialing side whether the connection may pass. @default every connection passes */
  readonly admits?: (first: string) => boolean;
}

export class Route {
  readonly #listener: Server;
  readonly #options: RouteOptions;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #held = false;
  #refusing = false;

  private constructor(target: Target, options: RouteOptions) {
    this.#options = options;
    this.#listener = createServer((client) => this.#accept(client, target));
  }

  static async open(target: Target, options: RouteOptions = {}): Promise<Route> {
    const route = new Route(target, options);
    await new Promise<void>((resolve) => route.#listener.listen(0, target.host, resolve));
    return route;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** Holds bytes back in both directions until `mend()`; closes nothing. */
  hold(): void {
    this.#held = true;
    for (const pair of this.#pairs) this.#apply(pair);
  }

  /** Closes every connection, and every new one until `mend()`. */
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
    client.once("data", (bytes) => {
      if (this.#options.admits?.(String(bytes)) === false) client.destroy();
    });
    for (const [from, to] of [pair, [pair[1], client]] as const) {
      from.setNoDelay(true);
      from.on("data", (bytes) => {
        if (!from.destroyed) this.#later(() => void to.write(bytes));
      });
      from.on("error", () => {});
      from.on("close", () => {
        this.#later(() => to.destroy());
        this.#pairs.delete(pair);
      });
    }
    this.#apply(pair);
  }

  /** Keeps the order: timers of equal duration fire in the order in which they were set. */
  #later(deliver: () => void): void {
    const { delayMs = 0 } = this.#options;
    if (delayMs === 0) deliver();
    else setTimeout(deliver, delayMs);
  }

  #apply(pair: readonly [Socket, Socket]): void {
    for (const socket of pair) {
      if (this.#held) socket.pause();
      else socket.resume();
    }
  }
}
