import { describe, expect, test } from "vitest";
import type { Frame } from "../../scripts/shared/nats-frames.ts";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { groupRepublishSubject, groupStreamName, groupSubject } from "../../src/nats/names.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import {
  claimOf,
  entriesOf,
  groupStoreOn,
  owner,
  revisionsIn,
  watchingGroup,
} from "../support/nats/group-store.ts";
import { applied, noAbort } from "../support/nats/store-and-session.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** A store behind a proxy, and one with a direct connection. */
async function openBehindProxy() {
  const groupId = freshId();
  const proxy = await startProxy({ target: { port: server.port } });
  atEnd(() => proxy.close());
  const behind = await groupStoreOn(proxy, groupId);
  await behind.store.open(noAbort(), 0);
  const direct = await groupStoreOn(server, groupId);
  await direct.store.open(noAbort(), 0);
  const isClaim = (resource: string) => (frame: Frame) =>
    frame.subject === groupSubject(groupId, `owner.${resource}`);
  return { groupId, proxy, behind: behind.store, direct: direct.store, isClaim };
}

describe("a write without an answer", () => {
  test("is unknown at its timeout, and a read finds it if it was applied", async () => {
    const { proxy, behind, isClaim } = await openBehindProxy();
    const taken = proxy.takeReplyTo(isClaim("r"));
    const outcome = await behind.write(claimOf("r", 0, { nonce: 4 }), 300);
    expect(outcome).toMatchObject({ kind: "unknown", error: { code: "STORE_UNAVAILABLE" } });
    await taken;
    expect(await behind.read(owner("r"), 2000)).toMatchObject({
      entry: { revision: 1, record: { nonce: 4 } },
    });
    expect(await behind.write(claimOf("r", 0, { nonce: 4 }), 2000)).toEqual({ kind: "conflict" });
  });

  test("may be applied after its timeout, and holds no other key back", async () => {
    const { proxy, behind, direct, isClaim } = await openBehindProxy();
    const taken = proxy.takeNextToServer(isClaim("r"));
    expect(await behind.write(claimOf("r", 0, { nonce: 5 }), 200)).toMatchObject({ kind: "unknown" });
    expect(await behind.read(owner("r"), 2000)).toMatchObject({ entry: null });
    expect(applied(await behind.write(claimOf("s", 0), 2000))).toBe(1);
    (await taken).release();
    await behind.read(owner("r"), 2000);
    expect(await direct.read(owner("r"), 2000)).toMatchObject({
      entry: { revision: 2, record: { nonce: 5 } },
    });
  });

  test("is unknown as soon as the connection drops, and nothing is sent without one", async () => {
    const { proxy, behind, direct, isClaim } = await openBehindProxy();
    const taken = proxy.takeReplyTo(isClaim("r"));
    const writing = behind.write(claimOf("r", 0), 60_000);
    await taken;
    proxy.refuse(true);
    proxy.cut();
    expect(await writing).toMatchObject({ kind: "unknown", error: { code: "NO_CONNECTION" } });
    expect(await behind.write(claimOf("s", 0), 60_000)).toMatchObject({ error: { code: "NO_CONNECTION" } });
    expect(await behind.read(owner("s"), 60_000)).toMatchObject({ error: { code: "NO_CONNECTION" } });
    expect(await behind.readAfter(0, 60_000)).toMatchObject({ error: { code: "NO_CONNECTION" } });
    expect(await direct.read(owner("s"), 2000)).toMatchObject({ entry: null });
  });
});

test("a read of a key never shows an older message beside a newer end of the stream", async () => {
  const { groupId, proxy, behind, direct } = await openBehindProxy();
  const isInfo = ({ subject }: Frame): boolean =>
    subject === `$JS.API.STREAM.INFO.${groupStreamName(groupId)}`;
  const taken = proxy.takeNextToServer(isInfo);
  const reading = behind.read(owner("r"), 60_000);
  const info = await taken;
  expect(applied(await direct.write(claimOf("r", 0, { nonce: 6 }), 2000))).toBe(1);
  info.release();
  expect(await reading).toMatchObject({ lastSequence: 1, entry: { revision: 1, record: { nonce: 6 } } });
});

describe("a bulk read", () => {
  const isPull = (groupId: string) => (frame: Frame) =>
    frame.subject?.startsWith(`$JS.API.CONSUMER.MSG.NEXT.${groupStreamName(groupId)}.`) === true;

  test.each(["timeout", "drop", "close"] as const)(
    "of which the messages do not come ends by %s",
    async (how) => {
      const { proxy, behind, groupId } = await openBehindProxy();
      applied(await behind.write(claimOf("r", 0), 2000));
      const taken = proxy.takeNextToServer(isPull(groupId));
      const reading = behind.readAfter(0, how === "timeout" ? 300 : 60_000);
      await taken;
      if (how === "drop") proxy.cut();
      if (how === "close") await behind.close();
      const code = { timeout: "STORE_UNAVAILABLE", drop: "NO_CONNECTION", close: "ABORTED" }[how];
      expect(await reading).toMatchObject({ kind: "failed", error: { code } });
    },
  );

  test("that the user may not continue fails at once, and names the permission", async () => {
    const users = [
      "{ user: all, password: p }",
      '{ user: some, password: p, permissions: { publish: { deny: "$JS.API.CONSUMER.MSG.NEXT.>" } } }',
    ];
    const own = await startNatsServer({ config: `authorization { users = [ ${users.join(", ")} ] }` });
    atEnd(() => own[Symbol.asyncDispose]());
    const groupId = freshId();
    const { store: all } = await groupStoreOn(own, groupId, {}, { user: "all", pass: "p" });
    await all.open(noAbort(), 0);
    applied(await all.write(claimOf("r", 0), 2000));
    const { store: some } = await groupStoreOn(own, groupId, {}, { user: "some", pass: "p" });
    await some.open(noAbort(), 0);
    expect(await some.readAfter(0, 60_000)).toMatchObject({
      kind: "failed",
      error: {
        code: "AUTHORIZATION",
        message: expect.stringContaining(
          `allow this user to publish to "$JS.API.CONSUMER.MSG.NEXT.${groupStreamName(groupId)}.*"`,
        ),
      },
    });
  });

  test("that lost a message on the way fails, and the next one has it", async () => {
    const { proxy, behind } = await openBehindProxy();
    for (const resource of ["r", "s", "t"]) applied(await behind.write(claimOf(resource, 0), 2000));
    const isSecond = (frame: Frame): boolean => /\.2\.2\.\d+\.\d+$/.test(frame.reply ?? "");
    proxy.filterToClient((frame) => !isSecond(frame));
    expect(await behind.readAfter(0, 5000)).toMatchObject({
      kind: "failed",
      error: { message: expect.stringContaining("a message was lost on the way") },
    });
    proxy.filterToClient(null);
    expect(entriesOf(await behind.readAfter(0, 5000)).entries).toHaveLength(3);
  });
});

test("a watch that lost messages shows it by a gap, and a bulk read fills it", async () => {
  const { proxy, behind, direct, groupId } = await openBehindProxy();
  const { generation } = (await direct.read(owner("x"), 2000)) as { generation: string };
  const seen = watchingGroup(behind);
  await behind.read(owner("x"), 2000);
  proxy.filterToClient((frame) => frame.subject !== groupRepublishSubject(groupId, "owner.s"));
  for (const resource of ["r", "s", "t"])
    applied(await direct.write(claimOf(resource, 0, { generation }), 2000));
  await seen.until((items) => items.length === 2);
  expect(revisionsIn(seen)).toEqual([1, 3]);
  const { upTo, entries } = entriesOf(await behind.readAfter(1, 2000));
  expect([upTo, entries.map(({ revision }) => revision)]).toEqual([3, [2, 3]]);
});

describe("a server", () => {
  test("that is killed during a write is used again after its restart, by the same bucket", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const { store, monitor } = await groupStoreOn(own, freshId());
    const { generation } = await store.open(noAbort(), 0);
    const seen = watchingGroup(store);
    const first = applied(await store.write(claimOf("r", 0, { generation }), 2000));
    await own.pause();
    const writing = store.write(claimOf("r", first, { nonce: 2, generation }), 60_000);
    await own.kill();
    expect(await writing).toMatchObject({ kind: "unknown", error: { code: "NO_CONNECTION" } });
    await own.start();
    await expect.poll(() => monitor.connected).toBe(true);
    expect(entriesOf(await store.readAfter(0, 5000))).toMatchObject({ generation, upTo: first });
    const second = applied(await store.write(claimOf("r", first, { nonce: 3, generation }), 5000));
    await seen.until(() => revisionsIn(seen).includes(second));
  });

  test("that is frozen lets requests time out, and may apply the write when it continues", async () => {
    const own = await startNatsServer();
    atEnd(() => own.dispose());
    const { store } = await groupStoreOn(own, freshId());
    const { generation } = await store.open(noAbort(), 0);
    const seen = watchingGroup(store);
    const first = applied(await store.write(claimOf("r", 0, { generation }), 2000));
    await own.pause();
    const outcomes = await Promise.all([
      store.write(claimOf("r", first, { nonce: 2, generation }), 300),
      store.read(owner("r"), 300),
      store.readAfter(0, 300),
    ]);
    expect(outcomes.map(({ kind }) => kind)).toEqual(["unknown", "failed", "failed"]);
    await own.resume();
    await seen.until(() => revisionsIn(seen).includes(first + 1));
  });
});
