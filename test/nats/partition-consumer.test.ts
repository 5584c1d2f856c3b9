/** `partitionConsumer()` on a real server: order, positions, the end of the term, and what others do to stream and consumer. */
import type { NatsConnection } from "@nats-io/transport-node";
import { beforeEach, describe, expect, test } from "vitest";
import { waitFor, within } from "../../scripts/shared/wait.ts";
import { ClusterError } from "../../src/errors.ts";
import {
  type PartitionConsumer,
  type PartitionConsumerOptions,
  partitionConsumer,
  partitionOf,
} from "../../src/group.ts";
import { consumerPrefix, isOfEarlierTerm, newConsumerName } from "../../src/nats/consumer/consumer-name.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { ScriptedTerm } from "../support/group/owner-term.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface World {
  readonly on: NatsConnection;
  readonly stream: string;
  /** The subject of key n: `<stream>.<partition of 3>.<n>`. */
  subjectOf(n: number): string;
  /** Publishes the numbers from `from` to `to`, each under a key of its own. Resolves when they are stored. */
  publish(from: number, to: number): Promise<void>;
}

async function world(config: Record<string, unknown> = {}): Promise<World> {
  const on = await connection(server);
  const stream = freshId("P");
  await api(on, `STREAM.CREATE.${stream}`, { name: stream, subjects: [`${stream}.>`], ...config });
  const subjectOf = (n: number): string => `${stream}.${partitionOf(`key-${n}`, 3)}.key-${n}`;
  return {
    on,
    stream,
    subjectOf,
    publish: async (from, to) => {
      for (let n = from; n <= to; n++) await on.request(subjectOf(n), String(n), { timeout: PATIENCE_MS });
    },
  };
}

/** The numbers from 1 to `to` that are in this partition. */
function numbersOf(partition: number, to: number, from = 1): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index).filter(
    (n) => partitionOf(`key-${n}`, 3) === partition,
  );
}

let w: World;
beforeEach(async () => {
  w = await world();
});

function open(
  term: ScriptedTerm,
  options: Partial<PartitionConsumerOptions> = {},
): Promise<PartitionConsumer> {
  const made = partitionConsumer(term, {
    connection: w.on,
    stream: w.stream,
    subject: `${w.stream}.${term.resource}.>`,
    after: 0,
    ...options,
  });
  atEnd(async () => (await made.catch(() => null))?.close());
  return made;
}

/** The next numbers, as many as asked for. */
async function take(messages: PartitionConsumer, count: number): Promise<number[]> {
  const taken: number[] = [];
  while (taken.length < count) {
    const next = await within(messages.next(), { message: `message ${taken.length + 1} of ${count}` });
    if (next.done === true) throw new Error(`it ended after ${taken.length} of ${count} messages`);
    taken.push(Number(next.value.string()));
  }
  return taken;
}

async function consumers(on: NatsConnection = w.on, stream: string = w.stream): Promise<string[]> {
  const { consumers: names } = await api(on, `CONSUMER.NAMES.${stream}`, { offset: 0 });
  return ((names ?? []) as string[]).sort();
}

/** `CONSUMER.DELETE` and `STREAM.DELETE` take no body. */
async function remove(what: string): Promise<void> {
  await w.on.request(`$JS.API.${what}`, "", { timeout: PATIENCE_MS });
}

describe("a partition consumer", () => {
  test("has each message of its partition once, in order, also those that come later", async () => {
    await w.publish(1, 30);
    const messages = await open(new ScriptedTerm("g", "0", 5));
    const first = await take(messages, numbersOf(0, 30).length);
    await w.publish(31, 60);
    const rest = await take(messages, numbersOf(0, 60, 31).length);
    expect([...first, ...rest]).toEqual(numbersOf(0, 60));
  });

  test("begins after the position, and says how far it is", async () => {
    await w.publish(1, 30);
    const [, second = 0, third = 0] = numbersOf(1, 30);
    const messages = await open(new ScriptedTerm("g", "1", 5), { after: second });
    expect(messages.position).toBe(second);
    expect(await take(messages, 1)).toEqual([third]);
    expect(messages.position).toBe(third);
  });

  test("its messages have subject, headers, sequence and time", async () => {
    const before = Date.now();
    await w.publish(1, 3);
    const messages = await open(new ScriptedTerm("g", "0", 5), { subject: `${w.stream}.>` });
    const { value } = await messages.next();
    expect(value).toMatchObject({ subject: w.subjectOf(1), sequence: 1, headers: undefined });
    expect(value?.json()).toBe(1);
    expect(value?.storedAt).toBeGreaterThan(before - 1_000);
    expect(value?.storedAt).toBeLessThan(Date.now() + 1_000);
  });

  test("in batches: as large as asked for, nothing missing", async () => {
    await w.publish(1, 60);
    const expected = numbersOf(2, 60);
    const messages = await open(new ScriptedTerm("g", "2", 5), { batch: 10 });
    const seen: number[] = [];
    const sizes: number[] = [];
    for await (const batch of messages.batches({ max: 4 })) {
      sizes.push(batch.length);
      seen.push(...batch.map((message) => Number(message.string())));
      if (seen.length >= expected.length) break;
    }
    expect(seen).toEqual(expected);
    expect(Math.max(...sizes)).toBe(4);
    expect(await consumers()).toEqual([]);
  });

  test("its position rises while only other partitions have messages", async () => {
    await w.publish(1, 5);
    const messages = await open(new ScriptedTerm("g", "no-such-key", 5), { heartbeatMs: 100 });
    const next = messages.next();
    await waitFor(() => messages.position === 5);
    await w.publish(6, 9);
    await waitFor(() => messages.position === 9);
    await messages.close();
    expect(await next).toEqual({ done: true, value: undefined });
  });

  test("takes no more from the server than its buffer has room for", async () => {
    await w.publish(1, 60);
    const messages = await open(new ScriptedTerm("g", "0", 5), { subject: `${w.stream}.>`, batch: 5 });
    await waitFor(() => messages.buffered === 10);
    const [name = ""] = await consumers();
    const { delivered } = await api(w.on, `CONSUMER.INFO.${w.stream}.${name}`, {});
    expect(delivered).toMatchObject({ consumer_seq: 10 });
    expect(messages.pending).toBe(50);
    expect(await take(messages, 60)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
    expect(messages.pending).toBe(0);
  });

  test("stays within maxBytes, and goes on with large messages", async () => {
    const large = new Uint8Array(700);
    for (let n = 0; n < 12; n++) await w.on.request(`${w.stream}.0.large`, large);
    const messages = await open(new ScriptedTerm("g", "0", 5), { maxBytes: 1_024 });
    const sequences: number[] = [];
    for await (const { sequence } of messages) {
      expect(messages.buffered).toBeLessThan(3);
      sequences.push(sequence);
      if (sequence === 12) break;
    }
    expect(sequences).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
  });

  test("fails if one message is larger than maxBytes", async () => {
    await w.on.request(`${w.stream}.0.large`, new Uint8Array(2_000));
    const refusal = expect.objectContaining({
      code: "INVALID_CONFIG",
      message: expect.stringContaining("larger maxBytes than 1024"),
    });
    // The server may say so before the consumer counts as open.
    const read = open(new ScriptedTerm("g", "0", 5), { maxBytes: 1_024 }).then((messages) => messages.next());
    await expect(within(read)).rejects.toEqual(refusal);
  });
});

describe("the end", () => {
  test("of the term ends the iteration and removes the consumer", async () => {
    const term = new ScriptedTerm("g", "0", 5);
    const messages = await open(term);
    expect(await consumers()).toHaveLength(1);
    const next = messages.next();
    term.end();
    expect(await within(next)).toEqual({ done: true, value: undefined });
    await waitFor(async () => (await consumers()).length === 0);
  });

  test("of the term hands out nothing more, also what has arrived before", async () => {
    await w.publish(1, 30);
    const term = new ScriptedTerm("g", "0", 5);
    const messages = await open(term);
    await waitFor(() => messages.buffered === numbersOf(0, 30).length);
    const [first] = await take(messages, 1);
    term.end();
    expect(await messages.next()).toEqual({ done: true, value: undefined });
    expect(messages.position).toBe(first);
  });

  test("while the term is suspended nothing is handed out; afterwards it goes on", async () => {
    await w.publish(1, 30);
    const term = new ScriptedTerm("g", "0", 5);
    const messages = await open(term);
    await waitFor(() => messages.buffered > 2);
    expect(await take(messages, 1)).toEqual(numbersOf(0, 30).slice(0, 1));
    term.suspend();
    let isOut = false;
    const next = messages.next().then((result) => {
      isOut = true;
      return result;
    });
    await waitFor(() => term.waits === 1);
    await w.on.flush();
    expect(isOut).toBe(false);
    term.resume();
    expect((await within(next)).value?.string()).toBe(String(numbersOf(0, 30)[1]));
  });

  test("by the signal, by close() twice, by leaving the loop", async () => {
    await w.publish(1, 30);
    const controller = new AbortController();
    const messages = await open(new ScriptedTerm("g", "0", 5), { signal: controller.signal });
    controller.abort();
    expect(await messages.next()).toEqual({ done: true, value: undefined });
    await messages.close();
    await messages.close();
    const left = await open(new ScriptedTerm("g", "0", 5));
    for await (const _ of left) break;
    expect(await left.next()).toEqual({ done: true, value: undefined });
    expect(await consumers()).toEqual([]);
  });

  test("before it has begun: NOT_LEADER's reason for the term, ABORTED for the signal", async () => {
    const over = new ScriptedTerm("g", "0", 5);
    over.end();
    await expect(open(over)).rejects.toThrow("the term of 0 has ended");
    const aborted = open(new ScriptedTerm("g", "0", 5), { signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ code: "ABORTED" });
    expect(await consumers()).toEqual([]);
  });

  test("two loops at a time are refused", async () => {
    const messages = await open(new ScriptedTerm("g", "0", 5));
    const next = messages.next();
    await expect(messages.next()).rejects.toMatchObject({ code: "INVALID_CONFIG" });
    await messages.close();
    expect(await next).toMatchObject({ done: true });
  });
});

describe("positions and streams that do not fit", () => {
  const refused = (text: string): unknown =>
    expect.objectContaining({ code: "STREAM_INCOMPATIBLE", message: expect.stringContaining(text) });

  test("a position behind the end of the stream", async () => {
    await w.publish(1, 5);
    await expect(open(new ScriptedTerm("g", "0", 5), { after: 6 })).rejects.toEqual(
      refused("the position 6 is behind its end, at 5"),
    );
    expect(await consumers()).toEqual([]);
  });

  test("messages after the position were purged: fail, or skip them by choice", async () => {
    await w.publish(1, 20);
    await api(w.on, `STREAM.PURGE.${w.stream}`, { seq: 11 });
    const term = new ScriptedTerm("g", "0", 5);
    await expect(open(term, { after: 4 })).rejects.toEqual(refused("its messages 5 to 10 were removed"));
    const skipping = await open(term, { after: 4, removed: "skip" });
    expect(await take(skipping, 2)).toEqual(numbersOf(0, 20, 11).slice(0, 2));
    const behind = await open(term, { after: 10 });
    expect(await take(behind, 1)).toEqual(numbersOf(0, 20, 11).slice(0, 1));
    const fresh = await open(term, { after: 0 });
    expect(await take(fresh, 1)).toEqual(numbersOf(0, 20, 11).slice(0, 1));
  });

  test("everything was purged: the position at the end fits, an earlier one does not", async () => {
    await w.publish(1, 20);
    await api(w.on, `STREAM.PURGE.${w.stream}`);
    const term = new ScriptedTerm("g", "0", 5);
    await expect(open(term, { after: 19 })).rejects.toEqual(refused("its messages 20 to 20 were removed"));
    const messages = await open(term, { after: 20 });
    await w.publish(21, 30);
    expect(await take(messages, 1)).toEqual(numbersOf(0, 30, 21).slice(0, 1));
  });

  test("no such stream, another subject, another retention", async () => {
    const term = new ScriptedTerm("g", "0", 5);
    await expect(open(term, { stream: "NONE" })).rejects.toEqual(refused("stream not found"));
    await expect(open(term, { subject: "other.0.>" })).rejects.toEqual(
      refused(`it stores ${w.stream}.>, and none of it matches the filter`),
    );
    const queue = freshId("Q");
    await api(w.on, `STREAM.CREATE.${queue}`, {
      name: queue,
      subjects: [`${queue}.>`],
      retention: "interest",
    });
    await expect(open(term, { stream: queue, subject: `${queue}.>` })).rejects.toEqual(
      refused('its retention is "interest"'),
    );
  });

  test.each<readonly [Partial<PartitionConsumerOptions>, string]>([
    [{ after: -1 }, "after is -1"],
    [{ after: 1.5 }, "after is 1.5"],
    [{ subject: "a..b" }, 'subject is "a..b"'],
    [{ subject: "a.>.b" }, 'subject is "a.>.b"'],
    [{ subject: "x".repeat(3_001) }, "subject has 3001 bytes"],
    [{ stream: "a.b" }, '"a.b" is not a valid stream name'],
    [{ removed: "ignore" as "skip" }, 'removed is "ignore"'],
    [{ batch: 0 }, "batch is 0"],
    [{ heartbeatMs: 1_000, inactiveMs: 3_999 }, "inactiveMs must be at least 4 times heartbeatMs"],
    [{ domain: "a.b" }, 'domain is "a.b"'],
    [{ connection: {} as NatsConnection }, "connection must be a connection"],
  ])("options %j are refused", async (options, message) => {
    await expect(open(new ScriptedTerm("g", "0", 5), options)).rejects.toEqual(
      expect.objectContaining({ code: "INVALID_CONFIG", message: expect.stringContaining(message) }),
    );
  });
});

describe("while it consumes", () => {
  test("a consumer that an operator deletes is replaced; nothing is lost or repeated", async () => {
    await w.publish(1, 100);
    const messages = await open(new ScriptedTerm("g", "0", 5), { batch: 3, heartbeatMs: 100 });
    const seen = await take(messages, 4);
    for (let round = 0; round < 3; round++) {
      const [name = ""] = await consumers();
      await remove(`CONSUMER.DELETE.${w.stream}.${name}`);
      // More than the buffer has.
      seen.push(...(await take(messages, 7)));
    }
    await w.publish(101, 120);
    seen.push(...(await take(messages, numbersOf(0, 120).length - seen.length)));
    expect(seen).toEqual(numbersOf(0, 120));
  });

  test("a reconnect repeats and loses nothing", async () => {
    await w.publish(1, 30);
    const on = await connection(server);
    const messages = await open(new ScriptedTerm("g", "0", 5), { connection: on, batch: 3 });
    const seen = await take(messages, 4);
    await on.reconnect();
    await w.publish(31, 60);
    seen.push(...(await take(messages, numbersOf(0, 60).length - seen.length)));
    expect(seen).toEqual(numbersOf(0, 60));
  });

  test("a stream that is deleted ends it with an error; so does one that is created again", async () => {
    await w.publish(1, 30);
    const messages = await open(new ScriptedTerm("g", "no-such-key", 5));
    const next = messages.next();
    await remove(`STREAM.DELETE.${w.stream}`);
    const thrown = await within(next).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(ClusterError);
    expect(thrown).toMatchObject({ code: "STREAM_INCOMPATIBLE" });
    expect(await messages.next()).toEqual({ done: true, value: undefined });
  });

  test.each(["fail", "skip"] as const)(
    "messages that a limit removes before they are received: %s",
    async (removed) => {
      w = await world({ max_msgs: 5 });
      await w.publish(1, 5);
      const options = { subject: `${w.stream}.>`, removed, batch: 1, heartbeatMs: 100 } as const;
      const messages = await open(new ScriptedTerm("g", "0", 5), options);
      expect(await take(messages, 1)).toEqual([1]);
      await waitFor(() => messages.buffered === 2);
      await w.publish(6, 30);
      const rest: number[] = [];
      const reading = (async () => {
        // Reads on only when the stream has been looked at again, which ends a consumer that must not skip.
        if (removed === "fail") await waitFor(() => messages.buffered === 0);
        for await (const message of messages) {
          rest.push(Number(message.string()));
          if (message.sequence === 30) break;
        }
      })();
      if (removed === "skip") {
        await within(reading);
        expect(rest).toEqual([2, 3, 26, 27, 28, 29, 30]);
      } else {
        await expect(within(reading)).rejects.toMatchObject({
          code: "STREAM_INCOMPATIBLE",
          message: expect.stringContaining("its messages 4 to 25 were removed"),
        });
        expect(rest).toEqual([]);
      }
    },
  );

  test("an idle partition outlives limits that remove the messages of others", async () => {
    w = await world({ max_msgs: 5 });
    await w.publish(1, 5);
    const options = { after: 1, heartbeatMs: 100 };
    const messages = await open(new ScriptedTerm("g", "idle", 5), options);
    const next = messages.next();
    /** Two checks: one for every ten heartbeats. */
    const checked = async (): Promise<void> => {
      const { inMsgs } = w.on.stats();
      await waitFor(() => w.on.stats().inMsgs > inMsgs + 25);
    };
    await checked();
    for (const last of [8, 11, 14]) {
      await w.publish(last - 2, last);
      await waitFor(() => messages.position === last);
      await checked();
    }
    const { state } = await api(w.on, `STREAM.INFO.${w.stream}`);
    expect(state).toMatchObject({ first_seq: 10 });
    await w.on.request(`${w.stream}.idle.x`, "99");
    expect((await within(next)).value?.string()).toBe("99");
  });

  test("a connection that is closed ends it with an error", async () => {
    const on = await connection(server);
    const messages = await open(new ScriptedTerm("g", "0", 5), { connection: on });
    const next = messages.next();
    await on.close();
    await expect(within(next)).rejects.toMatchObject({ code: "NO_CONNECTION" });
  });
});

describe("the consumers of former owners", () => {
  test("are deleted by the next owner; those of later terms, other resources and other groups are not", async () => {
    const make = async (groupId: string, resource: string, epoch: number): Promise<string> => {
      const name = newConsumerName(consumerPrefix(groupId, resource), epoch);
      const config = {
        name,
        ack_policy: "none",
        deliver_policy: "all",
        inactive_threshold: 60e9,
        filter_subject: `${w.stream}.0.>`,
      };
      const body = { stream_name: w.stream, config };
      await api(w.on, `CONSUMER.CREATE.${w.stream}.${name}.${w.stream}.0.>`, body);
      return name;
    };
    const stale = [await make("g", "0", 4), await make("g", "0", 1)];
    const kept = await Promise.all([
      make("g", "0", 5),
      make("g", "0", 6),
      make("g", "1", 4),
      make("g0", "0", 4),
      make("other", "0", 4),
    ]);
    await open(new ScriptedTerm("g", "0", 5));
    await waitFor(async () => !(await consumers()).some((name) => stale.includes(name)));
    const left = await consumers();
    expect(left).toEqual(expect.arrayContaining(kept));
    expect(left).toHaveLength(kept.length + 1);
  });

  test("three groups on one stream have each message once each", async () => {
    await w.publish(1, 60);
    const all = await Promise.all(
      ["g1", "g2", "g3"].map(async (groupId) => {
        const messages = await open(new ScriptedTerm(groupId, "0", 5));
        return take(messages, numbersOf(0, 60).length);
      }),
    );
    expect(all).toEqual(Array.from({ length: 3 }, () => numbersOf(0, 60)));
    expect(await consumers()).toHaveLength(3);
  });

  test("names of two terms or resources differ, whatever a resource is called", () => {
    const long = "é".repeat(120);
    const resources = ["0", "0:1", "a b", "a=20b", long, `${long}2`, "x".repeat(255)];
    const prefixes = ["g", "g:0"].flatMap((group) => resources.map((one) => consumerPrefix(group, one)));
    expect(new Set(prefixes).size).toBe(prefixes.length);
    const names = resources.map((one) => newConsumerName(consumerPrefix("g".repeat(64), one), 2 ** 53 - 1));
    for (const name of names) expect(name).toMatch(/^[^\s.*>/\\]{1,255}$/);
    const prefix = consumerPrefix("g", "0");
    expect(isOfEarlierTerm(newConsumerName(prefix, 9), prefix, 10)).toBe(true);
    expect(isOfEarlierTerm(newConsumerName(prefix, 10), prefix, 10)).toBe(false);
    expect(isOfEarlierTerm(newConsumerName(prefix, 11), prefix, 10)).toBe(false);
    expect(isOfEarlierTerm(newConsumerName(consumerPrefix("g", "0:9"), 9), prefix, 10)).toBe(false);
    expect(isOfEarlierTerm(`${prefix}9`, prefix, 10)).toBe(false);
  });
});
