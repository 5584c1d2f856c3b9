/**
 * Fails a test file that leaves a server, proxy or child process open, and closes it, so that the next file starts
 * clean. A setup file of the real-server tests: its hook is registered before the test file's own ones and so runs last.
 */
import { afterAll } from "vitest";
import { openThings } from "../../scripts/shared/open-things.ts";
import { openServers } from "../../src/testing/server/run/registry.ts";

afterAll(async () => {
  const servers = openServers();
  const titles = [
    ...servers.map((server) => `nats-server ${server.name}`),
    ...[...openThings].map(({ title }) => title),
  ];
  if (titles.length === 0) return;
  await Promise.allSettled([...servers, ...openThings].map(async (thing) => thing[Symbol.asyncDispose]()));
  throw new Error(`left open at the end of the test file: ${titles.join(", ")}`);
});
