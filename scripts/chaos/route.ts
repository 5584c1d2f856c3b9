/** A TCP connection between two servers of a cluster that can be held up or cut. Bytes are not looked at. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class Route {
  readonly #listener: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #held = false;
  #refusing = false;

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#listener = createServer((client) => this.#accept(client, target));
  }

  static async open(target: { readonly host: string; readonly port: number }): Promise<Route> {
    const route = new Route(target);
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

  #accept(client: Socket, target: { readonly host: string; readonly port: number }): void {
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const pair = [client, connect(target)] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, [pair[1], client]] as const) {
      from.setNoDelay(true);
      from.on("data", (bytes) => void to.write(bytes));
      from.on("error", () => {});
      from.on("close", () => {
        to.destroy();
        this.#pairs.delete(pair);
      });
    }
    this.#apply(pair);
  }

  #apply(pair: readonly [Socket, Socket]): void {
    for (const socket of pair) {
      if (this.#held) socket.pause();
      else socket.resume();
    }
  }
}
