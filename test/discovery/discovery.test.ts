import { beforeEach, describe, expect, test } from "vitest";
import { pingSubject, serviceName, statusSubject, stepdownSubject } from "../../src/nats/names.ts";
import { runCommand } from "../../src/system/run-command.ts";
import { freshId } from "../support/fresh-id.ts";
import { allAnswers } from "../support/nats/all-answers.ts";
import { INFO, PING, STATS } from "../support/nats/micro-schemas.ts";
import { type Operator, operatorOf } from "../support/node/operator.ts";
import { startLeader, startNode, type TestNode } from "../support/node/test-node.ts";
import { findNatsCli } from "../support/processes/nats-cli.ts";
import { useNatsServer } from "../support/use-server.ts";

const cli = await findNatsCli();
const why = "missing" in cli ? ` (skipped: ${cli.missing})` : "";

let operator: Operator;
let clusterId: string;
let service: string;
let a: TestNode;
let b: TestNode;

const server = useNatsServer();
beforeEach(async () => {
  clusterId = freshId();
  service = serviceName(clusterId);
  a = await startLeader(server, { clusterId, nodeId: "a" });
  b = await startNode(server, { clusterId, nodeId: "b", serviceVersion: "1.2.3" });
  await b.sees(a);
  operator = await operatorOf(server, clusterId);
  for (let i = 0; i < 3; i++) await operator.connection.request(statusSubject(clusterId, "a"), "");
  await operator.connection.request(pingSubject(clusterId, "b"), "");
});

const discover = (subject: string) => allAnswers(operator.connection, subject);

describe("responses as other tools require them", () => {
  test.each([
    ["PING", PING],
    ["INFO", INFO],
    ["STATS", STATS],
  ])(
    "is in every answer to $SRV.%s, of all services and of this one, also before the first error",
    async (verb, schema) => {
      for (const subject of [`$SRV.${verb}`, `$SRV.${verb}.${service}`]) {
        const answers = await discover(subject);
        expect(answers).toHaveLength(2);
        for (const answer of answers) expect(() => schema.parse(answer)).not.toThrow();
      }
      const one = await discover(`$SRV.${verb}.${service}.${a.node.service?.id}`);
      expect(one.map(({ id }) => id)).toEqual([a.node.service?.id]);
    },
  );

  test("count requests, errors and time correctly", async () => {
    const slow = operator.connection.request(stepdownSubject(clusterId, "b"), "not json", { timeout: 2000 });
    expect((await slow).json()).toMatchObject({ ok: false });
    const stats = await discover(`$SRV.STATS.${service}`);
    const endpoints = stats.flatMap(({ id, endpoints }) =>
      (endpoints as Record<string, unknown>[]).map((endpoint) => ({ node: id, ...endpoint })),
    );
    const of = (node: TestNode, name: string): object | undefined =>
      endpoints.find(
        (endpoint) => endpoint.node === node.node.service?.id && "name" in endpoint && endpoint.name === name,
      );
    // Three requests of these tests, and the node's own: whether another process has its id.
    expect(of(a, "status")).toMatchObject({
      num_requests: 4,
      num_errors: 0,
      last_error: "",
      queue_group: "",
    });
    expect(of(b, "ping")).toMatchObject({ num_requests: 1 });
    expect(of(b, "stepdown")).toMatchObject({ num_requests: 1, processing_time: expect.any(Number) });
    expect((of(a, "status") as { processing_time: number }).processing_time).toBeGreaterThan(0);
  });
});

describe.skipIf(why !== "")(`the real nats command${why}`, () => {
  async function nats(...args: string[]): Promise<string> {
    return runCommand("path" in cli ? cli.path : "", ["--server", server.url, ...args], {
      timeoutMs: 20_000,
      env: { ...process.env, NO_COLOR: "1" },
    });
  }

  test("lists both nodes with version and description", async () => {
    const list = await nats("micro", "ls");
    for (const id of [a.node.service?.id, b.node.service?.id]) expect(list).toContain(id);
    expect(list).toContain(service);
    expect(list).toContain("1.2.3");
    const json = JSON.parse(await nats("micro", "ls", service, "--json")) as { metadata: { node: string } }[];
    expect(json.map(({ metadata }) => metadata.node).sort()).toEqual(["a", "b"]);
  });

  test("shows the role, epoch and endpoints of a node", async () => {
    const id = a.node.service?.id ?? "";
    const info = await nats("micro", "info", service, id);
    expect(info).toMatch(/role: PRIMARY/);
    expect(info).toContain(statusSubject(clusterId, "a"));
    const json = JSON.parse(await nats("micro", "info", service, id, "--json")) as {
      info: { metadata: Record<string, string> };
    };
    expect(json.info.metadata).toMatchObject({
      node: "a",
      role: "PRIMARY",
      epoch: String(a.node.epoch),
      leader: "a",
    });
  });

  test("counts requests", async () => {
    const requests = async (): Promise<number> => {
      const stats = JSON.parse(await nats("micro", "stats", service, "--json")) as {
        id: string;
        endpoints: { name: string; num_requests: number }[];
      }[];
      const own = stats.find(({ id }) => id === a.node.service?.id);
      return own?.endpoints.find(({ name }) => name === "status")?.num_requests ?? Number.NaN;
    };
    const before = await requests();
    await operator.connection.request(statusSubject(clusterId, "a"));
    expect(await requests()).toBe(before + 1);
    expect(await nats("micro", "stats", service)).toContain("stepdown");
  });

  test("pings both nodes, and sends a request to a node", async () => {
    const pings = await nats("--timeout", "1s", "micro", "ping", service);
    for (const id of [a.node.service?.id, b.node.service?.id]) expect(pings).toContain(id);
    const answer = await nats("request", "--raw", stepdownSubject(clusterId, "a"), "");
    expect(JSON.parse(answer)).toEqual({ ok: true });
    await b.until(() => b.node.isLeader());
  });
});
