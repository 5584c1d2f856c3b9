/** The interface of the TCP proxy. */
import type { Frame } from "./nats-frames.ts";

/**
 * What happens to the frames of one direction.
 *
 * - `pass` they are forwarded
 * - `hold` they are kept, with the end of the connection, and forwarded in order on the next `pass`: late delivery
 * - `drop` they are dropped; the end of the connection is forwarded
 */
export type Flow = "pass" | "hold" | "drop";

/** A frame that was taken out of the stream. It is lost unless it is released. */
export interface TakenFrame {
  readonly frame: Frame;
  /** Forwards it now, after everything that was forwarded since. Returns false if the connection is closed. */
  release(): boolean;
}

export interface TcpProxy extends AsyncDisposable {
  readonly port: number;
  /** "nats://host:port" */
  readonly url: string;
  /** Number of open client connections. */
  readonly connections: number;
  /** Number of client connections accepted so far. */
  readonly accepted: number;
  /** Sets the flow from the clients to the server, also for later connections. */
  toServer(flow: Flow): void;
  /** Sets the flow from the server to the clients. */
  toClient(flow: Flow): void;
  /** `true`: holds both directions, nothing is closed. `false`: everything held arrives. */
  blackhole(on: boolean): void;
  /** Stops reading from the server, so that data pile up in the server as for a client that does not read. */
  stallToClient(on: boolean): void;
  /** Delays every frame by `ms` in each direction. */
  delay(ms: number): void;
  /** Drops the frames to the clients for which `keep` returns false. `null`: drops none. */
  filterToClient(keep: ((frame: Frame) => boolean) | null): void;
  /** Takes out the next matching frame to the server. Rejects after `timeoutMs` (default 5000). Ignores dropped frames. */
  takeNextToServer(matches: (frame: Frame) => boolean, timeoutMs?: number): Promise<TakenFrame>;
  /** Takes out the next matching frame to a client. */
  takeNextToClient(matches: (frame: Frame) => boolean, timeoutMs?: number): Promise<TakenFrame>;
  /** Takes out the answer to the next matching request: the server acts on the request, the client gets no answer. */
  takeReplyTo(matches: (request: Frame) => boolean, timeoutMs?: number): Promise<TakenFrame>;
  /** Closes every connection, both sides. */
  cut(): void;
  /** Resets the server's side of every connection. The client's side stays open and silent. */
  resetServerSide(): void;
  /** Resets the client's side of every connection. The server's side stays open and silent. */
  resetClientSide(): void;
  /** Whether new connections are closed at once. */
  refuse(on: boolean): void;
  /** Closes every connection and the port. */
  close(): Promise<void>;
}

export interface ProxyOptions {
  /** Address to listen on. Default 127.0.0.1. */
  readonly host?: string;
  readonly target: { readonly host?: string; readonly port: number };
}
