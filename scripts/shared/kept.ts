/** What is kept in memory, for tests and tools that search for leaks. Independent of vitest. */
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { NatsConnection } from "@nats-io/transport-node";

/** What a connection keeps for its users. */
export interface Kept {
  /** Loops over `connection.status()`. */
  readonly statusLoops: number;
  readonly subscriptions: number;
  /** Requests without an answer. */
  readonly requests: number;
}

/** Reads fields of nats.js that are not public. Throws if an upgrade has removed one. */
export function keptBy(connection: NatsConnection): Kept {
  const { protocol } = connection as unknown as {
    readonly protocol: {
      readonly listeners: { readonly length: number };
      readonly subscriptions: { size(): number };
      readonly muxSubscriptions: { size(): number };
    };
  };
  return {
    statusLoops: protocol.listeners.length,
    subscriptions: protocol.subscriptions.size(),
    requests: protocol.muxSubscriptions.size(),
  };
}

let collect: (() => void) | undefined;

/** Collects garbage completely: some objects become unreachable only when finalizers and microtasks have run in between. */
export async function collectGarbage(): Promise<void> {
  if (collect === undefined) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  for (let i = 0; i < 4; i++) {
    collect();
    await sleep(10);
  }
}

/** How many of the objects exist after a garbage collection. */
export async function survivors(refs: readonly WeakRef<object>[]): Promise<number> {
  await collectGarbage();
  return refs.filter((ref) => ref.deref() !== undefined).length;
}
