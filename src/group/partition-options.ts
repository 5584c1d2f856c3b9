/** The options of `partitionConsumer()`, checked. */
import type { NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../errors.ts";
import { DOMAIN } from "../nats/identity.ts";
import { checkFilter, checkStreamName, shown } from "../nats/subjects.ts";
import { checkOptions } from "../runtime/waiting.ts";

export interface PartitionConsumerOptions {
  /** Connection of the application. It remains the caller's to close. */
  readonly connection: NatsConnection;
  /** Name of the stream. Its retention must be `limits`. */
  readonly stream: string;
  /** Filter of the partition, such as `orders.3.>`: what `partitionOf()` or the server's `{{partition(n,1)}}` puts there. */
  readonly subject: string;
  /**
   * The position: sequence of the last message of this partition that the sink has stored. The first message is the one after it. 0: nothing is stored;
   * begins with the first message that the stream has.
   */
  readonly after: number;
  /**
   * What to do if the stream has removed messages after the position, which may be of this partition: `fail` with `STREAM_INCOMPATIBLE`, or
   * `skip` them. Pass `skip` where the limits of the stream are meant to remove messages that were not handled.
   *
   * @default "fail"
   */
  readonly removed?: "fail" | "skip";
  /**
   * Messages of one request to the server. At most twice as many are in the buffer.
   *
   * @default 1000
   */
  readonly batch?: number;
  /**
   * Bytes of one request to the server: more than the largest message has, with its subject and headers. While as many are in the buffer, no other
   * request is sent; what is under way then can be three times as much.
   *
   * @default 4194304
   */
  readonly maxBytes?: number;
  /**
   * How often the server shows that it is there while it has no message, in milliseconds. Without a sign of life for 2.5 times as long,
   * another consumer is made.
   *
   * @default 1000
   */
  readonly heartbeatMs?: number;
  /**
   * After how many milliseconds the server removes a consumer that requests nothing, such as that of a killed owner. If it removes that of an owner
   * which takes longer with a full buffer, another one is made.
   *
   * @default 30000
   */
  readonly inactiveMs?: number;
  /**
   * How long the servers may fail to answer, at the start or after an interruption, in milliseconds. Then the iteration fails. It does not begin
   * to count before the connection to NATS is back.
   *
   * @default 30000
   */
  readonly timeoutMs?: number;
  /**
   * JetStream domain of the stream.
   *
   * @default that of the server
   */
  readonly domain?: string;
  /** Ends the iteration, as `close()` does. */
  readonly signal?: AbortSignal;
}

export type CheckedPartitionOptions = Required<Omit<PartitionConsumerOptions, "domain" | "signal">> & {
  readonly domain: string | null;
  readonly signal: AbortSignal | undefined;
};

/** @throws ClusterError `INVALID_CONFIG` */
export function checkedPartitionOptions(options: PartitionConsumerOptions): CheckedPartitionOptions {
  checkOptions(options);
  const { connection, stream, subject, after, removed = "fail", domain = null } = options;
  if (typeof connection?.publish !== "function" || typeof connection.subscribe !== "function") {
    throw invalid("connection must be a connection of @nats-io/transport-node");
  }
  checkStreamName(stream);
  checkFilter(subject);
  if (!Number.isSafeInteger(after) || after < 0) {
    throw invalid(
      `after is ${String(after)}: it must be a sequence of the stream, or 0 to begin with its first message`,
    );
  }
  if (removed !== "fail" && removed !== "skip") {
    throw invalid(`removed is ${shown(removed)}: it must be "fail" or "skip"`);
  }
  if (domain !== null && !DOMAIN.test(domain)) {
    throw invalid(
      `domain is ${shown(domain)}: it must be 1 to 64 printable ASCII characters other than . * >`,
    );
  }
  const whole = (
    name: "batch" | "maxBytes" | "heartbeatMs" | "inactiveMs" | "timeoutMs",
    fallback: number,
    [from, to]: readonly [number, number],
  ): number => {
    const value = options[name] ?? fallback;
    if (Number.isInteger(value) && value >= from && value <= to) return value;
    throw invalid(`${name} is ${String(value)}: it must be a whole number from ${from} to ${to}`);
  };
  const checked = {
    connection,
    stream,
    subject,
    after,
    removed,
    domain,
    batch: whole("batch", 1_000, [1, 100_000]),
    maxBytes: whole("maxBytes", 4 * 1024 * 1024, [1_024, 1024 ** 3]),
    heartbeatMs: whole("heartbeatMs", 1_000, [100, 60_000]),
    inactiveMs: whole("inactiveMs", 30_000, [1_000, 86_400_000]),
    timeoutMs: whole("timeoutMs", 30_000, [1, 3_600_000]),
    signal: options.signal,
  };
  const { heartbeatMs, inactiveMs } = checked;
  if (heartbeatMs * 4 > inactiveMs) {
    throw invalid(
      `inactiveMs is ${inactiveMs} and heartbeatMs is ${heartbeatMs}: inactiveMs must be at least 4 times heartbeatMs`,
    );
  }
  return checked;
}

function invalid(message: string): ClusterError {
  return new ClusterError("INVALID_CONFIG", message);
}
