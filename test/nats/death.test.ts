import { describe, expect, test } from "vitest";
import { confirmsDeath, watchPresence } from "../../scripts/shared/presence-questions.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import type { SessionBinding } from "../../src/election/types.ts";
import type { NatsLink } from "../../src/nats/connection/connection.ts";
import { streamName } from "../../src/nats/names.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import {
  freshStream,
  link,
  noAbort,
  presenceOf,
  sessionOn,
  storeOn,
} from "../support/nats/store-and-session.ts";
import { START_MS } from "../support/patience.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

describe("a process that is killed", () => {
  test("loses its presence, its death is confirmed, and no other session loses its own", async () => {
    const stream = await freshStream(server);
    const child = spawnChild<{ binding?: SessionBinding }>("test/support/nats/children/presence-holder.ts", {
      args: [server.url, stream],
    });
    atEnd(() => child[Symbol.asyncDispose]());
    const { binding } = await child.next((line) => line.binding !== undefined);
    if (binding === undefined) throw new Error("no binding");
    const watcher = sessionOn(await link(server));
    watchPresence(watcher.session, presenceOf(binding));
    const other = sessionOn(await link(server));
    await watcher.session.monitor.connection.flush();
    expect(await confirmsDeath(watcher.session, binding, 1000)).toBe(false);
    child.kill("SIGKILL");
    await watcher.events.next(
      (event) => event.type === "presence-lost" && event.presence === presenceOf(binding),
    );
    expect(await confirmsDeath(watcher.session, binding, 1000)).toBe(true);
    expect(other.events.items).toEqual([]);
    expect(await confirmsDeath(watcher.session, { ...binding, serverId: "NAOTHER" }, 100)).toBe(false);
  });

  test("is reported to every election that watches it, until the election watches another", async () => {
    const stream = await freshStream(server);
    const holder = sessionOn(await link(server));
    await holder.session.usePresence(stream);
    const presence = presenceOf(holder.session.binding);
    const nats = await link(server);
    const [one, two] = [sessionOn(nats), sessionOn(nats)];
    watchPresence(one.session, presence);
    watchPresence(two.session, presence);
    watchPresence(one.session, "OTHER.x");
    await nats.connection.flush();
    await holder.session.release();
    await two.events.next((event) => event.type === "presence-lost");
    expect(one.events.items).toEqual([]);
  });
});

describe("a death", () => {
  const accounts = `accounts {
    A { jetstream: enabled, users: [
      { user: a, password: p }
      { user: mute, password: p, permissions { publish { deny: ["$SYS.>"] } } } ] }
    B { jetstream: enabled, users: [{ user: b, password: p }] } }
    # How long a client may take to authenticate: many connect at once.
    authorization { timeout: 60 }`;
  const own = useNatsServer({ config: accounts });

  /** The binding of a holder in account A (or of another user), and the same with a connection that is closed. */
  async function holder(user = "a") {
    const clusterId = freshId();
    const { store } = await storeOn(own, clusterId, {}, { user, pass: "p" });
    await store.open(noAbort());
    const { session } = sessionOn(await link(own, { user, pass: "p" }));
    await session.usePresence(streamName(clusterId));
    const alive = session.binding;
    if (alive?.presence === undefined) throw new Error("no presence");
    const closed = await link(own, { user, pass: "p" });
    const clientId = closed.connection.info?.client_id ?? 0;
    await closed.connection.close();
    return { alive, dead: { ...alive, clientId }, unknown: { ...alive, clientId: 999_999 } };
  }

  async function asker(user = "a") {
    return sessionOn(await link(own, { user, pass: "p" })).session;
  }

  test("is not confirmed while the connection is open, nor without a clear answer", async () => {
    const { alive, dead, unknown } = await holder();
    const session = await asker();
    expect(await confirmsDeath(session, dead, 1000)).toBe(true);
    expect(await confirmsDeath(session, alive, 1000)).toBe(false);
    // Absence from a list is no evidence: the server may have omitted the connection.
    expect(await confirmsDeath(session, unknown, 50)).toBe(false);
    expect(await confirmsDeath(session, { ...dead, serverId: "NSOMEBODYELSE" }, 50)).toBe(false);
    expect(await confirmsDeath(session, dead, 0)).toBe(false);
    const { presence: _promised, ...unpromised } = dead;
    expect(await confirmsDeath(session, unpromised, 1000)).toBe(false);
    expect(await confirmsDeath(session, { ...dead, presence: "S.presence_x" }, 1000)).toBe(false);
  });

  test("is not confirmed from another account, where the holder's connections are not listed", async () => {
    const { dead, alive } = await holder();
    const session = await asker("b");
    expect(await confirmsDeath(session, alive, 1000)).toBe(false);
    expect(await confirmsDeath(session, dead, 1000)).toBe(false);
  });

  test("is not confirmed by a frozen server", async () => {
    const { dead } = await holder();
    const session = await asker();
    expect(await confirmsDeath(session, dead, 1000)).toBe(true);
    await own.pause();
    expect(await confirmsDeath(session, dead, 100)).toBe(false);
    await own.resume();
    await waitFor(() => confirmsDeath(session, dead, 1000));
  });

  test("is confirmed correctly with more than 1024 connections", async () => {
    const { dead } = await holder();
    const session = await asker();
    const crowd: NatsLink[] = [];
    const login = { user: "a", pass: "p", connectTimeoutMs: START_MS };
    // In batches: the server's queue of connections that it has not accepted is bounded.
    while (crowd.length < 1100) {
      const batch = Array.from({ length: 50 }, () => link(own, login));
      crowd.push(...(await Promise.all(batch)));
    }
    const ids = crowd.map((nats) => nats.connection.info?.client_id ?? 0).sort((a, b) => a - b);
    for (const clientId of [ids.at(0), ids.at(-1)]) {
      expect(await confirmsDeath(session, { ...dead, clientId: clientId ?? 0 }, 2000)).toBe(false);
    }
    expect(await confirmsDeath(session, dead, 2000)).toBe(true);
  });

  test("is not confirmed for a user without permission for CONNZ, which gets no presence either", async () => {
    const { dead } = await holder();
    const session = await asker("mute");
    expect(await confirmsDeath(session, dead, 1000)).toBe(false);
    const clusterId = freshId();
    const { store } = await storeOn(own, clusterId, {}, { user: "mute", pass: "p" });
    await store.open(noAbort());
    const muted = sessionOn(await link(own, { user: "mute", pass: "p" }));
    expect(await muted.session.usePresence(streamName(clusterId))).toBe("denied");
    expect(muted.warnings.join()).toContain('publish to "$SYS.REQ.ACCOUNT.PING.CONNZ"');
  });
});
