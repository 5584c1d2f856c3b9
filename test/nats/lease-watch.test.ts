/** When the watch of the lease reports what it receives. */
import { headers, type Msg, type MsgCallback } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { STREAM_HEADER, StreamIdentity } from "../../src/nats/bucket/stream-identity.ts";
import type { ConnectionMonitor } from "../../src/nats/connection/connection-monitor.ts";
import { leaseWatch } from "../../src/nats/lease/lease-watch.ts";
import { encodeRecord } from "../../src/nats/lease/record-codec.ts";
import { republishSubject } from "../../src/nats/names.ts";
import { record } from "../support/nats/store-and-session.ts";

const GENERATION = "2026-01-01T00:00:00Z";

/** A watch whose messages the test delivers. */
function setUp() {
  const seen: number[] = [];
  let deliver: MsgCallback<Msg> = () => {};
  const connection = {
    subscribe: (subject: string, { callback }: { callback: MsgCallback<Msg> }) => {
      if (subject === republishSubject("c")) deliver = callback;
      return { unsubscribe: () => {} };
    },
  };
  const identity = new StreamIdentity();
  identity.reading()(GENERATION);
  const listener = {
    writing: false,
    entry: ({ revision }: { revision: number }) => seen.push(revision),
    gone: () => {},
    unknown: () => {},
  };
  const monitor = { connection } as unknown as ConnectionMonitor;
  const watch = leaseWatch(monitor, "c", identity, listener, () => {});
  watch.start(true);
  const receive = (revision: number): void => {
    const hdrs = headers();
    hdrs.set("Nats-Sequence", String(revision));
    hdrs.set(STREAM_HEADER, GENERATION);
    deliver(null, { data: encodeRecord(record()), headers: hdrs } as unknown as Msg);
  };
  return { seen, listener, watch, receive };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

test("a message that arrives while no write is under way is reported at once", () => {
  const { seen, receive } = setUp();
  receive(1);
  expect(seen).toEqual([1]);
});

test("while a write waits for its ack, messages are reported once what has arrived with them is handled", async () => {
  const { seen, listener, receive } = setUp();
  listener.writing = true;
  receive(1);
  listener.writing = false; // the ack was in the same packet
  receive(2);
  expect(seen).toEqual([]);
  await nextTurn();
  expect(seen).toEqual([1, 2]);
  receive(3);
  expect(seen).toEqual([1, 2, 3]);
});

test("a message that was put off is not reported after the end of the watch", async () => {
  const { seen, listener, watch, receive } = setUp();
  listener.writing = true;
  receive(1);
  watch.close();
  await nextTurn();
  expect(seen).toEqual([]);
});
