/** The stream behind a fence: which one, under which limits, and what it can do. */
import type { ConnectionMonitor } from "../../nats/connection/connection-monitor.ts";
import type { AckMux } from "./ack-mux.ts";

export interface GuardedStream {
  readonly monitor: ConnectionMonitor;
  /** Publishes on the monitor's connection. */
  readonly mux: AckMux;
  readonly stream: string;
  /** Prefix of the fence's subjects. */
  readonly fence: string;
  /** Lanes this process wants. */
  readonly lanes: number;
  readonly maxInFlight: number;
  readonly timeoutMs: number;
  /** Fence messages are kept for ever although the stream has a max-age. */
  readonly neverExpires: boolean;
  /** Only the newest message of a subject may be kept, by `Nats-Rollup`. */
  readonly rollup: boolean;
  /** Why atomic batches don't work here, or `null`. */
  readonly noBatches: {
    readonly code: "SERVER_TOO_OLD" | "STREAM_INCOMPATIBLE";
    readonly why: string;
  } | null;
}
