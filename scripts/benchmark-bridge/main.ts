/**
 * Measures what a group costs that consumes the partitions of a stream: throughput beside bare consumers, latency, failover, and whether each
 * message is stored once. Real processes on a real nats-server on loopback; one clock (CLOCK_MONOTONIC) times all of them.
 *
 *   npm run --silent bench:bridge -- --instances 3 --json
 *   npm run --silent bench:bridge -- --instances 3 --sink postgres --messages 100000 --json
 *
 * Sinks (`--sink`); each stores a batch of at most 1000 messages and the position together:
 *
 * - `counting` (default): in the memory of one process, over NATS, with a fence. It costs next to nothing.
 * - `postgres`: one row for each message, in a transaction that `PostgresFence` guards. The installed PostgreSQL, `fsync=off`.
 * - `ledger`: one message for each batch in a JetStream stream, through `FencedStream` (nats-server 2.11 or later).
 *
 * Order: `--messages` are published. Then `--rounds` pairs: bare consumers (`consume()` of nats.js with the same batches and the same sink), then a new
 * group, begin at the first message. Then the producer goes on at half the throughput of the group (or `--per-second`), for `--seconds`, and while
 * `--kills` instances are killed one after the other.
 *
 * `--json` prints one line:
 *
 * - `instances`, `partitions`, `messages`, `messageBytes`, `sink`, `crashDetection`, `server` (version), `load` (average before, after) repeat the
 *   conditions.
 * - `messagesPerSecond`, `bareMessagesPerSecond`: from the command to begin until the last message of the stream is stored, p50 over the rounds, which
 *   `roundsPerSecond` has. `ratio`: p50 of group / bare of each pair.
 * - `pacePerSecond`, `p99LatencyMs`, `latencyMs`: from the publish of a message to the answer of the sink, in whole milliseconds.
 * - `failoverMs`: from just before SIGKILL of an instance to the first message of a partition that its successor has stored, p50 over all
 *   partitions of all kills; `failoversMs` has the percentiles. `failoverStepsMs`: p50 until the term began, the sink had the fence and the
 *   position, the consumer was open, and that message was stored.
 * - `published`, `stored`, `lost`, `duplicatesAccepted`, `staleAccepted`: messages of the whole run, as the sink has them at the end. Stale: stored
 *   after a message of a later term.
 *
 * Exits with 1 if a message was lost, stored twice, or stored by a former owner; with 2 for invalid arguments; with 130 if interrupted.
 */
import { messageOf } from "../../src/errors.ts";
import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { checked, readArguments } from "../shared/arguments.ts";
import { crashDetectionNamed, SILENCE_OPTIONS } from "../shared/silence-options.ts";
import { wholeNumber } from "../shared/whole-number.ts";
import { type BridgeBenchReport, isSound, measureBridge } from "./measure.ts";
import { SINKS, type SinkKind } from "./messages.ts";

endWhenOutputFails();

const values = readArguments(
  ["npm run bench:bridge --", "Measures a group that consumes the partitions of a stream into a sink."],
  {
    instances: { type: "string", default: "3", value: "n", help: "number of instance processes" },
    partitions: { type: "string", default: "6", value: "n", help: "number of partitions" },
    messages: { type: "string", default: "300000", value: "n", help: "messages of a throughput round" },
    rounds: { type: "string", default: "3", value: "n", help: "pairs of throughput rounds" },
    seconds: { type: "string", default: "5", value: "n", help: "how long latencies are measured" },
    kills: { type: "string", default: "6", value: "n", help: "number of instances that are killed" },
    "per-second": { type: "string", value: "n", help: "load while latency and failover are measured" },
    sink: { type: "string", default: "counting", value: "sink", help: `one of ${SINKS.join(", ")}` },
    "crash-detection": SILENCE_OPTIONS["crash-detection"],
    "server-version": { type: "string", value: "version", help: "nats-server version, such as 2.9.10" },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);

function sinkNamed(text: string): SinkKind {
  const found = SINKS.find((one) => one === text);
  if (found !== undefined) return found;
  throw new Error(`--sink must be one of ${SINKS.join(", ")}, not ${text}`);
}

const abort = new AbortController();
const options = checked(() => {
  const instances = wholeNumber("instances", values.instances, 2);
  const partitions = wholeNumber("partitions", values.partitions, instances);
  if (partitions % instances !== 0) {
    throw new Error(`--partitions must be a multiple of --instances, not ${partitions} for ${instances}`);
  }
  return {
    instances,
    partitions,
    messages: wholeNumber("messages", values.messages, partitions),
    rounds: wholeNumber("rounds", values.rounds),
    seconds: wholeNumber("seconds", values.seconds),
    kills: wholeNumber("kills", values.kills, 0),
    perSecond: values["per-second"] === undefined ? null : wholeNumber("per-second", values["per-second"]),
    sink: sinkNamed(values.sink),
    crashDetection: crashDetectionNamed(values["crash-detection"]),
    serverVersion: values["server-version"],
    signal: abort.signal,
    onProgress: (line: string) => process.stderr.write(`${line}\n`),
  };
});

const onSignal = (): void => {
  process.stderr.write("interrupted: stopping the servers and the instances\n");
  abort.abort(new Error("interrupted"));
};
process.once("SIGINT", onSignal).once("SIGTERM", onSignal);

try {
  const report = await measureBridge(options);
  console.log(values.json ? JSON.stringify(report) : inWords(report));
  if (!isSound(report)) process.exitCode = 1;
} catch (error) {
  if (!abort.signal.aborted) process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = abort.signal.aborted ? 130 : 1;
}

function inWords(report: BridgeBenchReport): string {
  return [
    `${report.messagesPerSecond} messages/s into sink ${report.sink}, bare ${report.bareMessagesPerSecond}, ratio ${report.ratio}`,
    `latency at ${report.pacePerSecond}/s: p50 ${report.latencyMs.p50} ms, p99 ${report.p99LatencyMs} ms`,
    `failover ${report.failoverMs} ms (p50 of ${report.failoversMs.samples} partitions), at most ${report.failoversMs.max} ms`,
    `${report.published} published, ${report.stored} stored, ${report.lost} lost, ${report.duplicatesAccepted} twice, ${report.staleAccepted} stale`,
  ].join("\n");
}
