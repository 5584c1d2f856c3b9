/** A stream with a fence: its connection, names, limits and capabilities. */
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import type { AckMux } from "./ack-mux.ts";

export interface GuardedStream {
  readonly monitor: ConnectionMonitor;
  /** Publishes on the monitor's connection. */
  readonly mux: AckMux;
  readonly stream: string;
  /** Prefix of the fence's subjects. */
  readonly fence: string;
  /** Number of lanes that this process asks for. */
  readonly lanes: number;
  readonly maxInFlight: number;
  readonly timeoutMs: number;
  /** The stream has `max_age`: fence messages are written with `Nats-TTL: never`. */
  readonly neverExpires: boolean;
  /** The stream accepts `Nats-Rollup`, which removes the earlier messages of a subject. */
  readonly rollup: boolean;
  /** Why atomic batches do not work on this stream; `null` if they work. */
  readonly noBatches: {
    readonly code: "SERVER_TOO_OLD" | "STREAM_INCOMPATIBLE";
    readonly why: string;
  } | null;
}
