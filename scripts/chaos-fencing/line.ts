/** A TCP connection that can be held up or cut. Held bytes arrive later, in order: that is what makes late writes. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";

export class Line {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #held = { toServer: false, toClient: false };
  #refusing = false;

  private constructor(targetPort: number) {
    this.#server = createServer((client) => this.#accept(client, targetPort));
  }

  static async open(targetPort: number): Promise<Line> {
    const line = new Line(targetPort);
    await new Promise<void>((resolve) => line.#server.listen(0, "127.0.0.1", resolve));
    return line;
  }

  get url(): string {
    return `nats://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Bytes of a direction wait until it is let go again. Connections stay open. */
  hold(toServer: boolean, toClient: boolean): void {
    this.#held = { toServer, toClient };
    for (const pair of this.#pairs) this.#apply(pair);
  }

  /** Ends every connection, and those that are made until `mend()`. */
  cut(): void {
    this.#refusing = true;
    for (const [client, server] of this.#pairs) {
      client.destroy();
      server.destroy();
    }
  }

  mend(): void {
    this.#refusing = false;
    this.hold(false, false);
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(client: Socket, port: number): void {
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const server = connect({ host: "127.0.0.1", port });
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const [from, to] of [pair, pair.toReversed()] as [Socket, Socket][]) {
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

  #apply([client, server]: readonly [Socket, Socket]): void {
    if (this.#held.toServer) client.pause();
    else client.resume();
    if (this.#held.toClient) server.pause();
    else server.resume();
  }
}
