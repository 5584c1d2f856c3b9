import { describe, expect, test } from "vitest";
import type { TcpProxy } from "../../scripts/shared/proxy-types.ts";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { waitFor, within } from "../../scripts/shared/wait.ts";
import { leaseSubject, republishSubject, streamName } from "../../src/nats/names.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import {
  api,
  applied,
  entryAt,
  link,
  noAbort,
  put,
  record,
  sessionOn,
  snapshot,
  storeOn,
  watching,
} from "../support/nats/store-and-session.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** A store behind a proxy, and one with a direct connection. */
async function openBehindProxy() {
  const clusterId = freshId();
  const proxy = await startProxy({ target: { port: server.port } });
  atEnd(() => proxy.close());
  const behind = await storeOn(proxy, clusterId);
  await behind.store.open(noAbort());
  const direct = await storeOn(server, clusterId);
  return { clusterId, proxy, behind, direct };
}

function writes(clusterId: string): Parameters<TcpProxy["takeNextToServer"]>[0] {
  return (frame) => frame.subject === leaseSubject(clusterId);
}

/** The outcome of an operation and its duration in milliseconds. */
async function timed<T>(operation: () => Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const value = await operation();
  return [value, performance.now() - start];
}

describe("a write without an answer", () => {
  test("is unknown at its timeout, and a read finds it if it was applied", async () => {
    const { clusterId, proxy, behind, direct } = await openBehindProxy();
    const taken = proxy.takeReplyTo(writes(clusterId));
    const [outcome, tookMs] = await timed(() =>
      behind.store.write(put({ emptyAtSequence: 0 }, { nonce: 4 }), 300),
    );
    expect(outcome).toMatchObject({
      kind: "unknown",
      error: { code: "STORE_UNAVAILABLE", recoverable: true },
    });
    expect(tookMs).toBeGreaterThanOrEqual(299);
    await taken;
    expect((await snapshot(direct.store)).entry).toMatchObject({ revision: 1, record: { nonce: 4 } });
    expect((await snapshot(behind.store)).entry).toMatchObject({ revision: 1, record: { nonce: 4 } });
  });

  test("may be applied after its timeout", async () => {
    const { clusterId, proxy, behind, direct } = await openBehindProxy();
    const seen = watching(behind.store);
    const taken = proxy.takeNextToServer(writes(clusterId));
    const outcome = await behind.store.write(put({ emptyAtSequence: 0 }, { nonce: 5 }), 200);
    expect(outcome.kind).toBe("unknown");
    expect((await snapshot(behind.store)).entry).toBeNull();
    (await taken).release();
    expect(await entryAt(seen, 1)).toMatchObject({ record: { nonce: 5 } });
    expect((await snapshot(direct.store)).entry).toMatchObject({ record: { nonce: 5 } });
  });

  test("is unknown as soon as the connection drops", async () => {
    const { clusterId, proxy, behind } = await openBehindProxy();
    const taken = proxy.takeReplyTo(writes(clusterId));
    const writing = behind.store.write(put({ emptyAtSequence: 0 }), 60_000);
    await taken;
    proxy.cut();
    const outcome = await writing;
    expect(outcome).toMatchObject({ kind: "unknown", error: { code: "NO_CONNECTION", recoverable: true } });
  });

  test("is not sent while disconnected, nor later", async () => {
    const { proxy, behind, direct, clusterId } = await openBehindProxy();
    const { events, session } = sessionOn({
      connection: behind.monitor.connection,
      owned: true,
      close: async () => {},
    });
    proxy.refuse(true);
    proxy.cut();
    await events.next((event) => event.type === "disconnected");
    const outcome = await behind.store.write(put({ emptyAtSequence: 0 }), 5000);
    expect(outcome).toMatchObject({ kind: "unknown", error: { code: "NO_CONNECTION" } });
    expect(await behind.store.read(5000)).toMatchObject({ kind: "failed", error: { code: "NO_CONNECTION" } });
    expect(session.connected).toBe(false);
    proxy.refuse(false);
    await events.next((event) => event.type === "connected");
    // After a round trip on the new connection, any buffered message would have arrived.
    await behind.monitor.connection.flush();
    expect((await snapshot(direct.store)).entry).toBeNull();
    expect(clusterId).toBeTruthy();
  });
});

describe("a server", () => {
  test("that is stopped during a write makes it unknown at once, and is used again after its restart", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const clusterId = freshId();
    const { store, monitor } = await storeOn(own, clusterId);
    await store.open(noAbort());
    const seen = watching(store);
    const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    await own.pause();
    const writing = store.write(put({ revision: first }, { nonce: 2 }), 60_000);
    await own.kill();
    const outcome = await writing;
    expect(outcome).toMatchObject({ kind: "unknown", error: { code: "NO_CONNECTION" } });
    await own.start();
    await waitFor(() => monitor.connected);
    const { entry } = await snapshot(store);
    expect(entry).toMatchObject({ kind: "record", revision: first, record: record() });
    const second = applied(await store.write(put({ revision: first }, { nonce: 3 }), 2000));
    expect(await entryAt(seen, second)).toMatchObject({ record: { nonce: 3 } });
  });

  test("that is frozen lets requests time out, and may apply the write when it continues", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const { store } = await storeOn(own, freshId());
    await store.open(noAbort());
    const seen = watching(store);
    const first = applied(await store.write(put({ emptyAtSequence: 0 }), 2000));
    await own.pause();
    const [write, read] = await Promise.all([
      store.write(put({ revision: first }, { nonce: 2 }), 300),
      store.read(300),
    ]);
    expect(write).toMatchObject({ kind: "unknown", error: { code: "STORE_UNAVAILABLE" } });
    expect(read).toMatchObject({ kind: "failed", error: { code: "STORE_UNAVAILABLE" } });
    await own.resume();
    expect(await entryAt(seen, first + 1)).toMatchObject({ record: { nonce: 2 } });
  });
});

describe("permissions", () => {
  const config = `
    accounts { A { jetstream: enabled, users: [
      { user: admin, password: p }
      { user: reader, password: p, permissions { publish { deny: ["$KV.>"] } } }
      { user: blind, password: p, permissions { subscribe { deny: ["nats_leader.>", "$JS.EVENT.>"] } } }
      { user: nothing, password: p, permissions { publish { deny: ["$JS.API.>"] } } }
    ] } }`;
  const guarded = useNatsServer({ config });

  async function openAs(user: string) {
    const clusterId = freshId();
    const admin = await storeOn(guarded, clusterId, {}, { user: "admin", pass: "p" });
    await admin.store.open(noAbort());
    const opened = await storeOn(guarded, clusterId, {}, { user, pass: "p" });
    return { clusterId, admin: admin.store, ...opened };
  }

  test("missing for a write are reported at once, with the subject to allow", async () => {
    const { store, clusterId } = await openAs("reader");
    await store.open(noAbort());
    const outcome = await store.write(put({ emptyAtSequence: 0 }), 60_000);
    expect(outcome).toMatchObject({ kind: "unknown", error: { code: "AUTHORIZATION", recoverable: false } });
    expect(outcome.kind === "unknown" && outcome.error.message).toContain(
      `publish to "${leaseSubject(clusterId)}"`,
    );
  });

  test("missing for the JetStream API fail the opening, with the subject to allow", async () => {
    const { store, clusterId } = await openAs("nothing");
    await expect(store.open(noAbort())).rejects.toMatchObject({
      code: "AUTHORIZATION",
      recoverable: false,
      message: expect.stringContaining(`$JS.API.STREAM.INFO.${streamName(clusterId)}`),
    });
  });

  test("missing for the republished lease make a consumer watch instead", async () => {
    const { store, admin, warnings, clusterId } = await openAs("blind");
    await store.open(noAbort());
    const seen = watching(store);
    await waitFor(() => warnings.some((text) => text.includes(republishSubject(clusterId))));
    const first = applied(await admin.write(put({ emptyAtSequence: 0 }), 2000));
    expect(await entryAt(seen, first)).toMatchObject({ kind: "record" });
  });
});

test("an account without JetStream is a permanent error", async () => {
  const own = await startNatsServer({
    config: `accounts { A { users: [{ user: u, password: p }] }, B { jetstream: enabled, users: [{ user: b, password: p }] } }`,
  });
  atEnd(() => own.dispose());
  const { store } = await storeOn(own, freshId(), {}, { user: "u", pass: "p" });
  await expect(within(store.open(noAbort()))).rejects.toMatchObject({ code: "JETSTREAM_UNAVAILABLE" });
});

test("a server without JetStream is a recoverable error", async () => {
  const own = await startNatsServer({ jetstream: false });
  atEnd(() => own.dispose());
  const { store } = await storeOn(own, freshId());
  await expect(within(store.open(noAbort()))).rejects.toMatchObject({
    code: "JETSTREAM_UNAVAILABLE",
    recoverable: true,
  });
  const nats = await link(own);
  await expect(api(nats, "INFO")).rejects.toThrow();
});
