/** What the exporter makes of answers that a healthy NATS system does not give. Its servers are HTTP servers of this test. */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { Exporter, type Reading } from "../../src/doctor/exporter/exporter.ts";
import { OnePerServer } from "../../src/doctor/exporter/one-per-server.ts";
import type { SourceReading } from "../../src/doctor/sources/read-server.ts";
import type { JsonObject } from "../../src/nats/api/js-api.ts";
import { atEnd } from "../support/at-end.ts";

type Answer = JsonObject | ((response: ServerResponse) => void);
/** By the name of the document; those that are not named are empty. */
type Answers = Readonly<Record<string, Answer>>;

/** `null` from `answers`: the connection is closed without an answer. */
async function monitoringPort(answers: () => Answers | null): Promise<URL> {
  const server = createServer((request, response) => {
    const found = answers();
    const name = /^\/(\w+)/.exec(request.url ?? "")?.[1] ?? "";
    const answer = found?.[request.url?.includes("state=closed") === true ? "closedz" : name] ?? {};
    if (found === null) response.destroy();
    else if (typeof answer === "function") answer(response);
    else response.end(JSON.stringify(answer));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
}

function exporterOf(monitors: readonly URL[]): Exporter {
  const exporter = new Exporter({
    monitors,
    tls: {},
    system: null,
    timeoutMs: 30_000,
    expectedServers: null,
    streams: ["*"],
  });
  atEnd(() => exporter.close());
  return exporter;
}

function varz(name: string, more: JsonObject = {}): JsonObject {
  return { server_name: name, server_id: `ID-${name}`, connections: 1, ...more };
}

function jsz(streams: readonly JsonObject[]): JsonObject {
  return { config: { max_memory: 1 }, account_details: [{ name: "A", stream_detail: streams }] };
}

/** Value by series, without the prefix. */
function seriesOf({ text }: Reading, name: RegExp): Record<string, number> {
  const lines = [...text.matchAll(/^nats_leader_server_(\w+(?:\{.*\})?) (\S+)$/gm)];
  const wanted = lines.filter(([, series = ""]) => name.test(series));
  return Object.fromEntries(wanted.map(([, series = "", value]) => [series, Number(value)]));
}

test("a negative counter is left out and reported; the rest and other servers are served", async () => {
  const good = await monitoringPort(() => ({ varz: varz("good", { slow_consumers: 2 }) }));
  const bad = await monitoringPort(() => ({ varz: varz("bad", { slow_consumers: -1 }) }));
  const reading = await exporterOf([good, bad]).read();
  expect(seriesOf(reading, /^(?:up|values_refused|slow_consumers_total)\b/)).toEqual({
    'up{server="bad"}': 1,
    'up{server="good"}': 1,
    'values_refused{server="bad"}': 1,
    'values_refused{server="good"}': 0,
    'slow_consumers_total{server="good"}': 2,
  });
  expect(reading.problems).toEqual([{ server: "bad", error: expect.stringMatching(/^1 values cannot be/) }]);
  expect(reading.text).toMatch(/^# bad: 1 values cannot be/m);
});

test("servers of two systems that have one name stay apart, also when one is down and when it has started again", async () => {
  let first: Answers | null = { varz: varz("nats-0") };
  const one = await monitoringPort(() => first);
  const two = await monitoringPort(() => ({
    varz: varz("nats-0", { server_id: "another", connections: 7 }),
  }));
  const exporter = exporterOf([one, two]);
  const [a, b] = [one, two].map(({ origin }) => `{server="nats-0",url="${origin}"}`);
  const both = await exporter.read();
  expect(seriesOf(both, /^(?:up|connections)\{/)).toEqual({
    [`up${a}`]: 1,
    [`up${b}`]: 1,
    [`connections${a}`]: 1,
    [`connections${b}`]: 7,
  });
  expect(seriesOf(both, /^finding\{.*name-shared/)).toEqual({
    'finding{severity="warning",code="server-name-shared"}': 1,
  });
  expect(both.text).toContain(`# nats-0 (${one.origin}): another server has the same name`);

  first = null;
  const without = await exporter.read();
  expect(seriesOf(without, /^up\{/)).toEqual({ [`up${a}`]: 0, [`up${b}`]: 1 });
  expect(seriesOf(without, /^finding\{.*server-down/)).toEqual({
    'finding{severity="critical",code="server-down"}': 1,
  });

  first = { varz: varz("nats-0", { server_id: "new after its start" }) };
  expect(seriesOf(await exporter.read(), /^up\{/)).toEqual({ [`up${a}`]: 1, [`up${b}`]: 1 });
});

test("one server through two ports and the system account is one, also while a source fails or has not seen its start", () => {
  const servers = new OnePerServer();
  const sort = (...sources: readonly (readonly [string | null, string, string | null])[]): unknown[] =>
    servers
      .sort(
        sources.map(([source, serverId, error]): SourceReading => {
          const documents = { varz: null, jsz: null, routez: null, gatewayz: null };
          const none = { ...documents, healthz: null, connz: null, closedz: null };
          return { source, server: "n1", serverId, error, unread: [], tookMs: 1, documents: none };
        }),
      )
      .map(({ url, error }) => [url, error]);
  expect(sort(["a", "X", null], ["b", "X", null], [null, "X", null])).toEqual([[null, null]]);
  expect(sort(["a", "X", "no answer"], ["b", "X", null], [null, "X", null])).toEqual([[null, null]]);
  // Only the system account has seen that it has started again.
  expect(sort(["a", "X", "no answer"], ["b", "X", "no answer"], [null, "Y", null])).toEqual([[null, null]]);
  // The port now is that of another server.
  expect(sort(["a", "Z", null], [null, "Y", null])).toEqual([
    ["a", null],
    [null, null],
  ]);
});

test("a leader that changes while no server can be read is counted", async () => {
  let leader: string | null = "n1";
  const led = (): JsonObject => jsz([{ name: "S", cluster: { leader } }]);
  const ports = ["n1", "n2"].map((name) =>
    monitoringPort(() => (leader === null ? null : { varz: varz(name), jsz: led() })),
  );
  const exporter = exporterOf(await Promise.all(ports));
  const series = 'stream_leader_changes_total{account="A",stream="S"}';
  const changes = async (): Promise<number | undefined> =>
    seriesOf(await exporter.read(), /_changes/)[series];
  expect(await changes()).toBe(0);
  leader = null;
  expect(await changes()).toBeUndefined();
  leader = "n2";
  expect(await changes()).toBe(1);
});

test("at the limits of streams and consumers each has its series", async () => {
  const consumers = Array.from({ length: 100 }, (_, index) => ({
    name: `d${index}`,
    config: { durable_name: `d${index}` },
    num_pending: index,
  }));
  const streams = Array.from({ length: 200 }, (_, index) => ({
    name: `S${index}`,
    consumer_detail: consumers,
  }));
  const port = await monitoringPort(() => ({ varz: varz("n1"), jsz: jsz(streams) }));
  const reading = await exporterOf([port]).read();
  const pending = seriesOf(reading, /^consumer_pending\{/);
  expect(Object.keys(pending)).toHaveLength(20_000);
  expect(pending['consumer_pending{account="A",stream="S199",consumer="d42"}']).toBe(42);
});

/** Sends `part` again and again until the connection is closed. */
function endless(part: string): Answer {
  return (response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(part));
    };
    response.on("drain", more).write('{"a":[');
    more();
  };
}

test("a document without an end is read only up to its limit, and the reading says which one it was", async () => {
  const many = "{},".repeat(20_000);
  const long = `"${"x".repeat(60_000)}",`;
  const port = await monitoringPort(() => ({
    varz: varz("n1"),
    jsz: endless(many),
    routez: endless(long),
  }));
  const reading = await exporterOf([port]).read();
  expect(reading.problems.map(({ error }) => error).sort()).toEqual([
    `${port.origin}/jsz is too large: more than 2097152 values`,
    `${port.origin}/routez is too large: more than 4194304 bytes`,
  ]);
  expect(seriesOf(reading, /^document_up/)).toMatchObject({
    'document_up{server="n1",document="varz"}': 1,
    'document_up{server="n1",document="jsz"}': 0,
    'document_up{server="n1",document="routez"}': 0,
  });
  expect(seriesOf(reading, /^up\{/)).toEqual({ 'up{server="n1"}': 1 });
});

test("what a server says stays on the line of its comment", async () => {
  const hostile = 'x\nnats_leader_server_up{server="y"} 1';
  const port = await monitoringPort(() => ({ varz: varz(hostile, { slow_consumers: -1 }) }));
  const { text } = await exporterOf([port]).read();
  expect(text).not.toMatch(/^nats_leader_server_up\{server="y"/m);
  expect(text).toMatch(/^# x nats_leader_server_up.*left out$/m);
});
