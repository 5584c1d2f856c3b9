/** What nodes, members and fences publish on their channels, on real servers. */
import { channel, subscribe, tracingChannel, unsubscribe } from "node:diagnostics_channel";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { publish } from "../../src/channels/channels.ts";
import type { ChannelEvents, SuspicionEvent } from "../../src/channels/events.ts";
import { sourceOf } from "../../src/channels/source.ts";
import { resolveOptions } from "../../src/config/resolve.ts";
import { leaseSpanMs } from "../../src/election/lease.ts";
import { FencedStream } from "../../src/fencing.ts";
import { rehearsal } from "../../src/node/rehearsal.ts";
import { atEnd } from "../support/at-end.ts";
import { hear } from "../support/channels.ts";
import { connection } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { operatorOf } from "../support/node/operator.ts";
import { deletePresence, presenceIn } from "../support/node/presence.ts";
import { proxied } from "../support/node/proxy.ts";
import { CALM, QUICK, startLeader, startNode } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

/** A node that stood still may have suspected the holder before, because it is late. */
const isOfPresence = ({ cause }: SuspicionEvent): boolean => cause === "presence";

describe("a node", () => {
  test("a term begins and ends with one object; a handover, its drain, its hooks and the next leader are published", async () => {
    const clusterId = freshId();
    const heard = {
      start: hear("tracing:nats-leader:term:start", clusterId),
      end: hear("tracing:nats-leader:term:end", clusterId),
      drain: hear("nats-leader:drain", clusterId),
      handover: hear("nats-leader:handover", clusterId),
      hook: hear("nats-leader:hook", clusterId),
      leader: hear("nats-leader:leader", clusterId),
    };
    const a = await startLeader(server, { ...CALM, clusterId, nodeId: "a" });
    const b = await startNode(server, { ...CALM, clusterId, nodeId: "b" });
    await b.sees(a);
    const begun = await heard.start.next();
    expect(begun).toMatchObject({ source: { kind: "node", clusterId, nodeId: "a" }, epoch: 1 });
    expect(begun.source).toBe(sourceOf(a.node));
    expect([begun.incarnation, begun.acquiredAt]).toEqual([
      a.node.term?.incarnation,
      a.node.term?.acquiredAt,
    ]);
    expect([begun.reason, begun.durationMs]).toEqual([undefined, undefined]);

    await expect(a.node.stepDown({ to: "missing" })).rejects.toThrow();
    expect(await heard.handover.next()).toMatchObject({ to: "missing", outcome: "refused" });
    expect([heard.end.items, heard.drain.items]).toEqual([[], []]);

    await a.node.stepDown({ to: "b" });
    const ended = await heard.end.next();
    expect(ended).toBe(begun);
    expect(ended.reason).toBe("released");
    expect(ended.durationMs).toBeGreaterThan(0);
    const drain = await heard.drain.next();
    expect(drain).toMatchObject({ epoch: 1, resource: null, reason: "released", outcome: "complete" });
    const handover = await heard.handover.next();
    expect(handover).toMatchObject({ to: "b", outcome: "completed" });
    expect(handover.durationMs).toBeGreaterThanOrEqual(drain.durationMs);
    expect((await heard.start.next()).source).toBe(sourceOf(b.node));
    const seen = await heard.leader.next(
      ({ source, leader }) => source.nodeId === "b" && leader?.epoch === 2,
    );
    expect(seen.vacancyMs).toBeGreaterThanOrEqual(0);
    const lost = await heard.hook.next(({ hook }) => hook === "onLoseLeadership");
    expect(lost).toMatchObject({ source: { nodeId: "a" }, epoch: 1, resource: null, failed: false });
  });

  test("a hook that throws has failed, and the term ends by it", async () => {
    const clusterId = freshId();
    const hooks = hear("nats-leader:hook", clusterId);
    const ends = hear("tracing:nats-leader:term:end", clusterId);
    const a = await startNode(
      server,
      { clusterId, nodeId: "a" },
      {
        onBecomeLeader: () => Promise.reject(new Error("no")),
      },
    );
    const failed = await hooks.next(({ hook }) => hook === "onBecomeLeader");
    expect(failed).toMatchObject({ epoch: 1, failed: true });
    expect(await ends.next()).toMatchObject({ epoch: 1, reason: "hook-failed" });
    await a.node.stop();
  });

  test("each renewal has its result, its duration and the margin that was left; beats have their round trip", async () => {
    const clusterId = freshId();
    const renewals = hear("nats-leader:renewal", clusterId);
    const beats = hear("nats-leader:beat", clusterId);
    const a = await startLeader(server, { ...CALM, silenceMs: 1_500, clusterId, nodeId: "a" });
    const spanMs = leaseSpanMs(CALM.leaseTtlMs);
    for (let i = 0; i < 3; i++) {
      const { result, durationMs, marginMs } = await renewals.next();
      expect(result).toBe("applied");
      expect(durationMs).toBeGreaterThan(0);
      expect(marginMs).toBeGreaterThan(0);
      // The deadline counts from a send that was at least one interval before.
      expect(marginMs).toBeLessThan(spanMs - durationMs);
    }
    const { roundTripMs } = await beats.next();
    expect(roundTripMs).toBeGreaterThan(0);
    const facts = sourceOf(a.node)?.read();
    expect(facts).toMatchObject({ running: true, isLeader: true, hasLeader: true, epoch: 1, suspensions: 0 });
    expect(facts?.leastMarginMs).toBeLessThanOrEqual(
      Math.min(...renewals.items.map(({ marginMs }) => marginMs)),
    );
    expect(facts?.beatRoundTripMs).toBeGreaterThan(0);
    expect(facts?.server).toMatch(/\S/);
  });

  test("a renewal without an answer is unknown, and the margin of the next one is smaller", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const renewals = hear("nats-leader:renewal", clusterId);
    const a = await startLeader(proxy, {
      leaseTtlMs: 4_000,
      heartbeatIntervalMs: 1_000,
      requestTimeoutMs: 300,
      crashDetection: "lease",
      clusterId,
      nodeId: "a",
    });
    await renewals.next(({ result }) => result === "applied");
    proxy.toClient("hold");
    expect((await renewals.next(({ result }) => result === "unknown")).durationMs).toBeGreaterThan(200);
    proxy.toClient("pass");
    const after = await renewals.next(({ result }) => result !== "unknown");
    // The read after it may have shown that the lost one was applied.
    expect([after.result, after.marginMs > 0]).toEqual(["applied", true]);
    await a.until(() => a.node.isLeader());
  });

  test("a suspension begins with its cause and ends held", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const suspended = hear("nats-leader:suspended", clusterId);
    const resumed = hear("nats-leader:resumed", clusterId);
    const a = await startLeader(proxy, { ...LONG, clusterId, nodeId: "a" });
    proxy.cut();
    expect(await suspended.next()).toMatchObject({ cause: "connection" });
    const end = await resumed.next();
    expect(end.held).toBe(true);
    const facts = sourceOf(a.node)?.read();
    expect(facts).toMatchObject({ suspensions: 1, suspendedMs: end.durationMs });
  });

  test("a suspension whose term ends is not held again", async () => {
    const clusterId = freshId();
    const proxy = await proxied(server);
    const resumed = hear("nats-leader:resumed", clusterId);
    const ends = hear("tracing:nats-leader:term:end", clusterId);
    await startLeader(proxy, { ...QUICK, clusterId, nodeId: "a" });
    proxy.refuse(true);
    proxy.cut();
    expect(await ends.next()).toMatchObject({ epoch: 1, reason: "expired" });
    expect(await resumed.next()).toMatchObject({ held: false });
  });

  test("a killed leader: the suspicion ends closed, and the vacancy counts from its begin", async () => {
    const clusterId = freshId();
    const suspicions = hear("nats-leader:suspicion", clusterId);
    const leaders = hear("nats-leader:leader", clusterId);
    const dead = await startChildNode(server, { ...LONG, clusterId, nodeId: "dead" });
    await dead.next("become");
    const b = await startNode(server, { ...LONG, clusterId, nodeId: "b" });
    await b.until(() => b.node.epoch === 1);
    dead.child.kill("SIGKILL");
    const suspicion = await suspicions.next(isOfPresence);
    expect(suspicion).toMatchObject({ of: "dead", outcome: "closed" });
    const { vacancyMs } = await leaders.next(({ leader }) => leader?.nodeId === "b");
    expect(vacancyMs).toBeGreaterThanOrEqual(suspicion.durationMs);
    expect(sourceOf(b.node)?.read().suspicions).toMatchObject({ closed: 1 });
  });

  test("a leader whose presence was deleted lives: the suspicion ends alive", async () => {
    const clusterId = freshId();
    const suspicions = hear("nats-leader:suspicion", clusterId);
    const a = await startLeader(server, { ...LONG, clusterId, nodeId: "a" });
    const b = await startNode(server, { ...LONG, clusterId, nodeId: "b" });
    await b.sees(a);
    const operator = await operatorOf(server, clusterId);
    await deletePresence(operator, await presenceIn(operator));
    expect(await suspicions.next(isOfPresence)).toMatchObject({ of: "a", outcome: "alive" });
    expect(b.count("become-leader")).toBe(0);
  });

  test("a frozen leader: the suspicion ends silent", async () => {
    const clusterId = freshId();
    const options = { ...LONG, silenceMs: 500, clusterId };
    const suspicions = hear("nats-leader:suspicion", clusterId);
    const frozen = await startChildNode(server, { ...options, nodeId: "frozen" });
    await frozen.next("become");
    const b = await startNode(server, { ...options, nodeId: "b" });
    await b.until(() => b.node.epoch === 1);
    frozen.child.kill("SIGSTOP");
    const { durationMs } = await suspicions.next(({ outcome }) => outcome === "silent");
    expect(durationMs).toBeGreaterThan(500);
    expect((await b.becomes()).epoch).toBe(2);
    expect(suspicions.items.at(-1)).toMatchObject({ of: "frozen", cause: "silence" });
  });
});

test("a member: claims, a move to another member, drains and hooks", async () => {
  const group = new RealGroup(server.url, { resources: 4 });
  const of = group.groupId;
  const moves = hear("nats-leader:move", of);
  const drains = hear("nats-leader:drain", of);
  const starts = hear("tracing:nats-leader:term:start", of);
  const ends = hear("tracing:nats-leader:term:end", of);
  const hooks = hear("nats-leader:hook", of);
  const a = await group.start("a", {}, { onOwn: () => {} });
  await moves.events.until((items) => items.filter(({ kind }) => kind === "claim").length === 4);
  expect(sourceOf(a)?.read()).toMatchObject({ owned: 4, unowned: 0, running: true });
  expect(starts.items.map(({ resource }) => resource).sort()).toEqual(["0", "1", "2", "3"]);
  const b = await group.start("b");
  await moves.events.until((items) => items.filter(({ kind }) => kind === "claim").length === 6);
  const released = moves.items.filter(({ kind }) => kind === "release");
  expect(released.map(({ reason, source }) => [reason, source])).toEqual([
    ["moved", sourceOf(a)],
    ["moved", sourceOf(a)],
  ]);
  await drains.events.until((items) => items.length === 2);
  for (const drain of drains.items)
    expect(drain).toMatchObject({ reason: "moved", outcome: "complete", source: { memberId: "a" } });
  for (const end of ends.items) expect(starts.items).toContain(end);
  await hooks.events.until((items) => items.filter(({ hook }) => hook === "onOwn").length === 4);
  expect(hooks.items.every(({ source, failed }) => source === sourceOf(a) && !failed)).toBe(true);
  await b.stop();
  await drains.events.until((items) => items.length === 4);
  expect(drains.items.slice(2).map(({ reason }) => reason)).toEqual(["stopped", "stopped"]);
  expect(sourceOf(b)?.read()).toMatchObject({ running: false, owned: 0 });
});

test("a member that is cut off: the other suspects it and takes its resources; it is suspended until its session ends", async () => {
  const proxy = await proxied(server);
  const group = new RealGroup(server.url, { resources: 2, ...LONG });
  const of = group.groupId;
  const suspicions = hear("nats-leader:suspicion", of);
  const moves = hear("nats-leader:move", of);
  const suspended = hear("nats-leader:suspended", of);
  const resumed = hear("nats-leader:resumed", of);
  // Without work: it would go on while it is suspended.
  const a = group.make("a", { servers: proxy.url });
  await a.start();
  await moves.events.until((items) => items.filter(({ kind }) => kind === "claim").length === 2);
  const b = group.make("b");
  await b.start();
  await moves.events.until((items) => items.filter(({ kind }) => kind === "claim").length === 3);
  proxy.refuse(true);
  proxy.cut();
  expect(await suspended.next()).toMatchObject({ source: sourceOf(a), cause: "connection" });
  // Others may have come before: of a member that is late, by one that stood still.
  const suspicion = await suspicions.next(({ outcome }) => outcome === "closed");
  expect(suspicion).toMatchObject({ source: sourceOf(b), of: "a", cause: "presence" });
  await moves.events.until((items) => items.filter(({ kind }) => kind === "claim").length === 4);
  expect(sourceOf(b)?.read()).toMatchObject({ owned: 2, suspicions: { closed: 1 } });
  proxy.refuse(false);
  expect(await resumed.next()).toMatchObject({ source: sourceOf(a), held: false });
  // Each resource that it has claimed is lost or given up once, whatever it learns first.
  const releasedByA = (items: readonly ChannelEvents["nats-leader:move"][]): number =>
    items.filter(({ kind, source }) => kind === "release" && source === sourceOf(a)).length;
  await moves.events.until((items) => releasedByA(items) === 2);
});

test("fenced writes: admitted, refused by the fence, and refused by the writer from then on", async () => {
  const clusterId = freshId();
  const writes = hear("nats-leader:fenced-write", clusterId);
  const stream = freshId("LEDGER");
  const store = await FencedStream.connect(await connection(server), { stream, subjects: [`${stream}.>`] });
  atEnd(() => store.close());
  const term = (epoch: number) => ({ clusterId, epoch, nodeId: `n${epoch}`, incarnation: `i${epoch}` });
  const old = await store.open(term(1));
  await old.publish(`${stream}.x`, "1");
  expect(await writes.next()).toEqual({ term: term(1), store: "stream", result: "admitted" });
  await store.open(term(2));
  await expect(old.publish(`${stream}.x`, "2")).rejects.toMatchObject({ code: "STALE_EPOCH" });
  expect(await writes.next()).toEqual({ term: term(1), store: "stream", result: "refused" });
  await expect(old.publish(`${stream}.x`, "3")).rejects.toMatchObject({ code: "STALE_EPOCH" });
  expect(await writes.next()).toMatchObject({ result: "refused" });
});

describe("the channels", () => {
  test("without a subscriber no payload is made", () => {
    expect(channel("nats-leader:drain").hasSubscribers).toBe(false);
    publish("nats-leader:drain", () => {
      throw new Error("a payload was made");
    });
    let made = 0;
    const payload = (): ChannelEvents["nats-leader:drain"] => {
      made += 1;
      return {} as ChannelEvents["nats-leader:drain"];
    };
    const listener = (): void => {};
    subscribe("nats-leader:drain", listener);
    subscribe("nats-leader:drain", listener);
    publish("nats-leader:drain", payload);
    expect(made).toBe(1);
    unsubscribe("nats-leader:drain", listener);
    unsubscribe("nats-leader:drain", listener);
  });

  test("a tracing channel of Node gets the terms", async () => {
    const clusterId = freshId();
    const order: string[] = [];
    const ofTerm = (kind: string) => (message: unknown) => {
      const { source, epoch } = message as ChannelEvents["tracing:nats-leader:term:start"];
      if (source.kind === "node" && source.clusterId === clusterId) order.push(`${kind} ${epoch}`);
    };
    const unused = (): void => void order.push("unused");
    const handlers = {
      start: ofTerm("start"),
      end: ofTerm("end"),
      asyncStart: unused,
      asyncEnd: unused,
      error: unused,
    };
    const traced = tracingChannel("nats-leader:term");
    traced.subscribe(handlers);
    atEnd(() => traced.unsubscribe(handlers));
    const a = await startLeader(server, { clusterId, nodeId: "a" });
    await a.node.stop();
    expect(order).toEqual(["start 1", "end 1"]);
  });

  test("subscribers that throw do not end the term", async () => {
    await using child = spawnChild("test/support/node/children/throwing-subscriber.ts", {
      args: [server.url],
    });
    const report = await child.next(() => true);
    expect(report).toMatchObject({ held: true, epoch: 1, leaseDeleted: true });
    expect(report["thrown"]).toBeGreaterThan(3);
    expect(await child.exit).toEqual({ code: 0, signal: null });
  });

  test("a rehearsal publishes nothing", async () => {
    const published: string[] = [];
    const names = ["leader", "renewal", "hook", "drain"].map((name) => `nats-leader:${name}`);
    const listener = (_: unknown, name: string | symbol): void => void published.push(String(name));
    for (const name of [...names, "tracing:nats-leader:term:start"]) {
      subscribe(name, listener);
      atEnd(() => void unsubscribe(name, listener));
    }
    expect(
      await rehearsal(resolveOptions({ clusterId: "c", nodeId: "a", servers: "nats://127.0.0.1:1" })),
    ).toBe(true);
    expect(published).toEqual([]);
  });
});

test("the code of docs/telemetry.md", async () => {
  const warnings: unknown[][] = [];
  const console = { warn: (...values: unknown[]) => void warnings.push(values) };

  const subscribed = (message: unknown): void => {
    const { source, marginMs } = message as ChannelEvents["nats-leader:renewal"];
    if (marginMs < 1_000) console.warn("the lease was nearly lost", source, marginMs);
  };
  subscribe("nats-leader:renewal", subscribed);
  atEnd(() => void unsubscribe("nats-leader:renewal", subscribed));

  const a = await startLeader(server, { ...QUICK, clusterId: freshId(), nodeId: "a" });
  await waitFor(() => warnings.length > 0);
  expect(warnings[0]?.slice(0, 2)).toEqual(["the lease was nearly lost", sourceOf(a.node)]);
});
