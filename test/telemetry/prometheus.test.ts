/** What `/metrics` says is compared with what happened to real nodes and members. */
import { spawnSync } from "node:child_process";
import { isDeepStrictEqual } from "node:util";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { leaseSpanMs } from "../../src/election/lease.ts";
import { FencedStream } from "../../src/fencing.ts";
import { Node } from "../../src/index.ts";
import { prometheusMetrics } from "../../src/prometheus.ts";
import { INSTRUMENTS, instruments, PREFIX } from "../../src/telemetry/instruments.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { type Sample, samplesIn, sampleValue } from "../support/exposition.ts";
import { connection } from "../support/fencing/terms-and-servers.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { get, openDoor } from "../support/http/door.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { proxied } from "../support/node/proxy.ts";
import { CALM, makeNode, QUICK, startLeader } from "../support/node/test-node.ts";
import { LONG, PATIENCE_MS } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Scrape {
  readonly samples: readonly Sample[];
  of(name: string, labels?: Readonly<Record<string, string>>): number;
}

async function scrape(...owners: readonly object[]): Promise<() => Promise<Scrape>> {
  const metrics = prometheusMetrics();
  for (const owner of owners) atEnd(metrics.observe(owner));
  return async () => {
    const samples = samplesIn((await metrics.text()).body);
    return { samples, of: (name, labels) => sampleValue(samples, `${PREFIX}${name}`, labels) };
  };
}

test("before its start a node has every series, with 0", async () => {
  const node = new Node({ clusterId: "c", nodeId: "a", servers: "nats://127.0.0.1:1", logger: false });
  const { samples } = await (await scrape(node))();
  for (const { value } of samples) expect(value).toBe(0);
  for (const [name, { kind, of, label }] of instruments) {
    const ours = samples.filter((sample) => sample.name.startsWith(`${PREFIX}${name}`));
    if (!of.includes("node")) expect(ours).toEqual([]);
    else if (name === "lease_margin_seconds") expect(ours).toEqual([]);
    else if (label !== undefined)
      expect([...new Set(ours.map(({ labels }) => labels[label.name]))]).toEqual(label.values.node);
    else if (kind !== "histogram") expect(ours).toHaveLength(1);
    for (const { labels } of ours) expect(labels).toMatchObject({ cluster: "c", node: "a" });
  }
});

test("both formats are valid, also when they are asked for in turn", async () => {
  const a = await startLeader(server, { ...CALM, clusterId: freshId(), nodeId: "a" });
  const metrics = prometheusMetrics(a.node);
  atEnd(() => metrics.close());
  const plain = await metrics.text("*/*");
  const open = await metrics.text("application/openmetrics-text;version=1.0.0;q=0.5,text/plain");
  expect(plain.contentType).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(open.contentType).toMatch(/^application\/openmetrics-text; version=1\.0\.0/);
  expect(open.body.endsWith("# EOF\n")).toBe(true);
  expect(open.body).toContain("# TYPE nats_leader_terms counter");
  const again = await metrics.text();
  const names = (body: string): string[] => samplesIn(body).map(({ name }) => name);
  expect(names(again.body)).toEqual(names(plain.body));
  expect(names(open.body)).toEqual(names(plain.body));
  const { status, stderr, stdout } = spawnSync("promtool", ["check", "metrics"], { input: plain.body });
  // It advises names, such as a suffix for a unit; an invalid document has another status.
  expect([status, String(stdout), String(stderr)]).toEqual([0, "", ""]);
});

test("a term, its renewals, its margin and its end by a step-down with a successor", async () => {
  const clusterId = freshId();
  const a = makeNode(server, { ...QUICK, clusterId, nodeId: "a" });
  const b = makeNode(server, { ...QUICK, clusterId, nodeId: "b" });
  const read = await scrape(a.node, b.node);
  await a.start();
  await a.leads();
  await b.start();
  await b.sees(a);
  const of = { cluster: clusterId };
  const inA = { ...of, node: "a" };
  const inB = { ...of, node: "b" };
  const renewed = (name: string) => async () =>
    (await read()).of("renewals_total", { ...of, node: name, result: "applied" }) >= 2;
  await waitFor(renewed("a"));
  const during = await read();
  expect([during.of("is_leader", inA), during.of("is_leader", inB)]).toEqual([1, 0]);
  expect([during.of("has_leader", inA), during.of("has_leader", inB)]).toEqual([1, 1]);
  expect([during.of("epoch", inA), during.of("epoch", inB)]).toEqual([1, 1]);
  expect([during.of("presence", inA), during.of("presence", inB)]).toEqual([1, 1]);
  const margin = during.of("lease_margin_seconds", inA);
  expect(margin).toBeGreaterThan(0);
  expect(margin).toBeLessThan(leaseSpanMs(QUICK.leaseTtlMs) / 1_000);
  expect(() => during.of("lease_margin_seconds", inB)).toThrow("0 samples");
  expect(during.of("renewal_duration_seconds_count", inA)).toBe(
    during.of("renewals_total", { ...inA, result: "applied" }),
  );
  expect(during.of("renewal_duration_seconds_sum", inA)).toBeGreaterThan(0);
  expect(during.of("leader_changes_total", inB)).toBe(0);

  await a.node.stepDown({ to: "b" });
  await b.leads();
  await a.until(() => a.node.epoch === 2);
  const after = await read();
  expect([after.of("is_leader", inA), after.of("is_leader", inB)]).toEqual([0, 1]);
  expect(after.of("terms_total", { ...inA, reason: "released" })).toBe(1);
  expect(after.of("term_duration_seconds_count", inA)).toBe(1);
  expect(after.of("term_duration_seconds_sum", inA)).toBeGreaterThan(0);
  expect(after.of("drain_duration_seconds_count", inA)).toBe(1);
  expect(after.of("drain_timeouts_total", inA)).toBe(0);
  expect([after.of("leader_changes_total", inA), after.of("leader_changes_total", inB)]).toEqual([1, 1]);
  expect([after.of("epoch", inA), after.of("epoch", inB)]).toEqual([2, 2]);
  expect(after.of("vacancy_seconds_count", inB)).toBe(1);
  expect(after.of("hook_duration_seconds_count", { ...inA, hook: "onLoseLeadership" })).toBe(1);
  // What is never to happen twice for one end.
  const ends = after.samples.filter(
    ({ name, labels }) => name === `${PREFIX}terms_total` && labels["node"] === "a",
  );
  expect(ends.reduce((sum, { value }) => sum + value, 0)).toBe(1);
});

test("is_leader is 0 from the deadline on, although no code of the node has run since", async () => {
  const clusterId = freshId();
  const a = await startLeader(server, { ...QUICK, crashDetection: "lease", clusterId, nodeId: "a" });
  const read = await scrape(a.node);
  expect((await read()).of("is_leader")).toBe(1);
  const until = performance.now() + leaseSpanMs(QUICK.leaseTtlMs);
  while (performance.now() < until);
  const late = await read();
  expect(late.of("is_leader")).toBe(0);
  expect(late.of("lease_margin_seconds")).toBe(0);
});

test("a suspension is counted, and its time goes on while it lasts", async () => {
  const clusterId = freshId();
  const proxy = await proxied(server);
  const a = await startLeader(proxy, { ...LONG, clusterId, nodeId: "a" });
  const read = await scrape(a.node);
  proxy.refuse(true);
  proxy.cut();
  await a.next("suspended");
  const first = (await read()).of("suspended_seconds_total");
  await waitFor(async () => (await read()).of("suspended_seconds_total") > first);
  const during = await read();
  expect([during.of("suspensions_total"), during.of("is_leader"), during.of("presence")]).toEqual([1, 0, 0]);
  proxy.refuse(false);
  await a.next("resumed");
  const after = (await read()).of("suspended_seconds_total");
  expect(after).toBeGreaterThanOrEqual(during.of("suspended_seconds_total"));
  expect((await read()).of("suspended_seconds_total")).toBe(after);
});

test("a killed leader: the suspicion, the vacancy and the next term", async () => {
  const clusterId = freshId();
  const dead = await startChildNode(server, { ...LONG, clusterId, nodeId: "dead" });
  await dead.next("become");
  const b = makeNode(server, { ...LONG, clusterId, nodeId: "b" });
  const read = await scrape(b.node);
  await b.start();
  await b.until(() => b.node.epoch === 1);
  dead.child.kill("SIGKILL");
  await b.leads();
  const after = await read();
  expect(after.of("suspicions_total", { outcome: "closed" })).toBe(1);
  expect(after.of("vacancy_seconds_count")).toBe(1);
  expect(after.of("vacancy_seconds_sum")).toBeLessThan(LONG.leaseTtlMs / 1_000);
  expect(after.of("leader_changes_total")).toBe(1);
});

test("drains that are cut short, terms that fail, and fenced writes that are refused", async () => {
  const clusterId = freshId();
  const stream = freshId("LEDGER");
  const store = await FencedStream.connect(await connection(server), { stream, subjects: [`${stream}.>`] });
  atEnd(() => store.close());
  const a = makeNode(server, { ...CALM, clusterId, nodeId: "a", drainTimeoutMs: 100 });
  const read = await scrape(a.node);
  await a.start();
  const term = await a.becomes();
  void a.node.runWhileLeader(() => new Promise((resolve) => atEnd(() => resolve(undefined)))).catch(() => {});
  const writer = await store.open(term);
  await writer.publish(`${stream}.x`, "1");
  await store.open({ ...term, clusterId, epoch: term.epoch + 1, incarnation: "other", nodeId: "other" });
  await expect(writer.publish(`${stream}.x`, "2")).rejects.toMatchObject({ code: "STALE_EPOCH" });
  expect((await a.node.stepDown()).drain).toBe("timed-out");
  const after = await read();
  expect(after.of("drain_timeouts_total")).toBe(1);
  expect(after.of("drain_duration_seconds_sum")).toBeGreaterThanOrEqual(0.1);
  expect(after.of("fenced_writes_total", { result: "admitted" })).toBe(1);
  expect(after.of("fenced_writes_total", { result: "refused" })).toBe(1);
});

test("a member: what it owns, what has no owner, and why resources have moved", async () => {
  const group = new RealGroup(server.url, { resources: 4 });
  const a = group.make("a");
  const b = group.make("b");
  const read = await scrape(a, b);
  const before = await read();
  expect(before.samples.every(({ labels }) => labels["group"] === group.groupId)).toBe(true);
  await group.begin(a);
  const inA = { group: group.groupId, node: "a" };
  const inB = { group: group.groupId, node: "b" };
  await waitFor(async () => (await read()).of("resources_owned", inA) === 4);
  await group.begin(b);
  await waitFor(async () => (await read()).of("resources_owned", inB) === 2);
  const after = await waitFor(async () => {
    const now = await read();
    return now.of("resources_unowned", inA) === 0 && now.of("resources_owned", inA) === 2 ? now : undefined;
  });
  expect(after.of("moves_total", { ...inA, reason: "claimed" })).toBe(4);
  expect(after.of("moves_total", { ...inA, reason: "moved" })).toBe(2);
  expect(after.of("moves_total", { ...inB, reason: "claimed" })).toBe(2);
  expect(after.of("presence", inA)).toBe(1);
  expect(after.of("lease_margin_seconds", inA)).toBeGreaterThan(0);
  await waitFor(async () => (await read()).of("drain_duration_seconds_count", inA) === 2);
  await a.stop();
  await waitFor(async () => (await read()).of("resources_owned", inB) === 4);
  expect((await read()).of("moves_total", { ...inA, reason: "stopped" })).toBe(2);
  expect((await read()).of("resources_owned", inA)).toBe(0);
  expect([inA, inB].map((labels) => after.of("running", labels))).toEqual([1, 1]);
  expect((await read()).of("running", inA)).toBe(0);
});

test("NATS goes: once the leases have run out, no member knows of an owner", async () => {
  const nats = await startNatsServer();
  atEnd(() => nats.stop());
  const group = new RealGroup(nats.url, { resources: 4, ...QUICK });
  const a = group.make("a");
  const b = group.make("b");
  const late = group.make("late");
  const read = await scrape(a, b, late);
  const counts = async () => {
    const { of } = await read();
    return ["a", "b"].map((node) => [of("resources_owned", { node }), of("resources_unowned", { node })]);
  };
  await Promise.all([a, b].map((member) => group.begin(member)));
  await waitFor(async () =>
    isDeepStrictEqual(await counts(), [
      [2, 0],
      [2, 0],
    ]),
  );
  const { url } = await openDoor({ groups: [a, b] });
  await nats.kill();
  await waitFor(async () =>
    isDeepStrictEqual(await counts(), [
      [0, 4],
      [0, 4],
    ]),
  );
  const unowned = { owned: 0, resources: 4, unowned: 4, coordinator: null };
  expect((await get(`${url}/status`)).json).toMatchObject({ groups: [unowned, unowned] });
  for (const { owner, unownedMs } of a.plan().resources) {
    expect(owner).toBeNull();
    expect(unownedMs).toBeLessThan(PATIENCE_MS);
  }
  expect(a.owner("0")).toBeNull();
  // A member that has not connected would hide it with 0.
  const { of } = await read();
  expect(["a", "b", "late"].map((node) => of("running", { node }))).toEqual([1, 1, 0]);
  expect(() => of("resources_unowned", { node: "late" })).toThrow("0 samples");
  await nats.start();
  const total = async () => (await counts()).reduce((sum, [owned = 0]) => sum + owned, 0);
  await waitFor(async () => (await total()) === 4 && (await counts()).every(([, none]) => none === 0));
});

test("a node that is made again counts a change if the leader is another one than the first has seen", async () => {
  const clusterId = freshId();
  const a = await startLeader(server, { ...CALM, clusterId, nodeId: "a" });
  const metrics = prometheusMetrics();
  const run = async (epoch: number): Promise<number> => {
    const b = makeNode(server, { ...CALM, clusterId, nodeId: "b", observer: true });
    atEnd(metrics.observe(b.node));
    await b.start();
    await b.until(() => b.node.leader?.epoch === epoch);
    await b.node.stop();
    return sampleValue(samplesIn((await metrics.text()).body), `${PREFIX}leader_changes_total`);
  };
  expect([await run(1), await run(1)]).toEqual([0, 0]);
  await a.node.stop();
  await a.start();
  await a.until(() => a.node.epoch === 2);
  expect([await run(2), await run(2)]).toEqual([1, 1]);
});

test("two nodes with the same labels are two sets of series, and one that is made again goes on with the first", async () => {
  const clusterId = freshId();
  const metrics = prometheusMetrics();
  const labelsOf = async (): Promise<unknown[]> =>
    samplesIn((await metrics.text()).body)
      .filter(({ name }) => name === `${PREFIX}is_leader`)
      .map(({ labels, value }) => [labels["twin"] ?? "first", value]);
  const make = () => makeNode(server, { ...CALM, clusterId, nodeId: "a" });
  const first = make();
  const second = make();
  const [endFirst, endSecond] = [metrics.observe(first.node), metrics.observe(second.node)];
  await first.start();
  await first.leads();
  expect(await labelsOf()).toEqual([
    ["first", 1],
    ["2", 0],
  ]);
  await first.node.stop();
  await second.start();
  await second.leads();
  expect(await labelsOf()).toEqual([
    ["first", 0],
    ["2", 1],
  ]);
  endSecond();
  expect(await labelsOf()).toEqual([["first", 0]]);
  await second.node.stop();
  const third = make();
  const endThird = metrics.observe(third.node);
  await third.start();
  await third.leads();
  expect(await labelsOf()).toEqual([["first", 1]]);
  const samples = samplesIn((await metrics.text()).body);
  expect(sampleValue(samples, `${PREFIX}terms_total`, { reason: "stopped" })).toBe(1);
  // The first one is back: it has lost its series, and hides behind no other.
  await first.start();
  await first.until(() => first.node.leader !== null);
  expect(await labelsOf()).toEqual([
    ["first", 1],
    ["2", 0],
  ]);
  for (const end of [endFirst, endThird]) end();
  expect(await labelsOf()).toEqual([]);
});

test("only nodes and members can be observed", () => {
  expect(() => prometheusMetrics({})).toThrow("only a Node");
});

test("the names are those of the documents", () => {
  expect(Object.keys(INSTRUMENTS)).toHaveLength(23);
});
