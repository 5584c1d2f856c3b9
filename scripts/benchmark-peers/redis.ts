/** A Redis lock, held and extended by redlock. */
import { Redlock } from "@sesamecare-oss/redlock";
import { Redis } from "ioredis";
import { findProgram } from "../../src/system/find-program.ts";
import { freePort } from "../../src/testing/server/run/ports.ts";
import { type Peer, SERVER_FOLDERS, startProcess, versionOf } from "./peer.ts";

const HOST = "127.0.0.1";
/** The library's defaults, written out: the delay between attempts, and when a lock is extended. */
const RETRY = { retryDelay: 200, retryJitter: 100 } as const;
const EXTEND_BEFORE_MS = 500;

export const redis: Peer = {
  system: "redis",
  client:
    "@sesamecare-oss/redlock on ioredis: using(), extended 500 ms before the TTL; a standby tries every 200 +- 100 ms",
  packages: ["redis-server"],
  renewEveryMs: (ttlMs) => ttlMs - EXTEND_BEFORE_MS,
  missing: () =>
    findProgram("redis-server", SERVER_FOLDERS) === null
      ? "no program redis-server (Debian: redis-server)"
      : undefined,

  async startServer(dir, signal) {
    const command = findProgram("redis-server", SERVER_FOLDERS) ?? "redis-server";
    const port = await freePort(HOST);
    const url = `redis://${HOST}:${port}`;
    const args = ["--port", String(port), "--bind", HOST, "--dir", dir, "--save", "", "--appendonly", "no"];
    const ready = async (): Promise<boolean> => {
      const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
      client.on("error", () => {});
      try {
        await client.connect();
        return (await client.ping()) === "PONG";
      } finally {
        client.disconnect();
      }
    };
    const stop = await startProcess({ command, args, ready }, signal);
    return { url, version: versionOf(command, "--version"), stop };
  },

  async campaign({ url, ttlMs, onBecome, onError }) {
    const client = new Redis(url);
    client.on("error", onError);
    await client.ping();
    const redlock = new Redlock([client], {
      ...RETRY,
      retryCount: -1,
      automaticExtensionThreshold: EXTEND_BEFORE_MS,
    });
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    const leading = redlock
      .using(["leader"], ttlMs, async (signal) => {
        signal.addEventListener("abort", () => onError(signal.error));
        onBecome();
        await ended;
      })
      .catch(onError);
    return {
      async leave() {
        end();
        await leading;
        client.disconnect();
      },
    };
  },
};
