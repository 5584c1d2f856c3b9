/** A write without an answer has an unknown outcome: it is reported neither as refused nor as written, and is not repeated. */
import { describe, expect, test } from "vitest";
import type { TcpProxy } from "../../scripts/shared/proxy-types.ts";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { FencedStream } from "../../src/fencing.ts";
import { atEnd } from "../support/at-end.ts";
import { connection, contents, termOf } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

async function behindProxy(timeoutMs = 300) {
  const proxy: TcpProxy = await startProxy({ target: { port: server.port } });
  atEnd(() => proxy.close());
  const stream = freshId("L");
  const options = { stream, subjects: [`${stream}.>`], timeoutMs };
  const store = await FencedStream.connect(await connection(proxy), options);
  atEnd(() => store.close());
  const direct = await connection(server);
  const rival = await FencedStream.connect(direct, { ...options, timeoutMs: 2000 });
  atEnd(() => rival.close());
  const data = () => contents(direct, stream, (subject) => subject.startsWith(`${stream}.`));
  return { proxy, store, rival, stream, data, subject: `${stream}.x` };
}

describe("an unknown outcome", () => {
  test("is that of a write whose answer is lost: it is stored and not sent twice", async () => {
    const { proxy, store, subject, data } = await behindProxy();
    const a = await store.open(termOf(1));
    const taken = proxy.takeReplyTo((frame) => frame.subject === subject);
    await expect(a.publish(subject, "1")).rejects.toMatchObject({
      code: "OUTCOME_UNKNOWN",
      recoverable: true,
    });
    await taken;
    expect(await data()).toEqual([`${subject}=1`]);
    await a.publish(subject, "2");
    expect(await data()).toEqual([`${subject}=1`, `${subject}=2`]);
  });

  test("is that of a write that arrives after its timeout; if the fence has moved, it is not stored", async () => {
    const { proxy, store, rival, subject, data } = await behindProxy();
    const a = await store.open(termOf(1));
    const late = proxy.takeNextToServer((frame) => frame.subject === subject);
    await expect(a.publish(subject, "late")).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    const b = await rival.open(termOf(2));
    (await late).release();
    await b.publish(subject, "from b");
    expect(await data()).toEqual([`${subject}=from b`]);
  });

  test("is that of a write whose connection drops", async () => {
    const { proxy, store, subject, data } = await behindProxy(2000);
    const a = await store.open(termOf(1));
    proxy.toClient("drop");
    const write = expect(a.publish(subject, "1")).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    await expect.poll(data).toEqual([`${subject}=1`]);
    proxy.cut();
    await write;
    proxy.toClient("pass");
  });

  test("is not that of a write that was never sent", async () => {
    const { proxy, store, subject, data } = await behindProxy();
    const a = await store.open(termOf(1));
    await expect(a.publish(subject, "", { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: "ABORTED",
    });
    proxy.refuse(true);
    proxy.cut();
    await expect
      .poll(() =>
        a.publish(subject, "1").then(
          () => "",
          (error: { code: string }) => error.code,
        ),
      )
      .toBe("NO_CONNECTION");
    proxy.refuse(false);
    await expect
      .poll(() =>
        a.publish(subject, "2").then(
          () => "fine",
          () => "",
        ),
      )
      .toBe("fine");
    expect((await data()).at(-1)).toBe(`${subject}=2`);
  });

  test("stops a pipeline, which yields the outcome of each message in flight", async () => {
    const { proxy, store, subject, data } = await behindProxy();
    const a = await store.open(termOf(1));
    const lost = proxy.takeReplyTo((frame) => frame.subject === subject && frame.text.endsWith("\r\n2\r\n"));
    const messages = Array.from({ length: 100 }, (_, i) => ({ subject, data: String(i) }));
    const kinds: string[] = [];
    for await (const outcome of a.pipeline(messages, { maxInFlight: 4 })) kinds.push(outcome.kind);
    await lost;
    expect(kinds[2]).toBe("unknown");
    expect(kinds.filter((kind) => kind === "unknown")).toHaveLength(1);
    expect(kinds.length).toBeLessThan(10);
    expect(await data()).toHaveLength(kinds.length);
  });
});

describe("moving the fence", () => {
  test("succeeds when its answer is lost, because the next read shows it", async () => {
    const { proxy, store, stream, subject } = await behindProxy();
    const taken = proxy.takeReplyTo((frame) => frame.subject === `nats_leader.fence.${stream}.0`);
    const a = await store.open(termOf(1));
    await taken;
    // After the lane and the root, each of them once.
    expect(await a.publish(subject)).toMatchObject({ sequence: 3 });
  });

  test("is aborted with the term, and by its timeout", async () => {
    const { proxy, store } = await behindProxy(100);
    proxy.blackhole(true);
    const ended = new AbortController();
    const opening = store.open({ ...termOf(1), signal: ended.signal });
    ended.abort();
    await expect(opening).rejects.toMatchObject({ code: "ABORTED" });
    const timed = store.open(termOf(1), { timeoutMs: 250 });
    await expect(timed).rejects.toMatchObject({ code: "STORE_UNAVAILABLE", recoverable: true });
    proxy.blackhole(false);
  });
});
