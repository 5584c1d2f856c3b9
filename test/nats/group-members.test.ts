/** Members of a group on real servers: the core, its driver and the store together. */
import { describe, expect, test } from "vitest";
import type { GroupConfig } from "../../src/group/core/events.ts";
import { FIRST_SEQUENCE_SINCE, isAtLeast } from "../../src/nats/api/server-version.ts";
import { decodeEntry } from "../../src/nats/group/group-codec.ts";
import { decodeKey } from "../../src/nats/group/group-keys.ts";
import { groupRepublishSubject, groupStreamName } from "../../src/nats/names.ts";
import type { NatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import type { ChildMemberOptions } from "../support/nats/children/group-member.ts";
import { type MemberOptions, type NatsMember, startMember } from "../support/nats/group-member.ts";
import {
  claimOf,
  entriesOf,
  groupStoreOn,
  inFlight,
  type OpenGroupStore,
  revisionsIn,
  watchingGroup,
} from "../support/nats/group-store.ts";
import { api, applied, link, noAbort } from "../support/nats/store-and-session.ts";
import { oldest } from "../support/node/presence.ts";
import { PATIENCE_MS, START_MS } from "../support/patience.ts";
import { type Child, spawnChild } from "../support/processes/spawn-child.ts";
import { Recorder } from "../support/recorder.ts";
import { useNatsCluster, useNatsServer } from "../support/use-server.ts";

const POLL = { timeout: PATIENCE_MS, interval: 10 };

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `r${index}`);
}

/** A member that is stopped at the end of the test. */
async function member(
  { url }: Pick<NatsServer, "url">,
  options: Omit<MemberOptions, "config">,
  config: Partial<GroupConfig> = {},
): Promise<NatsMember> {
  const made = await startMember([url], { ...options, config });
  atEnd(() => made.stop());
  return made;
}

type ChildLine = {
  readonly type: string;
  readonly resource?: string;
  readonly epoch?: number;
  readonly held?: number;
};

function childMember(options: ChildMemberOptions): Child<ChildLine> {
  const child = spawnChild<ChildLine>("test/support/nats/children/group-member.ts", {
    args: [JSON.stringify(options)],
  });
  atEnd(() => child[Symbol.asyncDispose]());
  return child;
}

/** Each resource is held by exactly one of the members. */
async function allHeld(members: readonly NatsMember[], resources: readonly string[]): Promise<void> {
  await expect
    .poll(
      () => resources.filter((one) => members.filter(({ driver }) => driver.isHeld(one)).length === 1).length,
      POLL,
    )
    .toBe(resources.length);
}

function loads(members: readonly NatsMember[]): number[] {
  return members.map((one) => one.held()).sort((a, b) => a - b);
}

/** The records that the bucket republishes, in order: `<kind> <resource or member> by <member>`. */
async function recordsOf({ url }: Pick<NatsServer, "url">, groupId: string): Promise<Recorder<string>> {
  const { connection } = await link({ url });
  const records = new Recorder<string>();
  const prefix = groupRepublishSubject(groupId, "");
  connection.subscribe(groupRepublishSubject(groupId, ">"), {
    callback: (_, message) => {
      const key = decodeKey(message.subject.slice(prefix.length));
      if (key === null) return;
      const revision = Number(message.headers?.get("Nats-Sequence"));
      const { data } = message;
      const entry = decodeEntry(key, { revision, data, header: (name) => message.headers?.get(name) ?? "" });
      const what = key.kind === "session" ? key.memberId : key.kind === "owner" ? key.resource : key.kind;
      if (entry.kind === "record") records.push(`${entry.record.kind} ${what} by ${entry.record.memberId}`);
    },
  });
  await connection.flush();
  return records;
}

describe("on one server", () => {
  const server = useNatsServer();

  test("three members share the resources evenly, and the rest takes over what a leaving one gives up", async () => {
    const groupId = freshId();
    const resources = names(30);
    const records = await recordsOf(server, groupId);
    const a = await member(server, { groupId, memberId: "a", resources });
    await allHeld([a], resources);
    const b = await member(server, { groupId, memberId: "b", resources });
    const c = await member(server, { groupId, memberId: "c", resources });
    await expect.poll(() => loads([a, b, c]), POLL).toEqual([10, 10, 10]);
    await allHeld([a, b, c], resources);
    const before = new Map([...a.owned, ...b.owned, ...c.owned]);
    const ofA = [...a.owned.keys()];
    await a.stop();
    expect(a.held()).toBe(0);
    await allHeld([b, c], resources);
    expect(loads([b, c])).toEqual([15, 15]);
    for (const resource of ofA) {
      const epoch = b.owned.get(resource) ?? c.owned.get(resource) ?? 0;
      expect(epoch).toBeGreaterThan(before.get(resource) ?? 0);
    }
    const items = records.items;
    const leftAt = items.indexOf("session-end a by a");
    for (const resource of ofA) {
      // Free by its own marker, or by the end of the session of its owner.
      const freeAt = items.indexOf(`release ${resource} by a`);
      const takenAt = Math.max(
        items.lastIndexOf(`claim ${resource} by b`),
        items.lastIndexOf(`claim ${resource} by c`),
      );
      expect(takenAt).toBeGreaterThan(freeAt < 0 ? leftAt : freeAt);
    }
    expect([a, b, c].flatMap(({ warnings }) => warnings)).toEqual([]);
  });

  test("a killed process is fenced once its connection is confirmed closed, and then replaced", async () => {
    const groupId = freshId();
    const resources = names(39);
    const a = await member(server, { groupId, memberId: "a", resources });
    const b = await member(server, { groupId, memberId: "b", resources });
    const child = childMember({ servers: [server.url], groupId, memberId: "dying", resources });
    for (let owned = 0; owned < 13; owned++) await child.next(({ type }) => type === "own", START_MS);
    await expect.poll(() => [a.held(), b.held()].sort(), { ...POLL, timeout: START_MS }).toEqual([13, 13]);
    const epochs = new Map(
      child.lines.flatMap(({ type, resource, epoch }) =>
        type === "own" && resource !== undefined && epoch !== undefined ? [[resource, epoch] as const] : [],
      ),
    );
    const records = await recordsOf(server, groupId);
    child.kill("SIGKILL");
    await allHeld([a, b], resources);
    expect(loads([a, b])).toEqual([19, 20]);
    const first = records.items.findIndex((record) => /^claim r/.test(record));
    const fences = records.items.filter((record) => record.startsWith("session-end dying by "));
    expect(fences).toHaveLength(1);
    expect(records.items.indexOf(fences[0] ?? "")).toBeLessThan(first);
    for (const [resource, epoch] of epochs)
      expect(a.owned.get(resource) ?? b.owned.get(resource)).toBeGreaterThan(epoch);
    expect([...a.warnings, ...b.warnings]).toEqual([]);
  });

  test("a process that stands still is not held once its silence is confirmed, and is replaced", async () => {
    const groupId = freshId();
    const resources = names(10);
    const config = { silenceMs: 1_000 };
    const child = childMember({ servers: [server.url], groupId, memberId: "frozen", resources, config });
    for (let owned = 0; owned < resources.length; owned++)
      await child.next(({ type }) => type === "own", START_MS);
    const a = await member(server, { groupId, memberId: "a", resources }, { ...config, settleMs: 60_000 });
    child.kill("SIGSTOP");
    await allHeld([a], resources);
    child.kill("SIGCONT");
    child.send({});
    expect(await child.next(({ type }) => type === "held")).toMatchObject({ held: 0 });
    await expect.poll(() => child.lines.some(({ type }) => type === "session-ended"), POLL).toBe(true);
    expect(a.held()).toBe(10);
  });

  test("a bucket that is deleted ends all terms, and they begin again above every epoch before", async () => {
    const groupId = freshId();
    const resources = names(12);
    const [a, b] = [
      await member(
        server,
        { groupId, memberId: "a", resources },
        { leaseTtlMs: 2_000, heartbeatIntervalMs: 500 },
      ),
      await member(
        server,
        { groupId, memberId: "b", resources },
        { leaseTtlMs: 2_000, heartbeatIntervalMs: 500 },
      ),
    ];
    await expect.poll(() => loads([a, b]), POLL).toEqual([6, 6]);
    const before = Math.max(...a.owned.values(), ...b.owned.values());
    const admin = await link(server);
    await api(admin, `STREAM.DELETE.${groupStreamName(groupId)}`);
    await expect.poll(() => Math.min(...a.owned.values(), ...b.owned.values()) > before, POLL).toBe(true);
    await allHeld([a, b], resources);
    expect([...a.warnings, ...b.warnings].join("\n")).toMatch(/BUCKET_(MISSING|RECREATED)/);
    const { state } = (await api(admin, `STREAM.INFO.${groupStreamName(groupId)}`)) as {
      state: { first_seq: number };
    };
    const can = isAtLeast(admin.connection.info?.version ?? "", FIRST_SEQUENCE_SINCE);
    expect(state.first_seq > before).toBe(can);
  });

  test("a member that has stopped holds nothing, and the next one with its id gets larger epochs", async () => {
    const groupId = freshId();
    const resources = names(8);
    const own = await member(server, { groupId, memberId: "a", resources });
    await allHeld([own], resources);
    const epochs = new Map(own.owned);
    const { driver } = own;
    expect(driver.remainingMs()).toBeGreaterThan(0);
    expect(driver.leaseRemainingMs()).toBeGreaterThan(0);
    await driver.freshened(PATIENCE_MS, undefined);
    expect(own.held()).toBe(8);
    await own.stop();
    expect([driver.remainingMs(), driver.leaseRemainingMs(), own.held()]).toEqual([0, 0, 0]);
    const next = await member(server, { groupId, memberId: "a", resources });
    await allHeld([next], resources);
    for (const [resource, epoch] of epochs) expect(next.owned.get(resource)).toBeGreaterThan(epoch);
  });
});

describe.skipIf(oldest)("on three servers, with three replicas", () => {
  const cluster = useNatsCluster();

  test("every member receives every sequence once and in order, whichever writes are refused", async () => {
    const groupId = freshId();
    const resources = names(60);
    const stores = await Promise.all(cluster.servers.map((server) => groupStoreOn(server, groupId)));
    const { generation, replicas } = await (stores[0] as OpenGroupStore).store.open(noAbort(), 0);
    expect(replicas).toBe(3);
    const watches = await Promise.all(
      stores.map(async ({ store, monitor }) => {
        await store.open(noAbort(), 0);
        const seen = watchingGroup(store);
        await monitor.connection.flush();
        return seen;
      }),
    );
    // Once every server has passed a message of every other one, all of them know of all subscriptions.
    const [first] = stores as [OpenGroupStore];
    let warmUps = 0;
    while (watches.some((seen) => seen.items.length === 0)) {
      applied(await first.store.write(claimOf(`warm-up ${warmUps}`, 0, { generation }), 5_000));
      warmUps += 1;
    }
    const before = warmUps;
    const outcomes = await Promise.all(
      stores.map(({ store }) =>
        inFlight(resources, 16, (resource) => store.write(claimOf(resource, 0, { generation }), 10_000)),
      ),
    );
    const all = outcomes.flat().map(({ kind }) => kind);
    expect(all.filter((kind) => kind === "applied")).toHaveLength(resources.length);
    const sequences = Array.from({ length: resources.length }, (_, index) => before + 1 + index);
    for (const seen of watches) {
      await seen.until(() => revisionsIn(seen).includes(before + resources.length));
      expect(revisionsIn(seen).filter((revision) => revision > before)).toEqual(sequences);
    }
    const bulk = entriesOf(await first.store.readAfter(before, 10_000));
    expect([bulk.upTo, bulk.entries.length]).toEqual([before + resources.length, resources.length]);
  });

  test("each resource is held again by one member after the server that leads the stream was killed", async () => {
    const groupId = freshId();
    const resources = names(12);
    const servers = cluster.servers.map(({ url }) => url);
    const members = await Promise.all(
      ["a", "b", "c"].map((memberId) =>
        startMember(servers, { groupId, memberId, resources, config: { requestTimeoutMs: 1_000 } }),
      ),
    );
    atEnd(() => Promise.all(members.map((one) => one.stop())));
    await expect.poll(() => loads(members), { ...POLL, timeout: START_MS }).toEqual([4, 4, 4]);
    const admin = await link(servers);
    const { cluster: raft, config } = (await api(admin, `STREAM.INFO.${groupStreamName(groupId)}`)) as {
      cluster: { leader: string };
      config: { num_replicas: number };
    };
    expect(config.num_replicas).toBe(3);
    const leader = cluster.servers.find(({ name }) => name === raft.leader);
    await leader?.kill();
    await expect
      .poll(() => loads(members).reduce((sum, load) => sum + load, 0), { ...POLL, timeout: START_MS })
      .toBe(12);
    for (const resource of resources)
      expect(members.filter(({ driver }) => driver.isHeld(resource))).toHaveLength(1);
    await leader?.start();
  });
});
