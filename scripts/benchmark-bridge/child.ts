/** A child process of the benchmark: an instance, a bare consumer, or the producer. */
import { type JsMsg, jetstream, jetstreamManager } from "@nats-io/jetstream";
import { readTask } from "../../src/bench/child-task.ts";
import { dial } from "../../src/bench/dial.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { messageOf } from "../../src/errors.ts";
import { Group, partitionConsumer, partitionOf } from "../../src/group.ts";
import { deferred, untilAborted } from "../../src/runtime/waiting.ts";
import {
  type BridgeCommand,
  type BridgeReport,
  type BridgeTask,
  MESSAGE_BYTES,
  STREAM,
  subjectOf,
} from "./messages.ts";
import { openSink, type SinkTerm } from "./sinks.ts";

/** Largest batch of one transaction. */
const BATCH = 1_000;
/** Reports of progress are put together for so long. */
const REPORT_EVERY_MS = 20;
/** Latencies from here on count as this one. */
const LONGEST_MS = 60_000;
/** Publishes without an acknowledgement. */
const IN_FLIGHT = 4_000;
const KEYS = 600;

function report(message: BridgeReport): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, () => resolve());
  });
}

function onCommand(handle: (command: BridgeCommand) => void): void {
  process.on("message", (command) => handle(command as BridgeCommand));
}

/** What a consumer has stored, and how long each message took. */
class Progress {
  #total = 0;
  #lastAt = 0;
  #isReporting = false;
  #latencies: number[] = [];

  stored(data: readonly Uint8Array[]): void {
    this.#total += data.length;
    const now = hostNowMs();
    for (const each of data) {
      const ms = Math.min(LONGEST_MS, Math.max(0, Math.ceil(now - viewOf(each).getFloat64(4))));
      this.#latencies[ms] = (this.#latencies[ms] ?? 0) + 1;
    }
    this.#lastAt = now;
    if (this.#isReporting) return;
    this.#isReporting = true;
    setTimeout(() => {
      this.#isReporting = false;
      void report({ type: "stored", total: this.#total, at: this.#lastAt });
    }, REPORT_EVERY_MS);
  }

  takeLatencies(): number[] {
    return Array.from(this.#latencies.splice(0), (count) => count ?? 0);
  }
}

function viewOf(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

async function runInstance(task: Extract<BridgeTask, { role: "instance" }>): Promise<void> {
  const { groupId, memberId, servers, partitions, crashDetection } = task;
  const sink = await openSink(task.sink);
  const connection = await dial(servers, new AbortController().signal, {
    name: memberId,
    maxReconnectAttempts: -1,
  });
  const progress = new Progress();
  const go = deferred<void>();
  onCommand((command) => {
    if (command.do === "go") go.resolve();
    if (command.do === "latencies") void report({ type: "latencies", counts: progress.takeLatencies() });
  });
  const group = new Group({
    groupId,
    memberId,
    servers,
    resources: partitions,
    crashDetection,
    settleMs: 200,
    logger: false,
  });
  let reported = "";
  setInterval(() => {
    const owned = [...group.owned.keys()];
    if (owned.join() === reported) return;
    reported = owned.join();
    void report({ type: "owned", owned });
  }, REPORT_EVERY_MS);
  await group.start();
  await report({ type: "ready" });
  await group.runOwned(async (term, { signal }) => {
    await untilAborted(go.promise, signal);
    const ownedAt = hostNowMs();
    const { resource, epoch } = term;
    let prev = await sink.take(term);
    const takenAt = hostNowMs();
    const subject = subjectOf(resource, ">");
    const messages = await partitionConsumer(term, {
      connection,
      stream: STREAM,
      subject,
      after: prev,
      signal,
    });
    const openedAt = hostNowMs();
    let isFirst = true;
    for await (const batch of messages.batches({ max: BATCH })) {
      const last = batch.at(-1)?.sequence ?? prev;
      const data = batch.map((message) => message.data);
      const numbers = data.map((each) => viewOf(each).getUint32(0));
      if (!(await sink.store(term, { resource, epoch, prev, last, numbers }))) return;
      prev = last;
      if (isFirst)
        void report({ type: "first", resource, epoch, ownedAt, takenAt, openedAt, at: hostNowMs() });
      isFirst = false;
      progress.stored(data);
    }
  });
}

/** The same sink and the same batches, with nats.js's own consumer and a term that nothing ends. */
async function runBare({
  servers,
  partitions,
  sink: place,
}: Extract<BridgeTask, { role: "bare" }>): Promise<void> {
  const sink = await openSink(place);
  const connection = await dial(servers, new AbortController().signal, { name: "bare" });
  const progress = new Progress();
  const go = deferred<void>();
  onCommand((command) => {
    if (command.do === "go") go.resolve();
  });
  await report({ type: "ready" });
  await go.promise;
  await Promise.all(partitions.map((partition) => consumeBare(partition)));

  async function consumeBare(partition: number): Promise<void> {
    const resource = String(partition);
    const term: SinkTerm = {
      clusterId: `bare/${resource}`,
      nodeId: "bare",
      incarnation: "bare",
      resource,
      epoch: 1,
    };
    let prev = await sink.take(term);
    const manager = await jetstreamManager(connection);
    const { name } = await manager.consumers.add(STREAM, {
      ack_policy: "none",
      filter_subject: subjectOf(partition, ">"),
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: 30e9,
    });
    const consumer = await jetstream(connection).consumers.get(STREAM, name);
    let arrived: JsMsg[] = [];
    let wake: () => void = () => {};
    // A loop over the messages cannot know whether another one has arrived.
    await consumer.consume({
      max_messages: 2 * BATCH,
      threshold_messages: BATCH,
      callback: (message) => {
        arrived.push(message);
        wake();
      },
    });
    for (;;) {
      if (arrived.length === 0) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const batch = arrived.slice(0, BATCH);
      arrived = arrived.slice(BATCH);
      const last = batch.at(-1)?.seq ?? prev;
      const data = batch.map((message) => message.data);
      const numbers = data.map((each) => viewOf(each).getUint32(0));
      await sink.store(term, { resource, epoch: 1, prev, last, numbers });
      prev = last;
      progress.stored(data);
    }
  }
}

/** Publishes with acknowledgements, and numbers the messages of each partition. */
async function runProducer({
  servers,
  partitions,
}: Extract<BridgeTask, { role: "producer" }>): Promise<void> {
  const connection = await dial(servers, new AbortController().signal, { name: "producer" });
  const keys = Array.from({ length: KEYS }, (_, index) => {
    const partition = partitionOf(`key-${index}`, partitions);
    return { partition, subject: subjectOf(partition, `key-${index}`) };
  });
  const numbers = Array.from({ length: partitions }, () => 0);
  const inbox = `_INBOX.producer.${process.pid}`;
  let sent = 0;
  let acknowledged = 0;
  let wake: () => void = () => {};
  connection.subscribe(inbox, {
    callback: (error, message) => {
      const text = error === null ? message.string() : error.message;
      if (error !== null || text.includes('"error"')) return fail(new Error(`a publish failed: ${text}`));
      acknowledged += 1;
      wake();
    },
  });
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const publish = (): void => {
    const key = keys[sent % KEYS] as (typeof keys)[number];
    const number = (numbers[key.partition] ?? 0) + 1;
    numbers[key.partition] = number;
    const data = Buffer.alloc(MESSAGE_BYTES, 0x2e);
    data.writeUInt32BE(number, 0);
    data.writeDoubleBE(hostNowMs(), 4);
    connection.publish(key.subject, data, { reply: inbox });
    sent += 1;
  };
  let timer: NodeJS.Timeout | undefined;
  const finished = async (): Promise<void> => {
    await until(() => acknowledged === sent);
    await report({ type: "published", numbers });
  };
  onCommand((command) => {
    switch (command.do) {
      case "publish":
        void (async () => {
          for (let left = command.count; left > 0; left--) {
            if (sent - acknowledged >= IN_FLIGHT) await until(() => sent - acknowledged < IN_FLIGHT / 2);
            publish();
          }
          await finished();
        })().catch(fail);
        return;
      case "pace": {
        // By the clock: what a late timer has missed is sent when it fires.
        clearInterval(timer);
        const [from, before] = [hostNowMs(), sent];
        timer = setInterval(() => {
          const due = before + Math.floor(((hostNowMs() - from) / 1_000) * command.perSecond);
          while (sent < due && sent - acknowledged < IN_FLIGHT) publish();
        }, 1);
        return;
      }
      case "pause":
        clearInterval(timer);
        void finished().catch(fail);
        return;
      case "go":
      case "latencies":
        return;
      default:
        command satisfies never;
    }
  });
  await report({ type: "ready" });
}

function fail(error: unknown): void {
  void report({ type: "failed", message: messageOf(error) }).then(() => process.exit(1));
}

const task = readTask<BridgeTask>();
run(task).catch(fail);

function run(given: BridgeTask): Promise<void> {
  switch (given.role) {
    case "instance":
      return runInstance(given);
    case "bare":
      return runBare(given);
    case "producer":
      return runProducer(given);
    default:
      return given satisfies never;
  }
}
