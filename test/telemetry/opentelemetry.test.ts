/** Metrics and spans in a real SDK of OpenTelemetry, of real nodes and members. */

import { isDeepStrictEqual } from "node:util";
import { type HrTime, SpanStatusCode } from "@opentelemetry/api";
import {
  AggregationTemporality,
  type DataPoint,
  DataPointType,
  type Histogram,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { type GroupFacts, type NodeFacts, register } from "../../src/channels/source.ts";
import { Node } from "../../src/index.ts";
import { prometheusMetrics } from "../../src/prometheus.ts";
import { noLeaseFacts } from "../../src/runtime/lease-watch.ts";
import { INSTRUMENTS, instruments, PREFIX } from "../../src/telemetry/instruments.ts";
import { instrument } from "../../src/telemetry.ts";
import { atEnd } from "../support/at-end.ts";
import { samplesIn } from "../support/exposition.ts";
import { freshId } from "../support/fresh-id.ts";
import { RealGroup } from "../support/group/real-group.ts";
import { startChildNode } from "../support/node/child-node.ts";
import { proxied } from "../support/node/proxy.ts";
import { CALM, makeNode, QUICK } from "../support/node/test-node.ts";
import { LONG } from "../support/patience.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

type Attributes = Readonly<Record<string, unknown>>;

/** An SDK whose metrics are collected when a test asks for them. */
function metering() {
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 1_000_000 });
  const provider = new MeterProvider({ readers: [reader] });
  atEnd(() => provider.shutdown());
  const collect = async () => {
    const { resourceMetrics, errors } = await reader.collect();
    expect(errors).toEqual([]);
    const metrics = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics);
    const pointsOf = (name: string): readonly DataPoint<unknown>[] =>
      metrics.find(({ descriptor }) => descriptor.name === `${PREFIX}${name}`)?.dataPoints ?? [];
    const of = (name: string, attributes: Attributes = {}): unknown => {
      const found = pointsOf(name).filter((point) =>
        Object.entries(attributes).every(([key, value]) => point.attributes[key] === value),
      );
      if (found.length !== 1)
        throw new Error(`${found.length} points of ${name} ${JSON.stringify(attributes)}`);
      return found[0]?.value;
    };
    return { metrics, pointsOf, of };
  };
  return { meter: provider.getMeter("test"), collect };
}

function tracing() {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  atEnd(() => provider.shutdown());
  const named = (name: string): ReadableSpan[] =>
    exporter.getFinishedSpans().filter((span) => span.name === `nats-leader ${name}`);
  const next = (name: string): Promise<ReadableSpan> => waitFor(() => named(name)[0]);
  return { tracer: provider.getTracer("test"), named, next };
}

const ms = ([seconds, nanos]: HrTime): number => seconds * 1_000 + nanos / 1_000_000;

test("every instrument has its kind, its unit and its buckets; counters and gauges begin with 0", async () => {
  const { meter, collect } = metering();
  const node = new Node({ clusterId: "c", nodeId: "a", servers: "nats://127.0.0.1:1", logger: false });
  atEnd(instrument(node, { meter, tracer: null }));
  const { metrics, pointsOf } = await collect();
  for (const [name, { kind, unit, help, of, label }] of instruments) {
    if (kind === "histogram" || !of.includes("node") || name === "lease_margin_seconds") continue;
    const metric = metrics.find(({ descriptor }) => descriptor.name === `${PREFIX}${name}`);
    expect(metric?.descriptor).toMatchObject({ description: help, unit: unit === undefined ? "" : "s" });
    expect(metric?.dataPointType).toBe(kind === "gauge" ? DataPointType.GAUGE : DataPointType.SUM);
    const points = pointsOf(name);
    expect(points).toHaveLength(label?.values.node?.length ?? 1);
    for (const { value, attributes } of points) {
      expect(value).toBe(0);
      expect(attributes).toMatchObject({ cluster: "c", node: "a" });
    }
  }
});

test("metrics of a term agree with the node; after the end nothing is counted", async () => {
  const { meter, collect } = metering();
  const clusterId = freshId();
  const a = makeNode(server, { ...QUICK, clusterId, nodeId: "a" });
  const end = instrument(a.node, { meter, tracer: null });
  await a.start();
  await a.becomes();
  await a.leads();
  const labels = { cluster: clusterId, node: "a" };
  await waitFor(
    async () => Number((await collect()).of("renewals_total", { ...labels, result: "applied" })) >= 2,
  );
  const during = await collect();
  expect([during.of("is_leader", labels), during.of("epoch", labels), during.of("presence", labels)]).toEqual(
    [1, 1, 1],
  );
  expect(during.of("lease_margin_seconds", labels)).toBeGreaterThan(0);
  const renewals = during.of("renewal_duration_seconds", labels) as Histogram;
  expect(renewals.count).toBe(during.of("renewals_total", { ...labels, result: "applied" }));
  expect(renewals.buckets.boundaries).toEqual(INSTRUMENTS.renewal_duration_seconds.buckets);
  await a.node.stepDown();
  const after = await collect();
  expect([after.of("is_leader"), after.of("terms_total", { ...labels, reason: "released" })]).toEqual([0, 1]);
  expect((after.of("drain_duration_seconds", labels) as Histogram).count).toBe(1);
  await a.node.rejoin();
  await a.becomes();
  await a.leads();
  expect((await collect()).of("is_leader")).toBe(1);
  // The SDK repeats the last value of a gauge: the end sets it.
  end();
  end();
  expect(a.node.isLeader()).toBe(true);
  await a.node.stepDown();
  const last = await collect();
  expect(last.of("terms_total", { reason: "released" })).toBe(1);
  expect(last.of("is_leader")).toBe(0);
  await a.node.rejoin();
  await a.becomes();
  await a.leads();
  atEnd(instrument(a.node, { meter, tracer: null }));
  expect((await collect()).of("is_leader")).toBe(1);
  await a.node.stop();
  const stopped = await collect();
  expect([stopped.of("presence"), stopped.of("lease_margin_seconds")]).toEqual([0, QUICK.leaseTtlMs / 1_000]);
});

const LEASE = noLeaseFacts({ usesPresence: true, leaseTtlMs: 10_000 });
const HELD = { ...LEASE, running: true, incarnation: "i", presence: true, leastMarginMs: 300 };
const STOPPED_NODE: NodeFacts = { ...LEASE, isLeader: false, hasLeader: false, role: "stopped", epoch: 0 };
const LEADER: NodeFacts = {
  ...STOPPED_NODE,
  ...HELD,
  isLeader: true,
  hasLeader: true,
  role: "leader",
  epoch: 7,
};
const STOPPED_MEMBER: GroupFacts = { ...LEASE, owned: 0, unowned: 0 };
const MEMBER: GroupFacts = { ...STOPPED_MEMBER, ...HELD, owned: 3, unowned: 2 };

/** What Prometheus is shown and what a real SDK exports, of a node and a member with these facts. */
function observed(node: NodeFacts, member: GroupFacts) {
  const facts = { node, member };
  const [a, b] = [{}, {}];
  register(a, { kind: "node", clusterId: "c", nodeId: "a", read: () => facts.node });
  register(b, { kind: "group", groupId: "g", memberId: "b", read: () => facts.member });
  const { meter, collect } = metering();
  const ends = [a, b].map((owner) => instrument(owner, { meter, tracer: null }));
  for (const end of ends) atEnd(end);
  const metrics = prometheusMetrics();
  for (const owner of [a, b]) atEnd(metrics.observe(owner));
  const gauges = instruments.filter(([, { kind }]) => kind === "gauge").map(([name]) => name);
  const scraped = async (): Promise<Record<string, number>> => {
    const samples = samplesIn((await metrics.text()).body);
    const shown = gauges.flatMap((gauge) =>
      samples
        .filter(({ name }) => name === `${PREFIX}${gauge}`)
        .map(({ labels, value }) => [key(gauge, labels), value]),
    );
    return Object.fromEntries(shown);
  };
  const exported = async (): Promise<Record<string, number>> => {
    const { pointsOf } = await collect();
    const shown = gauges.flatMap((gauge) =>
      pointsOf(gauge).map(({ attributes, value }) => [key(gauge, attributes), value]),
    );
    return Object.fromEntries(shown);
  };
  const end = (): void => {
    for (const one of ends) one();
  };
  return { facts, scraped, exported, end };
}

const key = (gauge: string, labels: Attributes): string => `${gauge} ${labels["node"]}`;

test("gauges are those that Prometheus is shown; a series that Prometheus loses says that nothing is held", async () => {
  const { facts, scraped, exported } = observed(STOPPED_NODE, STOPPED_MEMBER);
  const before = await scraped();
  expect(await exported()).toEqual(before);
  Object.assign(facts, { node: LEADER, member: MEMBER });
  const during = await scraped();
  expect(during).toMatchObject({
    "lease_margin_seconds a": 0.3,
    "lease_margin_seconds b": 0.3,
    "presence a": 1,
  });
  expect(await exported()).toEqual(during);
  // A minute after the lease of each.
  Object.assign(facts, {
    node: { ...LEADER, isLeader: false, leastMarginMs: null },
    member: { ...MEMBER, leastMarginMs: null },
  });
  const margins = { "lease_margin_seconds a": 10, "lease_margin_seconds b": 10 };
  expect(await exported()).toEqual({ ...(await scraped()), ...margins });
  Object.assign(facts, { node: STOPPED_NODE, member: STOPPED_MEMBER });
  expect(await scraped()).toEqual(before);
  expect(await exported()).toEqual({ ...before, ...margins, "resources_unowned b": 2 });
  Object.assign(facts, { node: LEADER, member: MEMBER });
  expect(await exported()).toEqual(during);
});

test("after the end of an observation no gauge says that the node holds anything", async () => {
  const { exported, end } = observed(LEADER, MEMBER);
  await exported();
  end();
  expect(await exported()).toEqual({
    "running a": 0,
    "running b": 0,
    "is_leader a": 0,
    "has_leader a": 0,
    "epoch a": 0,
    "lease_margin_seconds a": 10,
    "lease_margin_seconds b": 10,
    "presence a": 0,
    "presence b": 0,
    "resources_owned b": 0,
    "resources_unowned b": 2,
  });
});

test("a configuration without presence has no series of it, also after the end", async () => {
  const without = { presence: null, leastMarginMs: null };
  const { scraped, exported, end } = observed({ ...LEADER, ...without }, { ...MEMBER, ...without });
  expect(await exported()).toEqual(await scraped());
  end();
  expect(Object.keys(await exported()).filter((name) => /presence|margin/.test(name))).toEqual([]);
});

test("two nodes with the same labels on one meter are two series", async () => {
  const { meter, collect } = metering();
  const clusterId = freshId();
  const [first, second] = [1, 2].map(() => makeNode(server, { ...CALM, clusterId, nodeId: "a" }));
  for (const one of [first, second]) {
    atEnd(instrument(one?.node ?? {}, { meter, tracer: null }));
    await one?.start();
  }
  await first?.leads();
  const { pointsOf } = await collect();
  const shown = pointsOf("is_leader").map(({ attributes, value }) => [attributes["twin"], value]);
  expect(shown).toEqual([
    [undefined, 1],
    ["2", 0],
  ]);
});

test("several groups and members of one process keep apart what has no owner, also after one has stopped or ended", async () => {
  const { meter, collect } = metering();
  const observe = (owner: object): (() => void) => {
    const end = instrument(owner, { meter, tracer: null });
    atEnd(end);
    return end;
  };
  const group = new RealGroup(server.url, { resources: 4 });
  const other = new RealGroup(server.url, { resources: 3 });
  const a = group.make("a", { maxOwned: 1 });
  const b = group.make("b");
  const c = other.make("a", { maxOwned: 2 });
  const [, endOfB] = [a, b, c].map(observe);
  /** Of each series: what has no owner, and whether its member runs. */
  const seen = async ({ groupId }: RealGroup): Promise<Record<string, unknown>> => {
    const { pointsOf, of } = await collect();
    return Object.fromEntries(
      pointsOf("resources_unowned")
        .filter(({ attributes }) => attributes["group"] === groupId)
        .map(({ attributes, value }) => [attributes["node"], [value, of("running", attributes)]]),
    );
  };
  const until = (expected: Record<string, unknown>): Promise<unknown> =>
    waitFor(async () => isDeepStrictEqual(await seen(group), expected));
  await Promise.all([group.begin(a), group.begin(b), other.begin(c)]);
  await until({ a: [0, 1], b: [0, 1] });
  await waitFor(async () => isDeepStrictEqual(await seen(other), { a: [1, 1] }));
  // The SDK repeats the 0 of b. By itself it would hide what a sees.
  await b.stop();
  await until({ a: [3, 1], b: [0, 0] });
  endOfB?.();
  expect(await seen(group)).toEqual({ a: [3, 1], b: [0, 0] });
  expect(await seen(other)).toEqual({ a: [1, 1] });
});

test("the end of an observation sets no 0 where the least value counts; running says that the last one is over", async () => {
  const { meter, collect } = metering();
  const group = new RealGroup(server.url, { resources: 2 });
  const a = group.make("a", { maxOwned: 0 });
  const end = instrument(a, { meter, tracer: null });
  await group.begin(a);
  await waitFor(async () => (await collect()).of("running") === 1);
  expect((await collect()).of("resources_unowned")).toBe(2);
  end();
  const { of } = await collect();
  expect([of("running"), of("resources_unowned")]).toEqual([0, 2]);
});

test("a term is a span; its hooks, its handover and its drain are children of it", async () => {
  const { tracer, named, next } = tracing();
  const clusterId = freshId();
  const a = makeNode(server, { ...CALM, clusterId, nodeId: "a" });
  const b = makeNode(server, { ...CALM, clusterId, nodeId: "b" });
  atEnd(instrument(a.node, { meter: null, tracer }));
  await a.start();
  const { incarnation, acquiredAt } = await a.becomes();
  await b.start();
  await b.sees(a);
  expect(named("term")).toEqual([]);
  const beforeMs = Date.now();
  await a.node.stepDown({ to: "b" });
  const term = await next("term");
  expect(term.attributes).toEqual({
    "nats_leader.cluster": clusterId,
    "nats_leader.node": "a",
    "nats_leader.incarnation": incarnation,
    "nats_leader.epoch": 1,
    "nats_leader.reason": "released",
  });
  expect(term.status.code).toBe(SpanStatusCode.UNSET);
  expect(ms(term.startTime)).toBeCloseTo(acquiredAt, 0);
  expect(ms(term.endTime)).toBeGreaterThanOrEqual(beforeMs - 1);
  const handover = await next("handover");
  const drain = await next("drain");
  const hook = await next("onLoseLeadership");
  for (const child of [handover, drain, hook, await next("onBecomeLeader")]) {
    expect(child.parentSpanContext?.spanId).toBe(term.spanContext().spanId);
    expect(child.spanContext().traceId).toBe(term.spanContext().traceId);
    expect(child.status.code).toBe(SpanStatusCode.UNSET);
    expect(ms(child.endTime)).toBeGreaterThanOrEqual(ms(child.startTime));
  }
  expect(handover.attributes).toMatchObject({
    "nats_leader.successor": "b",
    "nats_leader.outcome": "completed",
  });
  expect(drain.attributes).toMatchObject({ "nats_leader.epoch": 1, "nats_leader.outcome": "complete" });
});

test("a term that is lost, and what failed in it, are errors; renewals that were not applied are events", async () => {
  const { tracer, next } = tracing();
  const clusterId = freshId();
  const proxy = await proxied(server);
  const a = makeNode(proxy, { ...CALM, requestTimeoutMs: 300, clusterId, nodeId: "a" });
  atEnd(instrument(a.node, { meter: null, tracer }));
  await a.start();
  await a.leads();
  proxy.blackhole(true);
  await a.next("lose-leadership");
  const term = await next("term");
  expect(term.attributes["nats_leader.reason"]).toBe("expired");
  expect(term.status).toEqual({ code: SpanStatusCode.ERROR, message: "expired" });
  expect(term.events.map(({ name }) => name)).toContain("renewal unknown");
  proxy.blackhole(false);
});

test("a suspicion is a span of its own, with its outcome", async () => {
  const { tracer, next } = tracing();
  const clusterId = freshId();
  const dead = await startChildNode(server, { ...LONG, clusterId, nodeId: "dead" });
  await dead.next("become");
  const b = makeNode(server, { ...LONG, clusterId, nodeId: "b" });
  atEnd(instrument(b.node, { meter: null, tracer }));
  await b.start();
  await b.until(() => b.node.epoch === 1);
  dead.child.kill("SIGKILL");
  const suspicion = await next("suspicion");
  expect(suspicion.attributes).toMatchObject({
    "nats_leader.holder": "dead",
    "nats_leader.outcome": "closed",
  });
  expect(suspicion.parentSpanContext).toBeUndefined();
});

test("resources have spans only where they are asked for; spans that run end with the instrumentation", async () => {
  const [plain, detailed] = [tracing(), tracing()];
  const group = new RealGroup(server.url, { resources: 2 });
  const a = group.make("a", {}, { onOwn: () => {} });
  const ends = [
    instrument(a, { meter: null, tracer: plain.tracer }),
    instrument(a, { meter: null, tracer: detailed.tracer, resourceSpans: true }),
  ];
  await group.begin(a);
  await waitFor(() => detailed.named("onOwn").length === 2);
  expect(plain.named("onOwn")).toEqual([]);
  for (const end of ends) end();
  const terms = detailed.named("term");
  expect(terms.map(({ attributes }) => attributes["nats_leader.resource"]).sort()).toEqual(["0", "1"]);
  const parents = detailed.named("onOwn").map(({ parentSpanContext }) => parentSpanContext?.spanId);
  expect(parents.sort()).toEqual(terms.map((span) => span.spanContext().spanId).sort());
});

test("a meter and a tracer that throw change nothing for the node", async () => {
  const broken = {
    get: () => {
      throw new Error("broken");
    },
  };
  const { meter } = metering();
  const warnings: string[] = [];
  const onWarning = ({ message }: Error): void => void warnings.push(message);
  process.on("warning", onWarning);
  atEnd(() => process.off("warning", onWarning));
  const clusterId = freshId();
  const a = makeNode(server, { ...QUICK, clusterId, nodeId: "a" });
  const counter = meter.createCounter("x");
  const failing = new Proxy(counter, broken);
  const brokenMeter = new Proxy(meter, {
    get: (target, key) => (key === "createCounter" ? () => failing : Reflect.get(target, key).bind(target)),
  });
  const tracer = new Proxy(tracing().tracer, broken);
  atEnd(instrument(a.node, { meter: brokenMeter, tracer }));
  await a.start();
  await a.leads();
  await a.node.stepDown();
  expect(a.types()).toContain("released");
  await waitFor(() => warnings.length >= 2);
  // Once each, whatever follows.
  expect(warnings.map((text) => text.split(":")[0])).toEqual([
    "metrics of nats-leader are incomplete",
    "spans of nats-leader are missing",
  ]);
});

test("anything but a node or a member is refused", () => {
  expect(() => instrument({})).toThrow("only a Node");
});
