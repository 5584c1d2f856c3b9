/** Receives committed writes of the lease. Only a hint. */
import type { StoreListener } from "../../runtime/ports.ts";
import { BucketWatch } from "../bucket/bucket-watch.ts";
import { STREAM_HEADER, type StreamIdentity } from "../bucket/stream-identity.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { leaseSubject, republishSubject, streamName } from "../names.ts";
import type { RecordMessage } from "../record-fields.ts";
import { decodeEntry } from "./record-codec.ts";

/** What a watch reports. */
export interface LeaseListener extends StoreListener {
  /** A message came from a stream that may be another one: read the lease. */
  unknown(): void;
  /** As in `BucketListener`. */
  readonly writing: boolean;
}

/** The watch of one cluster's lease for one listener. */
export function leaseWatch(
  monitor: ConnectionMonitor,
  clusterId: string,
  identity: StreamIdentity,
  listener: LeaseListener,
  onWarning: (message: string, error?: Error) => void,
): BucketWatch {
  const source = {
    stream: streamName(clusterId),
    republish: { src: leaseSubject(clusterId), dest: republishSubject(clusterId) },
    what: "the lease",
    consumerPrefix: "lease_watch",
    // A new consumer delivers the current record, which covers everything that was missed.
    deliver: "last_per_subject",
  } as const;
  const message = (record: RecordMessage): void => {
    const from = identity.of(record.header(STREAM_HEADER));
    if (from === "unknown") listener.unknown();
    else if (from === "own") listener.entry(decodeEntry(record));
  };
  const listening = {
    message,
    gone: () => listener.gone(),
    get writing() {
      return listener.writing;
    },
  };
  return new BucketWatch(monitor, source, listening, onWarning);
}
