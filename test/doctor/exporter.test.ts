/** Metrics that follow from the documents of servers: values, leaders of raft groups, and a bounded number of series. */
import { describe, expect, test } from "vitest";
import { listenAddress } from "../../src/cli/doctor/prometheus.ts";
import { LeaderChanges } from "../../src/doctor/exporter/leader-changes.ts";
import { SERVER_METRICS, type ServerMetricName, serverLabels } from "../../src/doctor/exporter/metrics.ts";
import {
  EPHEMERAL,
  omittedConsumers,
  readStreams,
  type Sample,
  type Selection,
  type ServerReading,
  serverSamples,
  streamSamples,
} from "../../src/doctor/exporter/samples.ts";
import type { Documents } from "../../src/doctor/sources/read-server.ts";
import type { JsonObject } from "../../src/nats/api/js-api.ts";

const NONE: Documents = {
  varz: null,
  jsz: null,
  routez: null,
  gatewayz: null,
  healthz: null,
  connz: null,
  closedz: null,
};
const ALL: Selection = { streams: ["*"], maxStreams: 100, maxConsumers: 100 };

function reading(server: string, documents: Partial<Documents> = {}): ServerReading {
  const varz = {
    server_name: server,
    start: "2026-01-01T00:00:01.5Z",
    now: "2026-01-01T00:01:00Z",
    cpu: 250,
  };
  const known = { server, url: null, error: null, unread: [], tookMs: 20 };
  return { ...known, documents: { ...NONE, varz, ...documents } };
}

function jsz(streams: readonly JsonObject[], meta?: JsonObject): JsonObject {
  return {
    memory: 10,
    storage: 85,
    streams: streams.length,
    api: { total: 7 },
    config: { max_memory: 100, max_storage: -1 },
    account_details: [{ name: "A", stream_detail: streams }],
    ...(meta === undefined ? {} : { meta_cluster: meta }),
  };
}

function stream(name: string, leader: string | null, more: JsonObject = {}): JsonObject {
  const replicas = [
    { name: "n2", current: true, lag: 5 },
    { name: "n3", offline: true, lag: 40 },
  ];
  return {
    name,
    config: { num_replicas: 3, max_bytes: 500 },
    state: { messages: 3, bytes: 400, last_seq: 9, consumer_count: 2 },
    cluster: { ...(leader === null ? {} : { leader }), replicas },
    ...more,
  };
}

function consumer(name: string, pending: number, more: JsonObject = {}): JsonObject {
  return { name, num_pending: pending, config: {}, ...more };
}

function value(
  samples: readonly Sample[],
  name: ServerMetricName,
  labels: Sample["labels"] = {},
): number | null {
  const found = samples.filter(
    (one) => one.name === name && Object.entries(labels).every(([label, text]) => one.labels[label] === text),
  );
  if (found.length > 1) throw new Error(`${found.length} series of ${name}`);
  return found[0]?.value ?? null;
}

describe("of a server", () => {
  test("everything has base units, and what was not read is missing", () => {
    const samples = serverSamples(reading("n1", { jsz: jsz([]), healthz: { status: "ok" } }));
    expect(value(samples, "up")).toBe(1);
    expect(value(samples, "cpu_usage_cores")).toBe(2.5);
    expect(value(samples, "start_time_seconds")).toBe(Date.parse("2026-01-01T00:00:01.5Z") / 1_000);
    expect(value(samples, "read_seconds")).toBe(0.02);
    expect(value(samples, "healthy")).toBe(1);
    expect(value(samples, "jetstream_memory_limit_bytes")).toBe(100);
    expect(value(samples, "jetstream_storage_bytes")).toBe(85);
    expect(value(samples, "jetstream_storage_limit_bytes")).toBeNull();
    expect(value(samples, "jetstream_api_errors_total")).toBe(0);
    expect(value(samples, "slow_consumers_total")).toBeNull();
    expect(value(samples, "document_up", { document: "jsz" })).toBe(1);
    expect(value(samples, "document_up", { document: "routez" })).toBe(0);
  });

  test("that does not answer, only that is known", () => {
    const down = { ...reading("n1"), error: "no answer", documents: NONE };
    expect(serverSamples(down)).toEqual([{ name: "up", labels: { server: "n1" }, value: 0 }]);
    // Something that answers with JSON and is no server.
    const other = { ...down, error: null, documents: { ...NONE, varz: { hello: "world" } } };
    expect(value(serverSamples(other), "up")).toBe(0);
  });

  test("the meta group: its state is that of its leader", () => {
    const meta = { leader: "n1", cluster_size: 3, replicas: [{ name: "n2", offline: true, lag: 7 }] };
    const leader = serverSamples(reading("n1", { jsz: jsz([], meta) }));
    expect(
      ["meta_is_leader", "meta_peers_offline", "meta_lag_max"].map((name) =>
        value(leader, name as ServerMetricName),
      ),
    ).toEqual([1, 1, 7]);
    const follower = serverSamples(reading("n2", { jsz: jsz([], meta) }));
    expect(
      ["meta_has_leader", "meta_is_leader", "meta_peers_offline"].map((name) =>
        value(follower, name as ServerMetricName),
      ),
    ).toEqual([1, 0, null]);
    const lost = serverSamples(reading("n2", { jsz: jsz([], { ...meta, leader: "" }) }));
    expect(value(lost, "meta_has_leader")).toBe(0);
  });

  test("has the labels that the table declares, and no others", () => {
    const documents = { jsz: jsz([stream("S", "n1")]), closedz: { now: "2026-01-01T00:01:00Z" } };
    for (const url of [null, "http://a:8222"]) {
      const server = { ...reading("n1", documents), url };
      const { streams } = readStreams([server], ALL);
      for (const { name, labels } of [...serverSamples(server), ...streamSamples(streams, ALL)]) {
        const declared = serverLabels(name).filter((label) => label !== "url" || url !== null);
        expect([name, Object.keys(labels).sort()]).toEqual([name, [...declared].sort()]);
      }
    }
  });

  test("values that cannot be are left out, and counted", () => {
    const varz = { server_name: "n1", slow_consumers: -1, total_connections: -3, connections: 4, in_msgs: 2 };
    const samples = serverSamples(reading("n1", { varz }));
    expect(value(samples, "values_refused")).toBe(2);
    expect(value(samples, "slow_consumers_total")).toBeNull();
    expect(value(samples, "connections_total")).toBeNull();
    expect(value(samples, "connections")).toBe(4);
    expect(value(serverSamples(reading("n1")), "values_refused")).toBe(0);
  });
});

describe("of streams", () => {
  test("each is described once, by its leader, and says which server leads it", () => {
    const readings = ["n1", "n2"].map((server) =>
      reading(server, { jsz: jsz([stream("S", "n2", server === "n2" ? {} : { state: { messages: 1 } })]) }),
    );
    const { streams } = readStreams(readings, ALL);
    const samples = streamSamples(streams, ALL);
    expect(value(samples, "stream_messages")).toBe(3);
    expect(value(samples, "stream_limit_bytes")).toBe(500);
    expect(value(samples, "stream_has_leader")).toBe(1);
    expect(value(samples, "stream_is_leader", { server: "n1" })).toBe(0);
    expect(value(samples, "stream_is_leader", { server: "n2" })).toBe(1);
    expect(value(samples, "stream_replicas_offline")).toBe(1);
    expect(value(samples, "stream_replica_lag_max")).toBe(40);
  });

  test("without a leader, one that cannot be read, and one on a single server", () => {
    const of = (detail: JsonObject): Sample[] =>
      streamSamples(readStreams([reading("n1", { jsz: jsz([detail]) })], ALL).streams, ALL);
    expect(value(of(stream("S", null)), "stream_has_leader")).toBe(0);
    const unread = of(stream("S", "n9"));
    expect(value(unread, "stream_has_leader")).toBe(1);
    expect(value(unread, "stream_replicas_offline")).toBeNull();
    const { cluster: _, ...single } = stream("S", null);
    expect(value(of(single), "stream_is_leader", { server: "n1" })).toBe(1);
  });

  test("one that a server lists twice is counted once", () => {
    const twice = [stream("S", "n1"), stream("S", "n1", { state: { messages: 99 } })];
    const samples = streamSamples(readStreams([reading("n1", { jsz: jsz(twice) })], ALL).streams, ALL);
    expect(value(samples, "stream_is_leader", { server: "n1" })).toBe(1);
    expect(value(samples, "stream_messages")).toBe(3);
  });

  test("consumers with random names have one series, whatever their number; others as their own leader sees them", () => {
    const random = Array.from({ length: 50 }, (_, index) => consumer(`r${index}`, 2));
    const durable = (pending: number): JsonObject =>
      consumer("d", pending, { config: { durable_name: "d" }, cluster: { leader: "n2" } });
    const readings = [
      reading("n1", { jsz: jsz([stream("S", "n1", { consumer_detail: [...random, durable(1)] })]) }),
      reading("n2", {
        jsz: jsz([stream("S", "n1", { consumer_detail: [durable(8), consumer("g:7:12:abcd_-09", 4)] })]),
      }),
    ];
    const samples = streamSamples(readStreams(readings, ALL).streams, ALL);
    const pending = samples.filter(({ name }) => name === "consumer_pending");
    expect(pending.map(({ labels, value: one }) => [labels["consumer"], one])).toEqual([
      ["d", 8],
      ["g:7", 4],
      [EPHEMERAL, 100],
    ]);
  });

  test("only the selected ones are exported, up to the limits, and what is left out is counted", () => {
    const consumers = Array.from({ length: 30 }, (_, index) =>
      consumer(`d${index}`, 0, { config: { durable_name: `d${index}` } }),
    );
    const names = Array.from({ length: 40 }, (_, index) => `KV_KV_CLUSTER_${index}`);
    const details = [...names, "ORDERS", "ORDERS.x"].map((name) =>
      stream(name, "n1", { consumer_detail: consumers }),
    );
    const readings = [reading("n1", { jsz: jsz(details) })];
    const selection = { streams: ["KV_KV_CLUSTER_*", "ORDERS"], maxStreams: 30, maxConsumers: 10 };
    const { streams, omitted } = readStreams(readings, selection);
    expect([streams.length, omitted]).toEqual([30, 11]);
    expect(omittedConsumers(streams, selection)).toBe(30 * 20);
    const samples = streamSamples(streams, selection);
    expect(samples.filter(({ name }) => name === "consumer_pending")).toHaveLength(30 * 10);
    expect(
      readStreams(readings, { ...selection, streams: ["ORDERS.x"] }).streams.map((one) => one.stream),
    ).toEqual(["ORDERS.x"]);
  });
});

describe("of changes of leaders", () => {
  const leaders = (leader: string | null): Map<string, string | null> => new Map([["S", leader]]);

  test("a change is counted, also after a time without a leader, or without a reading", () => {
    const changes = new LeaderChanges();
    const note = (leader: string | null): number | undefined => changes.note(leaders(leader)).get("S");
    expect(["a", "a", null, "a", null, "b", "a"].map((leader) => note(leader))).toEqual([
      0, 0, 0, 0, 0, 1, 2,
    ]);
    expect(changes.note(new Map()).size).toBe(0);
    expect(note("b")).toBe(3);
    changes.note(new Map());
    expect(note("b")).toBe(3);
  });

  test("a group that is gone for long is forgotten, and the number of groups is bounded", () => {
    const changes = new LeaderChanges();
    const absent = (readings: number): void => {
      for (let index = 0; index < readings; index += 1) changes.note(new Map());
    };
    changes.note(leaders("a"));
    absent(59);
    expect(changes.note(leaders("b")).get("S")).toBe(1);
    absent(60);
    expect(changes.note(leaders("a")).get("S")).toBe(0);
    // Those that were seen longest ago go first.
    const others = (count: number): Map<string, string> =>
      new Map(Array.from({ length: count }, (_, index) => [`other ${index}`, "a"]));
    changes.note(others(999));
    expect(changes.note(leaders("b")).get("S")).toBe(1);
    changes.note(others(1_000));
    expect(changes.note(leaders("a")).get("S")).toBe(0);
  });
});

test("names are as Prometheus wants them", () => {
  for (const [name, { kind, help }] of Object.entries(SERVER_METRICS)) {
    expect(name).toMatch(/^[a-z][a-z_]*[a-z]$/);
    expect(name.endsWith("_total")).toBe(kind === "counter");
    expect(help).toMatch(/^[^\n]+\.$/);
  }
});

test("an address to listen on", () => {
  expect(listenAddress("9466")).toEqual({ host: "127.0.0.1", port: 9466 });
  expect(listenAddress("0.0.0.0:0")).toEqual({ host: "0.0.0.0", port: 0 });
  expect(listenAddress("[::1]:9466")).toEqual({ host: "::1", port: 9466 });
  for (const wrong of ["", "host", "host:", ":1:2", "host:70000", "http://host:1", "a b:1"]) {
    expect(() => listenAddress(wrong), wrong).toThrow("Must be HOST:PORT");
  }
});
