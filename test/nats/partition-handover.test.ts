/** Partitions of a stream that change their owner: killed and frozen processes, a cluster that loses a server, and the permissions of a member. */
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { CountingSink } from "../../scripts/shared/counting-sink.ts";
import { waitFor, within } from "../../scripts/shared/wait.ts";
import { partitionConsumer, partitionOf } from "../../src/group.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { ScriptedTerm } from "../support/group/owner-term.ts";
import type { PartitionOwnerOptions } from "../support/nats/children/partition-owner.ts";
import { PATIENCE_MS } from "../support/patience.ts";
import { type Child, spawnChild } from "../support/processes/spawn-child.ts";
import { useNatsCluster, useNatsServer } from "../support/use-server.ts";

const PARTITIONS = 6;
const OWNER = "test/support/nats/children/partition-owner.ts";

type Owner = Child<Record<string, unknown>>;

/** A stream with a producer that goes on until it is stopped, and owners of its partitions. */
class Bridge {
  readonly sink: CountingSink;
  readonly owners: Map<string, Owner>;
  readonly on: NatsConnection;
  readonly stream: string;
  readonly #url: string;
  readonly #published: number[];
  #isProducing: boolean;
  #producing: Promise<void>;

  static async start(url: string): Promise<Bridge> {
    const on = await connection({ url });
    const stream = freshId("P");
    await api(on, `STREAM.CREATE.${stream}`, { name: stream, subjects: [`${stream}.>`] });
    return new Bridge(on, url, stream);
  }

  private constructor(on: NatsConnection, url: string, stream: string) {
    this.on = on;
    this.stream = stream;
    this.#url = url;
    this.sink = new CountingSink(on, `sink_${stream}`);
    this.owners = new Map();
    this.#published = Array.from({ length: PARTITIONS }, () => 0);
    this.#isProducing = true;
    this.#producing = this.#produce();
    atEnd(() => {
      this.#isProducing = false;
      return this.#producing;
    });
  }

  add(memberId: string): Owner {
    const options: PartitionOwnerOptions = {
      servers: [this.#url],
      groupId: `g_${this.stream}`,
      memberId,
      resources: PARTITIONS,
      stream: this.stream,
      sink: `sink_${this.stream}`,
    };
    const child = spawnChild(OWNER, { args: [JSON.stringify(options)] });
    atEnd(() => child[Symbol.asyncDispose]());
    this.owners.set(memberId, child);
    return child;
  }

  /** Resolves when the partitions are shared equally by the owners, and each has stored a batch of its present term. */
  async untilShared(owners: number = this.owners.size): Promise<void> {
    const share = PARTITIONS / owners;
    let shares: number[] = [];
    await waitFor(
      async () => {
        const owned = await Promise.all(
          [...this.owners.values()].map(async (child) => {
            child.send("owned");
            return (await child.next(({ type }) => type === "owned"))["owned"] as string[];
          }),
        );
        shares = owned.map(({ length }) => length);
        return shares.every((length) => length === share);
      },
      { timeoutMs: PATIENCE_MS * 2, intervalMs: 50, message: () => `equal shares, not ${shares}` },
    );
  }

  /** Resolves when each of these resources has been stored in a term after `epochs`, or has just been stored. */
  async untilStored(
    resources: readonly string[],
    after: ReadonlyMap<string, number> = new Map(),
  ): Promise<void> {
    const missing = new Set(resources);
    const seen = new Promise<void>((resolve) => {
      const end = this.sink.onStored((resource, epoch) => {
        if (epoch > (after.get(resource) ?? 0)) missing.delete(resource);
        if (missing.size > 0) return;
        end();
        resolve();
      });
    });
    await within(seen, {
      timeoutMs: PATIENCE_MS * 2,
      message: () => `a batch of ${[...missing].join(", ")}`,
    });
  }

  /** Stops the producer, waits for the sink, and checks that each message was stored once. */
  async checkExactlyOnce(): Promise<void> {
    this.#isProducing = false;
    await this.#producing;
    await waitFor(
      () => this.#published.every((count, partition) => this.sink.largestOf(`${partition}`) === count),
      {
        timeoutMs: PATIENCE_MS * 2,
        message: () =>
          `published ${this.#published}, stored ${this.#published.map((_, at) => this.sink.largestOf(`${at}`))}`,
      },
    );
    expect(this.sink.counts()).toMatchObject({
      stored: this.#published.reduce((sum, count) => sum + count, 0),
      lost: 0,
      duplicatesAccepted: 0,
      staleAccepted: 0,
    });
  }

  async #produce(): Promise<void> {
    for (let key = 0; this.#isProducing; key++) {
      const partition = partitionOf(`${key}`, PARTITIONS);
      const number = (this.#published[partition] ?? 0) + 1;
      await this.on.request(`${this.stream}.${partition}.${key}`, `${number}`, { timeout: PATIENCE_MS });
      this.#published[partition] = number;
    }
  }
}

describe("on one server", () => {
  const server = useNatsServer();
  const ALL = Array.from({ length: PARTITIONS }, (_, partition) => `${partition}`);

  test("an owner that is killed: its successors store every message once", async () => {
    const bridge = await Bridge.start(server.url);
    for (const id of ["a", "b", "c"]) bridge.add(id);
    await bridge.untilShared();
    await bridge.untilStored(ALL);
    const killed = bridge.owners.get("a") as Owner;
    bridge.owners.delete("a");
    killed.kill("SIGKILL");
    await bridge.untilShared();
    await bridge.untilStored(ALL);
    bridge.add("a2");
    await bridge.untilShared();
    await bridge.untilStored(ALL);
    await bridge.checkExactlyOnce();
  });

  test("an owner that is frozen with an open request takes nothing away from its successor", async () => {
    const bridge = await Bridge.start(server.url);
    for (const id of ["a", "b"]) bridge.add(id);
    await bridge.untilShared();
    await bridge.untilStored(ALL);
    const frozen = bridge.owners.get("a") as Owner;
    frozen.kill("SIGSTOP");
    bridge.owners.delete("a");
    await bridge.untilShared();
    await bridge.untilStored(ALL);
    frozen.kill("SIGCONT");
    // What it had under way reaches the sink, or nothing does; the terms it had are over.
    await frozen.next(({ type }) => type === "over", PATIENCE_MS * 2);
    bridge.owners.set("a", frozen);
    await bridge.untilShared();
    await bridge.untilStored(ALL);
    await bridge.checkExactlyOnce();
  });
});

describe("in a cluster of three", () => {
  const cluster = useNatsCluster();

  test("a consumer whose server is killed, and whose stream has lost its leader, goes on after its last message", async () => {
    const urls = cluster.servers.map(({ url }) => url);
    const producer = await connection(urls);
    const stream = freshId("P");
    await api(producer, `STREAM.CREATE.${stream}`, {
      name: stream,
      subjects: [`${stream}.>`],
      num_replicas: 3,
    });
    const publish = async (from: number, to: number): Promise<void> => {
      for (let n = from; n <= to; n++) await publishUntilStored(producer, `${stream}.0.x`, n);
    };
    await publish(1, 50);
    const messages = await partitionConsumer(new ScriptedTerm("g", "0", 1), {
      connection: await connection(urls),
      stream,
      subject: `${stream}.0.>`,
      after: 0,
      batch: 10,
      heartbeatMs: 200,
    });
    atEnd(() => messages.close());
    const seen: number[] = [];
    const read = async (count: number): Promise<void> => {
      while (seen.length < count) {
        const { value } = await within(messages.next(), {
          timeoutMs: PATIENCE_MS * 4,
          message: () => `message ${seen.length + 1}`,
        });
        seen.push(Number(value?.headers?.get("Number")));
      }
    };
    await read(25);
    const { cluster: placement } = (await api(producer, `STREAM.INFO.${stream}`)) as {
      cluster: { leader: string };
    };
    const leader = cluster.servers.find(({ name }) => name === placement.leader);
    await leader?.kill();
    await publish(51, 100);
    await read(100);
    expect(seen).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
    await leader?.start();
  });
});

/** Stores a message once, however often it takes. */
async function publishUntilStored(on: NatsConnection, subject: string, number: number): Promise<void> {
  const header = headers();
  header.set("Number", String(number));
  header.set("Nats-Msg-Id", String(number));
  await waitFor(
    async () => {
      try {
        const answer = await on.request(subject, "", { timeout: 1_000, headers: header });
        return answer.json<{ error?: unknown }>().error === undefined;
      } catch {
        return false;
      }
    },
    { timeoutMs: PATIENCE_MS * 4, message: `the message ${number} to be stored` },
  );
}

describe("with the permissions of docs/security.md", () => {
  const publish = [
    "$JS.API.STREAM.INFO.TICKS",
    "$JS.API.CONSUMER.CREATE.TICKS.*.ticks.>",
    "$JS.API.CONSUMER.MSG.NEXT.TICKS.*",
    "$JS.API.CONSUMER.DELETE.TICKS.*",
    "$JS.API.CONSUMER.NAMES.TICKS",
  ];
  const user = (name: string, subjects: readonly string[]): string =>
    `{ user: ${name}, password: p, permissions { publish: ${JSON.stringify(subjects)}, subscribe: ["_INBOX.>"] } }`;
  const server = useNatsServer({
    config: `accounts { A { jetstream: enabled, users: [
      { user: owner, password: p }
      ${user("all", publish)}
      ${user("least", publish.slice(0, 3))}
      ${user("none", publish.slice(0, 1))}
    ] } }`,
  });

  async function consumeAs(name: string): Promise<{ readonly taken: string; readonly left: number }> {
    const login = { servers: server.url, pass: "p", reconnectTimeWait: 20 };
    const [owner, on] = await Promise.all([
      connect({ ...login, user: "owner" }),
      connect({ ...login, user: name }),
    ]);
    atEnd(() => Promise.all([owner.close(), on.close()]));
    await api(owner, "STREAM.CREATE.TICKS", { name: "TICKS", subjects: ["ticks.>"] });
    await owner.request("ticks.0.EURUSD", "1.08");
    const messages = await partitionConsumer(new ScriptedTerm("g", "0", 2), {
      connection: on,
      stream: "TICKS",
      subject: "ticks.0.>",
      after: 0,
      timeoutMs: PATIENCE_MS,
    });
    const { value } = await within(messages.next());
    await messages.close();
    const { total } = await api(owner, "CONSUMER.NAMES.TICKS", { offset: 0 });
    return { taken: value?.string() ?? "", left: total as number };
  }

  test("all of them: it consumes, and leaves no consumer", async () => {
    expect(await consumeAs("all")).toEqual({ taken: "1.08", left: 0 });
  });

  test("without those to delete: it consumes, and leaves the consumer to the server", async () => {
    expect(await consumeAs("least")).toEqual({ taken: "1.08", left: 1 });
  });

  test("without that to create a consumer: AUTHORIZATION, and what to allow", async () => {
    await expect(consumeAs("none")).rejects.toMatchObject({
      code: "AUTHORIZATION",
      message: expect.stringContaining("$JS.API.CONSUMER.CREATE.TICKS.*.ticks.0.>"),
    });
  });
});
