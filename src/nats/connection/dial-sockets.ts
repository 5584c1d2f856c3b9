/**
 * Ends the sockets of a dial that was given up. nats.js has no way to end a dial: one to a server that accepts the connection and
 * says nothing stays open until that server ends, and keeps the process alive. Node announces every client socket on a channel,
 * in the asynchronous context that opened it. Where there is no such channel (Bun, Deno) nothing is ended.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

interface Dial {
  readonly sockets: Set<Socket>;
  /** False once the connection is open, and belongs to nats.js. */
  active: boolean;
}

/** One for all dials: every storage that was ever used costs each later promise of the process a little. */
const dials = new AsyncLocalStorage<Dial>();
let subscribed = false;

function onClientSocket(message: unknown): void {
  const dial = dials.getStore();
  if (dial?.active !== true) return;
  const { socket } = message as { readonly socket: Socket };
  dial.sockets.add(socket);
  socket.once("close", () => dial.sockets.delete(socket));
}

/** Starts a dial. `abandon` destroys what it has open; a dial that fails abandons itself. */
export function startDial<T>(dial: () => Promise<T>): {
  readonly result: Promise<T>;
  readonly abandon: () => void;
} {
  if (!subscribed) subscribe("net.client.socket", onClientSocket);
  subscribed = true;
  const state: Dial = { sockets: new Set(), active: true };
  const abandon = (): void => {
    for (const socket of state.sockets) socket.destroy();
  };
  const end = (): void => {
    state.active = false;
    state.sockets.clear();
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
