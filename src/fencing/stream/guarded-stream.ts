/** A stream with a fence: its connection, names, limits and capabilities. */
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import type { AckMux } from "./ack-mux.ts";

export interface GuardedStream {
  readonly monitor: ConnectionMonitor;
  /** Publishes on the monitor's connection. */
  readonly mux: AckMux;
  /** The name in error messages, such as `stream LEDGER`. */
  readonly what: string;
  readonly stream: string;
  /** Prefix of the fence's subjects. */
  readonly fence: string;
  readonly maxInFlight: number;
  readonly timeoutMs: number;
  /** Number of lanes that this process asks for, if it is configured. */
  readonly wantedLanes: number | null;
  /** As read when the fence was opened last. */
  config: StreamFacts;
}

/** What the stream's configuration says. It can change while the stream is in use. */
export interface StreamFacts {
  /** Filters of the subjects that the stream stores. */
  readonly subjects: readonly string[];
  readonly replicated: boolean;
  /** The stream accepts `Nats-TTL`: fence messages are written with `never`, and so survive a `max_age` that is set later. */
  readonly msgTtl: boolean;
  /** The stream accepts `Nats-Rollup`, which removes the earlier messages of a subject. */
  readonly rollup: boolean;
  /** Why atomic batches do not work on this stream; `null` if they work. */
  readonly noBatches: NoBatches | null;
}

export interface NoBatches {
  readonly code: "SERVER_TOO_OLD" | "STREAM_INCOMPATIBLE";
  readonly why: string;
}
