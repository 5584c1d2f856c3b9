import { jetstream } from "@nats-io/jetstream";
import { type ServiceMsg, Svcm } from "@nats-io/services";
import { headers, type Msg } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { deferred } from "../../scripts/shared/wait.ts";
import { MAX_STEP } from "../../src/fencing/compare.ts";
import {
  type ClusterError,
  fencedCallback,
  fencedEndpoint,
  fencedMessages,
  KvFence,
  type KvFenceOptions,
  MemoryFence,
  natsHeaders,
  type TokenSource,
  throwIfRefused,
} from "../../src/fencing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, connection, deleteStream } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

async function kvFence(options: Partial<KvFenceOptions> & { readonly key: string }): Promise<KvFence> {
  const fence = await KvFence.open(await connection(server), options);
  atEnd(() => fence.close());
  return fence;
}

describe("a receiver of one resource", () => {
  const X = { epoch: 5, clusterId: "orders/Zürich / 1" };
  const Y = { epoch: 900, clusterId: "orders/2 > 1" };

  test("refuses a term of another one, and its epoch does not move the fence", async () => {
    const nats = await connection(server);
    const client = await connection(server);
    const [subject, queued] = [freshId("print"), freshId("queued")];
    const fence = new MemoryFence("the printer");
    const options = { clusterId: X.clusterId };
    const callback = fencedCallback(fence, (message: Msg) => void message.respond("printed"), options);
    nats.subscribe(subject, { callback });
    await nats.flush();
    const print = async (source: TokenSource): Promise<void> =>
      throwIfRefused(await client.request(subject, "", { timeout: 5000, headers: natsHeaders(source) }));
    await print(X);
    await expect(print(Y)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message:
        'the printer refuses a message: only terms of "orders/Zürich / 1" are admitted, and it is from a term of "orders/2 > 1"',
    });
    await expect(print(901)).rejects.toMatchObject({
      code: "INVALID_CONFIG",
      message: expect.stringContaining("its sender must attach its term, not the epoch alone"),
    });
    expect(fence.highest).toBe(5);
    await print({ ...X, epoch: 6 });

    const messages = nats.subscribe(queued, { max: 2 });
    const refused: ClusterError[] = [];
    await nats.flush();
    for (const source of [Y, X])
      client.publish(queued, "", { headers: natsHeaders({ ...source, epoch: 7 }) });
    for await (const message of fencedMessages(fence, messages, {
      ...options,
      onRefused: (error) => void refused.push(error),
    }))
      expect(message.headers?.get("Nats-Leader-Cluster")).toBe("orders/Z%C3%BCrich%20/%201");
    expect(refused).toMatchObject([{ code: "INVALID_CONFIG" }]);
  });
});

describe("a durable fence", () => {
  test("keeps the largest token over a restart of its process", async () => {
    const key = freshId("printer");
    const before = await kvFence({ key });
    await before.admit(4);
    await before.admit({ epoch: 7 });
    before.close();
    const after = await kvFence({ key });
    expect(after.highest).toBe(7);
    const refused = after.admit(6);
    await expect(refused).rejects.toMatchObject({ code: "STALE_EPOCH", token: 6, newest: 7 });
    await expect(refused).rejects.toThrow(
      `fence "${key}" in bucket FENCES refuses epoch 6: it has seen epoch 7`,
    );
    await after.admit(7);
  });

  test("refuses a token if another receiver of the resource has seen a larger one", async () => {
    const key = freshId("shared");
    const [one, two] = [await kvFence({ key }), await kvFence({ key })];
    await two.admit(1);
    await one.admit(2);
    await expect(two.admit(1)).rejects.toMatchObject({ code: "STALE_EPOCH", newest: 2 });
  });

  test("admits the largest of many concurrent tokens, and never decreases", async () => {
    const key = freshId("crowd");
    const fences = await Promise.all([1, 2, 3].map(() => kvFence({ key })));
    const tokens = Array.from({ length: 30 }, (_, i) => 1 + ((i * 7) % 30));
    const results = await Promise.allSettled(tokens.map((token, i) => fences[i % 3]?.admit(token)));
    expect(results[tokens.indexOf(30)]?.status).toBe("fulfilled");
    const stored = await kvFence({ key });
    expect(stored.highest).toBe(30);
    await expect(stored.admit(29)).rejects.toMatchObject({ code: "STALE_EPOCH" });
  });

  test("writes its token again after an operator has deleted the key", async () => {
    const key = freshId("deleted");
    const fence = await kvFence({ key });
    await fence.admit(5);
    await api(await connection(server), "STREAM.PURGE.KV_FENCES", { filter: `$KV.FENCES.${key}` });
    await expect(fence.admit(4)).rejects.toMatchObject({ code: "STALE_EPOCH" });
    await fence.admit(5);
    expect((await kvFence({ key })).highest).toBe(5);
  });

  test("refuses a token that no election reaches, and stores none", async () => {
    const key = freshId("absurd");
    const fence = await kvFence({ key });
    for (const before of [0, 5]) {
      if (before > 0) await fence.admit(before);
      const refused = fence.admit(before + MAX_STEP + 1);
      await expect(refused).rejects.toMatchObject({ code: "STALE_EPOCH", newest: before });
    }
    expect((await kvFence({ key })).highest).toBe(5);
    await fence.admit(6);
  });

  test("is not opened in a bucket that could lose its token", async () => {
    const nats = await connection(server);
    const problems = [
      [{ max_age: 60_000_000_000 }, "max_age would drop the fence; set allow_msg_ttl"],
      [{ storage: "memory" }, "its storage is memory"],
      [{ max_msgs: 10, discard: "old" }, "discard old can drop the fence"],
      [{ max_bytes: 1_000_000, discard: "old" }, "discard old can drop the fence"],
      [{ subjects: ["$KV.other.>"] }, "do not include $KV."],
    ] as const;
    for (const [over, problem] of problems) {
      const bucket = freshId("B");
      const name = `KV_${bucket}`;
      const config = { name, subjects: [`$KV.${bucket}.>`], max_msgs_per_subject: 1, ...over };
      await api(nats, `STREAM.CREATE.${name}`, config);
      const opening = KvFence.open(nats, { bucket, key: "printer" });
      await expect(opening, problem).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
      await expect(opening).rejects.toThrow(problem);
      await deleteStream(nats, name);
    }
  });

  test("replaces a foreign value of its key, and knows the token from the messages before it", async () => {
    const key = freshId("garbage");
    const nats = await connection(server);
    const put = async (subject: string, value: string) => {
      const answer = (await nats.request(`$KV.FENCES.${subject}`, value, { timeout: 2000 })).json<object>();
      expect(answer).not.toHaveProperty("error");
    };
    await (await kvFence({ key })).admit(7);
    for (const value of ["hello", "", '{"epoch":"9"}']) await put(key, value);
    const restarted = await kvFence({ key });
    expect(restarted.highest).toBe(7);
    await expect(restarted.admit(6)).rejects.toMatchObject({ code: "STALE_EPOCH", token: 6, newest: 7 });
    await restarted.admit(7);
    expect((await kvFence({ key })).highest).toBe(7);
    // A receiver that runs, and a key that never had a token.
    await put(key, "hello");
    await restarted.admit(8);
    const other = freshId("garbage");
    await put(other, "hello");
    const fresh = await kvFence({ key: other });
    await fresh.admit(3);
    await expect(fresh.admit(2)).rejects.toMatchObject({ code: "STALE_EPOCH", newest: 3 });
  });

  test("refuses every token while its bucket cannot be reached", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const fence = await KvFence.open(await connection(proxy), { key: freshId("cut"), timeoutMs: 200 });
    atEnd(() => fence.close());
    await fence.admit(1);
    proxy.blackhole(true);
    await expect(fence.admit(1)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", recoverable: true });
    proxy.blackhole(false);
  });

  test("sends no request for the current leader if it is the exclusive receiver", async () => {
    const nats = await connection(server);
    const fence = await KvFence.open(nats, { key: freshId("own"), exclusive: true });
    atEnd(() => fence.close());
    await fence.admit(1);
    const { outMsgs } = nats.stats();
    await fence.admit(1);
    expect(nats.stats().outMsgs).toBe(outMsgs);
  });
});

describe("in front of a receiver", () => {
  test("a subscription answers a stale request with both tokens and does not call the handler", async () => {
    const nats = await connection(server);
    const ran: string[] = [];
    const refusals: ClusterError[] = [];
    const subject = freshId("work");
    nats.subscribe(subject, {
      callback: fencedCallback(
        new MemoryFence("the worker"),
        (message) => {
          ran.push(message.string());
          message.respond("done");
        },
        { onRefused: (error) => refusals.push(error) },
      ),
    });
    const send = (epoch: number) =>
      nats.request(subject, `e${epoch}`, { timeout: 2000, headers: natsHeaders(epoch) });
    const fine = await send(2);
    throwIfRefused(fine);
    expect(fine.string()).toBe("done");
    const late = await send(1);
    expect([late.headers?.get("Nats-Service-Error-Code"), ran]).toEqual(["409", ["e2"]]);
    expect(() => throwIfRefused(late)).toThrow(
      expect.objectContaining({
        code: "STALE_EPOCH",
        token: 1,
        newest: 2,
        message: "the worker refuses epoch 1: it has seen epoch 2",
      }),
    );
    expect(() => throwIfRefused(late)).toThrow();
    expect(refusals).toHaveLength(1);
    const anonymous = await nats.request(subject, "", { timeout: 2000 });
    expect(() => throwIfRefused(anonymous)).toThrow(
      expect.objectContaining({
        code: "INVALID_CONFIG",
        message: expect.stringMatching(/refuses a message without a valid epoch/),
      }),
    );
    expect(ran).toEqual(["e2"]);
  });

  test("a handler that throws causes an answer with status 500 and a call of onRefused, and does not end the process", async () => {
    const nats = await connection(server);
    const reported = deferred<ClusterError>();
    const subject = freshId("work");
    const handler = fencedCallback(
      new MemoryFence(),
      async () => {
        throw new Error("out of\r\npaper");
      },
      { onRefused: reported.resolve },
    );
    nats.subscribe(subject, { callback: handler });
    const answer = await nats.request(subject, "", { timeout: 2000, headers: natsHeaders(1) });
    expect(answer.headers?.get("Nats-Service-Error-Code")).toBe("500");
    throwIfRefused(answer);
    await expect(reported.promise).resolves.toMatchObject({ code: "HOOK_FAILED" });
  });

  test("an answer has no secrets and no control characters of the error that it reports", async () => {
    const nats = await connection(server);
    const subject = freshId("work");
    const handler = fencedCallback(
      new MemoryFence(),
      async () => {
        throw new Error(`no route to nats://admin:hunter2@db\r\n\u001b[31m${"x".repeat(5000)}`);
      },
      { onRefused: () => {} },
    );
    nats.subscribe(subject, { callback: handler });
    const answer = await nats.request(subject, "", { timeout: 2000, headers: natsHeaders(1) });
    const shown = `${answer.headers?.get("Nats-Service-Error")} ${answer.string()}`;
    expect(shown).toContain("no route to nats://***@db");
    for (const hidden of ["hunter2", "\u001b"]) expect(shown).not.toContain(hidden);
    expect(shown.length).toBeLessThan(3000);
  });

  test("an exception of onRefused becomes a warning, and the request is answered once", async () => {
    const nats = await connection(server);
    const subject = freshId("work");
    const warned = deferred<Error>();
    process.once("warning", warned.resolve);
    const fence = new MemoryFence();
    const onRefused = () => {
      throw new Error("of onRefused");
    };
    nats.subscribe(subject, { callback: fencedCallback(fence, () => {}, { onRefused }) });
    const statuses: (string | undefined)[] = [];
    const reply = freshId("reply");
    nats.subscribe(reply, {
      callback: (_, { headers: hdrs }) => void statuses.push(hdrs?.get("Nats-Service-Error-Code")),
    });
    nats.publish(subject, "", { reply });
    await expect(warned.promise).resolves.toMatchObject({ message: "of onRefused" });
    // Whatever the callback has published has come back.
    await nats.flush();
    expect(statuses).toEqual(["409"]);
  });

  test("a refusal with a code of another program is an unavailable fence, with printable text", () => {
    const answerOf = (body: object) => {
      const hdrs = headers();
      hdrs.set("Nats-Service-Error-Code", "409");
      return { headers: hdrs, data: new TextEncoder().encode(JSON.stringify(body)) } as unknown as Msg;
    };
    const foreign = answerOf({ code: "__proto__\u001b", message: `gone\u001b[2J${"x".repeat(9999)}` });
    let thrown: unknown;
    try {
      throwIfRefused(foreign);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toMatchObject({ code: "STORE_UNAVAILABLE", recoverable: true });
    expect((thrown as Error).message).toMatch(/^gone\\u001b\[2Jx+\.\.\. \(code __proto__\\u001b\)$/);
    expect((thrown as Error).message.length).toBeLessThan(1200);
    expect(() => throwIfRefused(answerOf({ code: "NO_CONNECTION", message: "m" }))).toThrow(
      expect.objectContaining({ code: "NO_CONNECTION" }),
    );
    expect(() => throwIfRefused(answerOf({ message: "an error of the application" }))).not.toThrow();
  });

  test("an endpoint of a service refuses with a service error", async () => {
    const nats = await connection(server);
    const service = await new Svcm(nats as never).add({ name: "store", version: "1.0.0" });
    atEnd(() => service.stop());
    const subject = freshId("put");
    const handler = fencedEndpoint<ServiceMsg>(
      new MemoryFence(),
      (message) => void message.respond("stored"),
    );
    service.addEndpoint("put", { subject, handler });
    const send = (epoch: number) => nats.request(subject, "", { timeout: 2000, headers: natsHeaders(epoch) });
    expect((await send(5)).string()).toBe("stored");
    const late = await send(4);
    expect(() => throwIfRefused(late)).toThrow(
      expect.objectContaining({ code: "STALE_EPOCH", token: 4, newest: 5 }),
    );
  });

  test("a JetStream consumer skips and terminates stale messages", async () => {
    const nats = await connection(server);
    const stream = freshId("JOBS");
    await api(nats, `STREAM.CREATE.${stream}`, { name: stream, subjects: [stream] });
    const js = jetstream(nats as never);
    for (const epoch of [1, 2, 1, 3]) await js.publish(stream, `e${epoch}`, { headers: natsHeaders(epoch) });
    await api(nats, `CONSUMER.CREATE.${stream}.c`, {
      stream_name: stream,
      config: { name: "c", ack_policy: "explicit" },
    });
    const consumer = await js.consumers.get(stream, "c");
    const messages = await consumer.fetch({ max_messages: 4, expires: 1000 });
    const seen: string[] = [];
    for await (const message of fencedMessages(new MemoryFence(), messages, {
      onRefused: (_, stale) => stale.term(),
    })) {
      seen.push(message.string());
      message.ack();
    }
    expect(seen).toEqual(["e1", "e2", "e3"]);
  });
});
