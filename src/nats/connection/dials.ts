/**
 * Ends what a dial that was given up has open. nats.js has no way to end a dial: its socket and its time limit would keep the process
 * alive for the rest of the limit, and a server that accepts the connection and says nothing for longer. Node announces every
 * client socket on a channel and every timer to a hook, in the asynchronous context that opened it. Where there is no such
 * channel or hook (Bun, Deno) nothing is ended.
 */
import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

interface Dial {
  readonly sockets: Set<Socket>;
  readonly timers: Set<NodeJS.Timeout>;
  state: "dialling" | "abandoned" | "over";
}

/** One for all dials: every storage that was ever used costs each later promise of the process a little. */
const dials = new AsyncLocalStorage<Dial>();
let subscribed = false;
let dialling = 0;

function onClientSocket(message: unknown): void {
  const dial = dials.getStore();
  // Once the connection is open, what is opened belongs to nats.js.
  if (dial === undefined || dial.state === "over") return;
  const { socket } = message as { readonly socket: Socket };
  dial.sockets.add(socket);
  socket.once("close", () => dial.sockets.delete(socket));
  // nats.js first adds its listeners.
  if (dial.state === "abandoned") setImmediate(() => socket.destroy());
}

/** Enabled only while a dial is under way. */
const timers = createHook({
  init: (_id, type, _trigger, timer) => {
    const dial = type === "Timeout" ? dials.getStore() : undefined;
    if (dial?.state === "dialling") dial.timers.add(timer as NodeJS.Timeout);
    // Not yet complete here.
    else if (dial?.state === "abandoned") queueMicrotask(() => (timer as NodeJS.Timeout).unref());
  },
});

/** Starts a dial. `abandon` ends what it has open, now and later; a dial that fails abandons itself. */
export function startDial<T>(dial: () => Promise<T>): {
  readonly result: Promise<T>;
  readonly abandon: () => void;
} {
  if (!subscribed) subscribe("net.client.socket", onClientSocket);
  subscribed = true;
  dialling += 1;
  timers.enable();
  const state: Dial = { sockets: new Set(), timers: new Set(), state: "dialling" };
  const abandon = (): void => {
    if (state.state === "over") return;
    state.state = "abandoned";
    for (const socket of state.sockets) socket.destroy();
    for (const timer of state.timers) timer.unref();
  };
  const end = (): void => {
    state.state = "over";
    state.sockets.clear();
    state.timers.clear();
    dialling -= 1;
    if (dialling === 0) timers.disable();
  };
  const result = dials.run(state, dial).then(
    (opened) => {
      end();
      return opened;
    },
    (error: unknown) => {
      abandon();
      end();
      throw error;
    },
  );
  return { result, abandon };
}
