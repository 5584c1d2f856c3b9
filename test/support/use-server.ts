/** A nats-server or a cluster for all tests of a file, or of the `describe` block that calls these functions. */
import { afterAll, beforeAll } from "vitest";
import {
  type NatsCluster,
  type NatsClusterOptions,
  type NatsServer,
  type NatsServerOptions,
  startNatsCluster,
  startNatsServer,
} from "../../src/testing.ts";
import { START_MS } from "./patience.ts";

/** Starts before the first test and is disposed of after the last one. Not usable before that. */
export function useNatsServer(options?: NatsServerOptions): NatsServer {
  return useForAll(() => startNatsServer({ startTimeoutMs: START_MS, ...options }));
}

/** As `useNatsServer`, for a cluster. */
export function useNatsCluster(options?: NatsClusterOptions): NatsCluster {
  return useForAll(() => startNatsCluster({ startTimeoutMs: START_MS, ...options }));
}

/** Stands for what `start` resolves with: started before the first test, disposed of after the last one. */
export function useForAll<T extends AsyncDisposable>(start: () => Promise<T>): T {
  let started: T | undefined;
  beforeAll(async () => {
    started = await start();
  });
  afterAll(() => started?.[Symbol.asyncDispose]());
  const target = (): T => {
    if (started === undefined) throw new Error("used before beforeAll has started it");
    return started;
  };
  return new Proxy({} as T, {
    has: (_, key) => key in target(),
    get: (_, key) => {
      const value: unknown = Reflect.get(target(), key);
      return typeof value === "function" ? value.bind(target()) : value;
    },
  });
}
