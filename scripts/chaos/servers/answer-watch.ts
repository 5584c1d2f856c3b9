/** Records when a server answered late, because the machine did not schedule it: then no beat comes back either. */
import { setTimeout as pause } from "node:timers/promises";
import type { NatsConnection } from "@nats-io/transport-node";
import type { NatsServer } from "../../../src/testing.ts";
import { hostNowMs } from "../harness/host-clock.ts";
import type { Stall } from "../node/recording.ts";
import { connectPatiently } from "./connect.ts";

const EVERY_MS = 20;
/** A round trip that takes longer is a stall of the server. */
const STALL_MS = 60;

export class AnswerWatch {
  readonly seen: Stall[] = [];
  readonly #connections: readonly NatsConnection[];
  #isOver = false;

  private constructor(connections: readonly NatsConnection[]) {
    this.#connections = connections;
  }

  static async of(servers: readonly NatsServer[]): Promise<AnswerWatch> {
    const options = { reconnectTimeWait: 100, ignoreClusterUpdates: true };
    const connections = await Promise.all(
      servers.map(({ url }) => connectPatiently({ ...options, servers: url })),
    );
    const watch = new AnswerWatch(connections);
    for (const connection of connections) void watch.#ask(connection);
    return watch;
  }

  async #ask(connection: NatsConnection): Promise<void> {
    while (!this.#isOver) {
      const fromMs = hostNowMs();
      // Without a connection there is no answer to judge: a fault has taken the server away.
      const isAnswered = await connection.flush().then(
        () => true,
        () => false,
      );
      const untilMs = hostNowMs();
      if (isAnswered && untilMs - fromMs > STALL_MS) this.seen.push({ fromMs, untilMs });
      await pause(EVERY_MS);
    }
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#connections.map((connection) => connection.close()));
  }
}
