/** The beats of a connection on real servers: what an election hears of its own, and of those of a holder. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { waitFor } from "../../scripts/shared/wait.ts";
import type { ConnectionId, OwnConnection, SessionBinding } from "../../src/election/types.ts";
import { ALL_BEATS, beatSubject, CONNECTIONS_PING } from "../../src/nats/names.ts";
import { GLOBAL_ACCOUNT, tagOf } from "../../src/nats/presence/connz-answer.ts";
import type { NatsSession } from "../../src/nats/presence/session.ts";
import type { SessionEvent } from "../../src/runtime/ports.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { isRebound, link, type OpenedSession, sessionOn } from "../support/nats/store-and-session.ts";
import { Recorder } from "../support/recorder.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
const GLOBAL = tagOf(GLOBAL_ACCOUNT);

type Proven = Extract<SessionEvent, { type: "beat-proven" }>;
const isProven = (event: SessionEvent): event is Proven => event.type === "beat-proven";
const isNamed = (event: SessionEvent): boolean => isRebound(event) && event.binding?.account !== undefined;

function ownOf(session: NatsSession): OwnConnection {
  const { binding } = session;
  if (binding === null) throw new Error("no binding");
  return binding;
}

/** The connection as the record of a holder on it would name it. */
function holderOf(session: NatsSession, ms = 1_000, own = ownOf(session)): SessionBinding {
  const { serverId, clientId } = own;
  return { serverId, clientId, silence: { ms, account: GLOBAL } };
}

/** The tokens of the beats on this subject, heard from outside. */
async function tokensOn(subject: string, url: string = server.url): Promise<Recorder<string>> {
  const { connection } = await link([url]);
  const tokens = new Recorder<string>();
  connection.subscribe(subject, { callback: (_error, message) => tokens.push(message.string()) });
  await connection.flush();
  return tokens;
}

/** The subjects with beats that this connection subscribes to. */
async function subscribed(connection: NatsConnection): Promise<string[]> {
  await connection.flush();
  const cid = connection.info?.client_id;
  const answer = await connection.request(CONNECTIONS_PING, JSON.stringify({ cid, subscriptions: true }));
  const { data } = answer.json<{ data: { connections: { subscriptions_list?: string[] }[] } }>();
  const list = data.connections[0]?.subscriptions_list ?? [];
  return list.filter((subject) => subject.startsWith("nats_leader.beat"));
}

describe("the own beats", () => {
  test("come back, and the connection is named with its account from then on", async () => {
    const { session, events, warnings } = sessionOn(await link(server));
    const { serverId, clientId } = ownOf(session);
    const before = await tokensOn(beatSubject({ serverId, clientId }));
    expect(await session.useBeats(1_000)).toBe("on");
    expect(session.binding).toEqual({ serverId, clientId, account: GLOBAL });
    expect(events.items).toEqual([{ type: "rebound", binding: session.binding }]);
    // One beat shows it. No others are sent while no election depends on them.
    await before.until((tokens) => tokens.length > 0);
    expect(before.items).toEqual([expect.stringMatching(/^[A-Za-z0-9_-]{16}$/)]);
    expect(warnings).toEqual([]);
  });

  test("are named only by the elections that use them, and beside a presence", async () => {
    const nats = await link(server);
    const [uses, doesNot] = [sessionOn(nats), sessionOn(nats)];
    await uses.session.useBeats(1_000);
    expect(doesNot.session.binding).toEqual({ serverId: expect.any(String), clientId: expect.any(Number) });
    expect(doesNot.events.items).toEqual([]);
    const later = sessionOn(nats);
    expect(await later.session.useBeats(1_000)).toBe("on");
    expect(later.session.binding).toEqual(uses.session.binding);
    expect(later.events.items).toEqual([{ type: "rebound", binding: later.session.binding }]);
  });

  test("are one stream, however many elections need them, and reach only those", async () => {
    const nats = await link(server);
    const all = Array.from({ length: 20 }, () => sessionOn(nats));
    const idle = sessionOn(nats);
    await Promise.all([...all, idle].map(({ session }) => session.useBeats(1_000)));
    const tokens = await tokensOn(ALL_BEATS);
    for (const [index, { session }] of all.entries()) session.beat(20 + index);
    for (const { events } of all) await events.until((items) => items.filter(isProven).length >= 10);
    const proven = Math.max(...all.map(({ events }) => events.items.filter(isProven).length));
    // Each beat but the newest proves the one before it: the first, the one under way and one that was sent since are not proven.
    expect(tokens.items.length).toBeLessThanOrEqual(proven + 3);
    const { events } = all[0] as OpenedSession;
    const times = events.items.filter(isProven).map(({ sentAt }) => sentAt.mono);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(idle.events.items.filter(isProven)).toEqual([]);
    for (const { session } of all) session.beat(null);
    await nats.connection.flush();
    const sent = tokens.items.length;
    // A later beat of another connection arrives, and none of this one with it.
    const other = sessionOn(await link(server));
    await other.session.useBeats(1_000);
    await tokens.until((items) => items.length > sent);
    expect(tokens.items.length).toBe(sent + 1);
  });

  test("begin again with every connection; until one comes back, the account is not named", async () => {
    const nats = await link(server);
    const { session, events } = sessionOn(nats);
    await session.useBeats(1_000);
    session.beat(20);
    await events.next(isProven);
    const first = ownOf(session);
    await nats.connection.reconnect();
    const connected = await events.next((event) => event.type === "connected");
    expect(connected).toEqual({
      type: "connected",
      binding: { serverId: first.serverId, clientId: expect.any(Number) },
    });
    await events.next(isNamed);
    expect(session.binding).toEqual({ ...ownOf(session), account: GLOBAL });
    expect(ownOf(session).clientId).not.toBe(first.clientId);
    await events.next(isProven);
    expect(await subscribed(nats.connection)).toEqual([beatSubject(ownOf(session))]);
  });

  test("are not sent while the connection is down, nor later in their place", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const { session, events } = sessionOn(await link(proxy));
    const own = ownOf(session);
    const ofOld = await tokensOn(beatSubject(own));
    session.beat(20);
    await events.next(isProven);
    // The next connection begins and hears nothing from its server: what is published now would be sent on it later.
    proxy.toClient("hold");
    const { accepted } = proxy;
    proxy.cut();
    await events.next((event) => event.type === "disconnected");
    await waitFor(() => proxy.accepted > accepted);
    session.beat(5);
    const nats = await link(server);
    const witness = sessionOn(nats).session;
    const isClosed = async (): Promise<boolean> => {
      const answer = await witness.inquire(holderOf(session, 1_000, own), {
        timeoutMs: 1_000,
        closedIsEnough: false,
      });
      return answer.kind === "closed";
    };
    await waitFor(isClosed);
    const isEnd = (token: string): boolean => token === "end";
    /** The beats that have been sent to the old subject by now. */
    const beats = async (): Promise<number> => {
      const ends = ofOld.items.filter(isEnd).length;
      nats.connection.publish(beatSubject(own), "end");
      await ofOld.until((items) => items.filter(isEnd).length > ends);
      return ofOld.items.length - ends - 1;
    };
    const sent = await beats();
    proxy.toClient("pass");
    await events.next((event) => event.type === "connected");
    await events.next(isProven);
    expect(await beats()).toBe(sent);
  });

  test("of an ended connection prove nothing, even if one comes back on the next", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    const nats = await link(proxy);
    const { session, events } = sessionOn(nats);
    const isBeat = ({ verb, subject }: { verb: string; subject: string }): boolean =>
      verb === "MSG" && subject.startsWith("nats_leader.beat.");
    // The echoes of the first connection are lost on their way: its beats stay without an answer.
    proxy.filterToClient((frame) => !isBeat(frame));
    const tokens = await tokensOn(beatSubject(ownOf(session)));
    const used = session.useBeats(1_000);
    session.beat(20);
    await tokens.until((items) => items.length >= 3);
    const old = [...tokens.items];
    proxy.cut();
    await events.next((event) => event.type === "connected");
    // Those of the second are lost, too; only what is replayed arrives.
    const replayed = new Set(old);
    const arrived: string[] = [];
    proxy.filterToClient((frame) => {
      if (!isBeat(frame)) return true;
      const token = frame.text.split("\r\n")[1] ?? "";
      if (replayed.has(token)) arrived.push(token);
      return replayed.has(token);
    });
    const replayer = await link(server);
    for (const token of old) replayer.connection.publish(beatSubject(ownOf(session)), token);
    await replayer.connection.flush();
    await nats.connection.flush();
    expect(arrived).toEqual(old);
    expect(events.items.filter((event) => isProven(event) || isNamed(event))).toEqual([]);
    // The very same messages count on the connection they were sent on.
    proxy.filterToClient(null);
    await events.next(isNamed);
    await events.next(isProven);
    await used;
  });

  test("end with the last election that needs them, and leave nothing behind", async () => {
    const nats = await link(server);
    const [one, two] = [sessionOn(nats), sessionOn(nats)];
    await Promise.all([one.session.useBeats(1_000), two.session.useBeats(1_000)]);
    one.session.beat(20);
    two.session.watchHolder(holderOf(one.session));
    await one.events.next(isProven);
    const subject = beatSubject(ownOf(one.session));
    expect(await subscribed(nats.connection)).toEqual([subject, subject]);
    await one.session.release();
    expect(await subscribed(nats.connection)).toEqual([subject, subject]);
    await two.session.release();
    expect(await subscribed(nats.connection)).toEqual([]);
    const tokens = await tokensOn(ALL_BEATS);
    const other = sessionOn(await link(server));
    await other.session.useBeats(1_000);
    await tokens.until((items) => items.length > 0);
    expect(tokens.items.length).toBe(1);
  });
});

describe("a connection that cannot hear itself promises nothing, with one warning:", () => {
  const own = useNatsServer({
    config: `accounts { A { jetstream: enabled, users: [
      { user: publish, password: p, permissions { publish { deny: ["nats_leader.>"] } } }
      { user: subscribe, password: p, permissions { subscribe { deny: ["nats_leader.>"] } } }
      { user: both, password: p, permissions {
        publish { deny: ["nats_leader.>"] }, subscribe { deny: ["nats_leader.>"] } } }
      { user: connz, password: p, permissions { publish { deny: ["$SYS.>"] } } } ] } }`,
  });

  test.each([
    ["publish", 'allow this user to publish and to subscribe to "nats_leader.beat.>"'],
    ["subscribe", 'allow this user to publish and to subscribe to "nats_leader.beat.>"'],
    ["both", 'allow this user to publish and to subscribe to "nats_leader.beat.>"'],
    ["connz", `publish to "${CONNECTIONS_PING}"`],
  ])("a user who may not %s", async (user, todo) => {
    const nats = await link(own, { user, pass: "p" });
    const { session, events, warnings } = sessionOn(nats);
    expect(await session.useBeats(1_000)).toBe("denied");
    expect(warnings).toEqual([expect.stringContaining(todo)]);
    expect(warnings.join()).not.toMatch(/beat\.[A-Z0-9]/);
    session.beat(20);
    await nats.connection.reconnect();
    await events.next((event) => event.type === "connected");
    expect(await session.useBeats(1_000)).toBe("denied");
    expect(session.binding).toEqual({ serverId: expect.any(String), clientId: expect.any(Number) });
    expect(warnings).toHaveLength(1);
    // A later election on the connection receives it, too.
    const later = sessionOn(nats);
    await later.session.useBeats(1_000);
    expect(later.warnings).toEqual(warnings);
    expect(events.items.filter((event) => isProven(event) || isRebound(event))).toEqual([]);
  });

  test("the option noEcho", async () => {
    const connection = await connect({ servers: server.url, noEcho: true });
    atEnd(() => connection.close());
    const { session, events, warnings } = sessionOn({ connection, owned: false, close: async () => {} });
    expect(await session.useBeats(1_000)).toBe("denied");
    session.beat(20);
    expect(warnings).toEqual([expect.stringMatching(/noEcho.*connect without noEcho/)]);
    expect(session.binding?.account).toBeUndefined();
    expect(events.items).toEqual([]);
    expect(await subscribed(connection)).toEqual([]);
  });

  test("beats that lead elsewhere, until they come back", async () => {
    const proxy = await startProxy({ target: { port: server.port } });
    atEnd(() => proxy.close());
    proxy.filterToClient(({ subject }) => !subject.startsWith("nats_leader.beat."));
    const { session, events, warnings } = sessionOn(await link(proxy));
    expect(await session.useBeats(1_000)).toBe("off");
    await waitFor(() => warnings.length > 0, { timeoutMs: 20_000 });
    expect(warnings).toEqual([
      expect.stringContaining('publishes to "nats_leader.beat.>" does not come back'),
    ]);
    proxy.filterToClient(null);
    session.beat(20);
    await events.next(isNamed);
    expect(await session.useBeats(1_000)).toBe("on");
    expect(warnings).toHaveLength(1);
  });
});

test("a promise that cannot be kept any more is not named any more, until beats come back", async () => {
  const proxy = await startProxy({ target: { port: server.port } });
  atEnd(() => proxy.close());
  const { session, events, warnings } = sessionOn(await link(proxy));
  expect(await session.useBeats(1_000)).toBe("on");
  session.beat(20);
  await events.next(isProven);
  proxy.filterToClient(({ subject }) => !subject.startsWith("nats_leader.beat."));
  await events.next((event) => isRebound(event) && event.binding?.account === undefined);
  expect(await session.useBeats(1_000)).toBe("off");
  expect(warnings).toEqual([expect.stringContaining('publishes to "nats_leader.beat.>" does not come back')]);
  proxy.filterToClient(null);
  await events.next(isNamed);
  await events.next(isProven);
  expect(await session.useBeats(1_000)).toBe("on");
});

test("a round trip that is too long for a promise keeps that promise from being made, and no other", async () => {
  const proxy = await startProxy({ target: { port: server.port } });
  atEnd(() => proxy.close());
  proxy.delay(200);
  const nats = await link(proxy);
  const [short, long] = [sessionOn(nats), sessionOn(nats)];
  expect(await long.session.useBeats(30_000)).toBe("on");
  expect(await short.session.useBeats(500)).toBe("off");
  expect(short.session.binding?.account).toBeUndefined();
  expect(long.session.binding?.account).toBe(GLOBAL);
  expect(short.warnings).toEqual([
    expect.stringMatching(
      /a round trip to its server takes \d+ ms, and silenceMs 500 needs less than a third of that/,
    ),
  ]);
  expect(long.warnings).toEqual([]);
  proxy.delay(0);
  short.session.beat(20);
  await short.events.next(isNamed);
});

test("a user who loses the permission to send beats promises nothing, until the permission is granted again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-beats-"));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "users.conf");
  const deny = (subject: string): void =>
    writeFileSync(
      file,
      `authorization { users: [ { user: node, password: p, permissions: { publish: { deny: "${subject}" } } } ] }`,
    );
  deny("none");
  // nats-server resolves included paths relative to the including file, even absolute ones.
  const own = await startNatsServer({
    config: `include ${JSON.stringify(join("../".repeat(20), file))}`,
  });
  atEnd(() => own.dispose());
  const nats = await link(own, { user: "node", pass: "p" });
  const { session, events, warnings } = sessionOn(nats, { deniedRetryMs: 100 });
  expect(await session.useBeats(1_000)).toBe("on");
  session.beat(20);
  await events.next(isProven);
  const { pid } = own;
  if (pid === undefined) throw new Error("the server has no process of its own");
  deny("nats_leader.>");
  process.kill(pid, "SIGHUP");
  await events.next((event) => isRebound(event) && event.binding?.account === undefined);
  expect(warnings).toEqual([
    expect.stringContaining('allow this user to publish and to subscribe to "nats_leader.beat.>"'),
  ]);
  expect(await session.useBeats(1_000)).toBe("denied");
  deny("none");
  process.kill(pid, "SIGHUP");
  await events.next(isNamed);
  await events.next(isProven);
  expect(warnings).toHaveLength(1);
});

describe("the beats of a holder", () => {
  const connectionOf = ({ serverId, clientId }: ConnectionId): ConnectionId => ({ serverId, clientId });
  const isSilent = (event: SessionEvent): boolean => event.type === "holder-silent";
  const isHeard = (event: SessionEvent): boolean => event.type === "holder-heard";

  test("are missed once they end, and heard once they go on, by every election that watches", async () => {
    const holder = sessionOn(await link(server));
    await holder.session.useBeats(1_000);
    const nats = await link(server);
    const [one, two] = [sessionOn(nats), sessionOn(nats)];
    const binding = holderOf(holder.session);
    const connection = connectionOf(binding);
    holder.session.beat(20);
    one.session.watchHolder(binding);
    two.session.watchHolder(binding);
    expect(await subscribed(nats.connection)).toEqual([beatSubject(binding)]);
    await holder.events.next(isProven);
    expect(one.events.items).toEqual([]);
    holder.session.beat(null);
    for (const { events } of [one, two]) {
      await events.next(isSilent);
      expect(events.items).toEqual([{ type: "holder-silent", connection }]);
    }
    // An election that begins to watch now hears what the others heard.
    const late = sessionOn(nats);
    late.session.watchHolder(binding);
    expect(late.events.items).toEqual([{ type: "holder-silent", connection }]);
    one.session.watchHolder(null);
    holder.session.beat(20);
    for (const { events } of [two, late])
      expect(await events.next(isHeard)).toEqual({ type: "holder-heard", connection });
    expect(one.events.items.filter(isHeard)).toEqual([]);
    for (const { session } of [two, late]) session.watchHolder(null);
    expect(await subscribed(nats.connection)).toEqual([]);
  });

  test("are missed again, and reported again, by an election that has forgotten the holder in between", async () => {
    const nats = await link(server);
    const { session, events } = sessionOn(nats);
    const binding = { serverId: "NSERVER", clientId: 8, silence: { ms: 500, account: GLOBAL } };
    const silent = { type: "holder-silent", connection: { serverId: "NSERVER", clientId: 8 } };
    session.watchHolder(binding);
    expect(await events.next(isSilent)).toEqual(silent);
    // It withdraws and competes again in one turn.
    session.watchHolder(null);
    session.watchHolder(binding);
    expect(await events.next(isSilent)).toEqual(silent);
    // The same connection, with another presence.
    session.watchHolder({ ...binding, presence: "stream.presence" });
    expect(await events.next(isSilent)).toEqual(silent);
    // The same connection, with a second holder: to the first one nothing new is reported.
    const second = { ...binding, presence: "stream.presence-2" };
    session.watchHolders([{ ...binding, presence: "stream.presence" }, second]);
    expect(await events.next(isSilent)).toEqual(silent);
    const reports = events.items.length;
    session.watchHolders([second]);
    expect(await subscribed(nats.connection)).toEqual([beatSubject(binding)]);
    expect(events.items).toHaveLength(reports);
  });

  test("are not what a server can be made to send to their subject", async () => {
    const binding: SessionBinding = {
      serverId: "NSERVER",
      clientId: 7,
      silence: { ms: 500, account: GLOBAL },
    };
    const nats = await link(server);
    const { session, events } = sessionOn(nats);
    session.watchHolder(binding);
    await events.next(isSilent);
    const heard = await tokensOn(beatSubject(binding));
    const forger = (await link(server)).connection;
    forger.publish(CONNECTIONS_PING, "{}", { reply: beatSubject(binding) });
    await heard.until((items) => items.length > 0);
    for (const payload of ["", "{}", "x".repeat(65), "0123456789abcde ", "0123456789abcde\n"])
      forger.publish(beatSubject(binding), payload);
    await forger.flush();
    await nats.connection.flush();
    expect(events.items.filter(isHeard)).toEqual([]);
    forger.publish(beatSubject(binding), "0123456789abcdef");
    await events.next(isHeard);
  });

  test("are watched from the beginning after a reconnect of the follower", async () => {
    const holder = sessionOn(await link(server));
    await holder.session.useBeats(1_000);
    const nats = await link(server);
    const { session, events } = sessionOn(nats);
    session.watchHolder(holderOf(holder.session, 500));
    await events.next(isSilent);
    await nats.connection.reconnect();
    await events.next((event) => event.type === "connected");
    await events.next(isSilent);
    holder.session.beat(20);
    await events.next(isHeard);
    expect(await subscribed(nats.connection)).toEqual([beatSubject(ownOf(holder.session))]);
  });

  test("that a user may not hear count as missing, with one warning", async () => {
    const own = await startNatsServer({
      config: `accounts { A { jetstream: enabled, users: [
        { user: holder, password: p }
        { user: deaf, password: p, permissions { subscribe { deny: ["nats_leader.>"] } } } ] } }`,
    });
    atEnd(() => own.dispose());
    const holder = sessionOn(await link(own, { user: "holder", pass: "p" }));
    await holder.session.useBeats(1_000);
    holder.session.beat(20);
    const nats = await link(own, { user: "deaf", pass: "p" });
    const [one, two] = [sessionOn(nats), sessionOn(nats)];
    const binding = { ...holderOf(holder.session), silence: { ms: 500, account: tagOf("A") } };
    for (const { session } of [one, two]) session.watchHolder(binding);
    for (const { events } of [one, two]) await events.next(isSilent);
    await nats.connection.reconnect();
    await one.events.next((event) => event.type === "connected");
    await one.events.next(isSilent);
    for (const { warnings } of [one, two])
      expect(warnings).toEqual([
        expect.stringMatching(/cannot be heard.*subscribe to "nats_leader\.beat\.>"$/),
      ]);
  });
});
