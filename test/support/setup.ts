/**
 * Setup file of the tests that start servers and processes. After each test it runs the cleanups and fails a test that left a
 * socket open or still listens to a channel of this package. After each file it fails a file that left a server, proxy, process, timer or socket, and closes what it can, so
 * that the next file of the worker starts clean. Its hooks are registered before those of the test file, so they run after them.
 */
import { afterAll, afterEach, beforeEach } from "vitest";
import { openThings } from "../../scripts/shared/open-things.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import { hasListener, NAMES } from "../../src/channels/channels.ts";
import type { ChannelName } from "../../src/channels/events.ts";
import { openServers } from "../../src/testing/server/run/registry.ts";
import { runCleanups } from "./at-end.ts";
import { pendingTimers, recordTimers } from "./timers.ts";

/** A closed connection may leave the timeout of its last request pending: 5 s. */
const LAST_TIMER_MS = 6000;

recordTimers();
const socketsAtStart = countSockets();
let socketsBefore = 0;
let heardBefore: readonly ChannelName[] = [];

beforeEach(() => {
  heardBefore = NAMES.filter(hasListener);
  socketsBefore = countSockets();
});

afterEach(async () => {
  const errors = await runCleanups();
  // Checked while the server runs: once it has stopped, a connection that was left open only retries and holds no socket.
  await waitFor(() => countSockets() <= socketsBefore, { timeoutMs: 3000 }).catch(() => {
    errors.push(new Error(`the test left ${countSockets() - socketsBefore} sockets open`));
  });
  const heard = NAMES.filter((name) => hasListener(name) && !heardBefore.includes(name));
  if (heard.length > 0) errors.push(new Error(`the test still listens to ${heard.join(", ")}`));
  if (errors.length > 0) throw errors.length === 1 ? errors[0] : new AggregateError(errors);
});

afterAll(async () => {
  const servers = openServers();
  const left = [
    ...servers.map((server) => `nats-server ${server.name}`),
    ...[...openThings].map(({ title }) => title),
  ];
  await Promise.allSettled([...servers, ...openThings].map(async (thing) => thing[Symbol.asyncDispose]()));
  await waitFor(() => pendingTimers().length === 0 && countSockets() <= socketsAtStart, {
    timeoutMs: LAST_TIMER_MS,
    intervalMs: 50,
  }).catch(() => {
    left.push(
      `${countSockets() - socketsAtStart} sockets`,
      ...pendingTimers().map((stack) => `a timer\n${stack}`),
    );
  });
  if (left.length > 0) throw new Error(`left open at the end of the test file: ${left.join(", ")}`);
});

function countSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
}
