import { Svcm } from "@nats-io/services";
import type { NatsConnection } from "@nats-io/transport-node";
import { describe, expect, test } from "vitest";
import { deferred, within } from "../../scripts/shared/wait.ts";
import {
  candidateSubject,
  competeSubject,
  pingSubject,
  serviceName,
  statusSubject,
  stepdownSubject,
} from "../../src/nats/names.ts";
import { type ServiceCallbacks, startService } from "../../src/nats/service/service.ts";
import type { PeerStatus } from "../../src/runtime/backend.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { allAnswers } from "../support/nats/all-answers.ts";
import { link } from "../support/nats/store-and-session.ts";
import { Recorder } from "../support/recorder.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface FakeNode extends ServiceCallbacks {
  body: PeerStatus;
  readonly stepDowns: (string | undefined)[];
  failWith: Error | null;
}

function fakeNode(nodeId: string, over: Partial<PeerStatus> = {}): FakeNode {
  return {
    body: {
      nodeId,
      role: "PASSIVE",
      leader: "",
      epoch: 0,
      uptimeMs: 5,
      connected: true,
      incarnation: "i1",
      ...over,
    },
    stepDowns: [],
    failWith: null,
    status() {
      return this.body;
    },
    async stepDown(to) {
      this.stepDowns.push(to);
      if (this.failWith !== null) throw this.failWith;
    },
  };
}

async function serve(clusterId: string, node: FakeNode) {
  const nats = await link(server);
  const ended = deferred<Error | null>();
  const service = await startService(
    nats.connection,
    { clusterId, nodeId: node.body.nodeId, version: "1.2.3", onEnded: (error) => ended.resolve(error) },
    node,
  );
  atEnd(() => service.stop());
  return { service, nats, ended: ended.promise };
}

async function ask(nats: NatsConnection, subject: string, body = ""): Promise<unknown> {
  return (await nats.request(subject, body, { timeout: 2000 })).json();
}

describe("the endpoints of two nodes", () => {
  async function twoNodes() {
    const clusterId = freshId();
    const a = fakeNode("a", { role: "PRIMARY", leader: "a", epoch: 7, held: true, state: "leader" });
    const b = fakeNode("b", { leader: "a", epoch: 7 });
    const services = [await serve(clusterId, a), await serve(clusterId, b)] as const;
    const { connection } = await link(server);
    return { clusterId, a, b, services, connection };
  }

  test("respond each for its own node, with go-cluster's bodies", async () => {
    const { clusterId, connection } = await twoNodes();
    expect(await ask(connection, statusSubject(clusterId, "a"))).toEqual({
      nodeId: "a",
      role: "PRIMARY",
      leader: "a",
      epoch: 7,
      uptimeMs: 5,
      connected: true,
      incarnation: "i1",
      held: true,
      state: "leader",
    });
    expect(await ask(connection, statusSubject(clusterId, "b"))).toMatchObject({
      nodeId: "b",
      role: "PASSIVE",
    });
    const pong = await ask(connection, pingSubject(clusterId, "b"));
    expect(pong).toEqual({ ok: true, timestamp: expect.any(Number) });
    await expect(ask(connection, pingSubject(clusterId, "c"))).rejects.toThrow(/no responders/);
  });

  test("step down on an empty request, as go-cluster sends it, and hand over on one with a body", async () => {
    const { clusterId, connection, a } = await twoNodes();
    const subject = stepdownSubject(clusterId, "a");
    expect(await ask(connection, subject)).toEqual({ ok: true });
    expect(await ask(connection, subject, "{}")).toEqual({ ok: true });
    expect(await ask(connection, subject, '{"to":"b"}')).toEqual({ ok: true });
    expect(a.stepDowns).toEqual([undefined, undefined, "b"]);
  });

  test("respond with the reason if they do not step down", async () => {
    const { clusterId, connection, b } = await twoNodes();
    const subject = stepdownSubject(clusterId, "b");
    b.failWith = new Error("not the leader");
    expect(await ask(connection, subject)).toEqual({ ok: false, error: "not the leader" });
    for (const body of ["nonsense", "[]", '"b"', '{"to":7}', '{"to":"a.b"}', '{"to":""}']) {
      expect(await ask(connection, subject, body)).toEqual({ ok: false, error: expect.stringContaining("") });
    }
    expect(b.stepDowns).toEqual([undefined]);
  });

  test("respond with an error if the node's status fails, and keep running", async () => {
    const { clusterId, connection, a } = await twoNodes();
    const { status } = a;
    a.status = () => {
      throw new Error("a bug\nin two lines");
    };
    const answer = await connection.request(statusSubject(clusterId, "a"), "", { timeout: 2000 });
    expect(answer.headers?.get("Nats-Service-Error-Code")).toBe("500");
    expect(answer.headers?.get("Nats-Service-Error")).toBe("a bug in two lines");
    a.status = status;
    expect(await ask(connection, statusSubject(clusterId, "a"))).toMatchObject({ nodeId: "a" });
  });

  test("are found by PING, INFO and STATS, of which the last two contain the current role", async () => {
    const { clusterId, connection, a, b } = await twoNodes();
    a.body = { ...a.body, role: "PASSIVE", leader: "b", epoch: 8 };
    b.body = { ...b.body, role: "PRIMARY", leader: "b", epoch: 8 };
    const pings = await allAnswers(connection, `$SRV.PING.${serviceName(clusterId)}`);
    expect(pings.map((ping) => [ping["name"], ping["version"]])).toEqual(
      Array(2).fill([serviceName(clusterId), "1.2.3"]),
    );
    const infos = await allAnswers(connection, `$SRV.INFO.${serviceName(clusterId)}`);
    const metadata = infos.map((info) => info["metadata"] as Record<string, string>);
    expect(metadata).toContainEqual({
      node: "b",
      cluster: clusterId,
      version: "1.2.3",
      role: "PRIMARY",
      epoch: "8",
      leader: "b",
      incarnation: "i1",
    });
    const endpoints = infos.flatMap(
      (info) => info["endpoints"] as { subject: string; queue_group: string }[],
    );
    expect(endpoints.map((endpoint) => endpoint.subject).sort()).toEqual(
      ["a", "b"]
        .flatMap((id) => [
          statusSubject(clusterId, id),
          pingSubject(clusterId, id),
          candidateSubject(clusterId, id),
          stepdownSubject(clusterId, id),
        ])
        .sort(),
    );
    expect(endpoints.every((endpoint) => endpoint.queue_group === "")).toBe(true);
    const stats = await allAnswers(connection, `$SRV.STATS.${serviceName(clusterId)}`);
    const data = stats.flatMap((stat) =>
      (stat["endpoints"] as { data: PeerStatus }[]).map((endpoint) => endpoint.data),
    );
    expect(data).toContainEqual(b.body);
  });

  test("are found by the client of @nats-io/services", async () => {
    const { clusterId, connection } = await twoNodes();
    const client = new Svcm(connection as unknown as ConstructorParameters<typeof Svcm>[0]).client();
    const nodes: string[] = [];
    for await (const info of await client.info(serviceName(clusterId)))
      nodes.push(info.metadata?.["node"] ?? "");
    expect(nodes.sort()).toEqual(["a", "b"]);
  });

  test("are removed by stop(), and no others", async () => {
    const { clusterId, connection, services } = await twoNodes();
    await services[0].service.stop();
    await services[0].service.stop();
    expect(services[0].service.stopped).toBe(true);
    await expect(ask(connection, statusSubject(clusterId, "a"))).rejects.toThrow(/no responders/);
    expect(await ask(connection, statusSubject(clusterId, "b"))).toMatchObject({ nodeId: "b" });
  });
});

describe("a message on a control subject that is no request", () => {
  const STREAM = "S";

  /** A node whose control endpoints record what reaches them, and a stream whose consumers deliver there. */
  async function reachable() {
    const clusterId = freshId();
    const node = fakeNode("a");
    const competed: boolean[] = [];
    await serve(clusterId, { ...node, compete: async (competes) => void competed.push(competes) });
    const { connection } = await link(server);
    const api = async (call: string, body: object): Promise<unknown> =>
      (await connection.request(`$JS.API.${call}`, JSON.stringify(body))).json();
    const subjects = [stepdownSubject(clusterId, "a"), competeSubject(clusterId, "a")];
    return { clusterId, node, competed, connection, api, subjects };
  }

  test("is ignored: a response of the server to another user's request", async () => {
    const { clusterId, node, competed, connection, subjects } = await reachable();
    const arrived = subjects.map((subject) => {
      const heard = deferred();
      connection.subscribe(subject, { callback: () => heard.resolve(), max: 1 });
      return heard.promise;
    });
    for (const reply of subjects) connection.publish("$JS.API.INFO", "", { reply });
    await within(Promise.all(arrived));
    for (const subject of subjects) connection.publish(subject, '{"competes":true}');
    await ask(connection, statusSubject(clusterId, "a")); // the endpoints have handled everything before this request
    expect([node.stepDowns, competed]).toEqual([[], []]);
  });

  test("is ignored: a message or an idle heartbeat of a consumer", async () => {
    const { clusterId, node, competed, connection, api, subjects } = await reachable();
    const stream = `${STREAM}_${clusterId}`;
    const stored = `${stream}.x`;
    await api(`STREAM.CREATE.${stream}`, { name: stream, subjects: [stored], storage: "memory" });
    atEnd(() => api(`STREAM.DELETE.${stream}`, {}));
    await connection.request(stored, '{"competes":true}');
    for (const [index, deliver_subject] of subjects.entries()) {
      const heard = deferred();
      const listener = connection.subscribe(deliver_subject, {
        callback: (_error, message) => {
          if (message.headers?.code === 100) heard.resolve();
        },
      });
      const name = `c${index}`;
      const created = await api(`CONSUMER.CREATE.${stream}.${name}.${stored}`, {
        stream_name: stream,
        config: {
          name,
          deliver_subject,
          deliver_policy: "all",
          ack_policy: "none",
          filter_subject: stored,
          inactive_threshold: 1e9,
          idle_heartbeat: 1e8,
        },
      });
      expect(created).not.toHaveProperty("error");
      await within(heard.promise); // the message was delivered before it
      listener.unsubscribe();
    }
    await ask(connection, statusSubject(clusterId, "a"));
    expect([node.stepDowns, competed]).toEqual([[], []]);
  });
});

test("without control, nothing is served under it", async () => {
  const nats = await link(server);
  const clusterId = freshId();
  const options = { clusterId, nodeId: "w", version: "1.0.0", control: false };
  const service = await startService(nats.connection, options, { ...fakeNode("w"), compete: async () => {} });
  atEnd(() => service.stop());
  for (const subject of [candidateSubject, stepdownSubject, competeSubject]) {
    await expect(ask(nats.connection, subject(clusterId, "w"))).rejects.toThrow(/no responders/);
  }
  expect(await ask(nats.connection, statusSubject(clusterId, "w"))).toMatchObject({ nodeId: "w" });
});

test("a response that is ready after the connection was closed causes no error", async () => {
  const clusterId = freshId();
  const node = fakeNode("a");
  const reached = deferred();
  const go = deferred();
  node.stepDown = async () => {
    reached.resolve();
    await go.promise;
  };
  const { nats } = await serve(clusterId, node);
  const { connection } = await link(server);
  const asking = ask(connection, stepdownSubject(clusterId, "a")).catch(() => "no answer");
  await within(reached.promise);
  await nats.connection.close();
  go.resolve();
  expect(await asking).toBe("no answer");
});

test("a service with a denied subject emits a warning and serves the other subjects", async () => {
  const own = await startNatsServer({
    config: `accounts { A { users: [
      { user: u, password: p, permissions { subscribe { deny: ["$SRV.>"] } } }
      { user: asker, password: p } ] } }`,
  });
  atEnd(() => own.dispose());
  const nats = await link(own, { user: "u", pass: "p" });
  const warnings = new Recorder<string>();
  const options = { clusterId: "x", nodeId: "a", version: "1.0.0" };
  const onWarning = (message: string): void => warnings.push(message);
  const service = await startService(nats.connection, { ...options, onWarning }, fakeNode("a"));
  atEnd(() => service.stop());
  await warnings.next((text) => text.includes('"$SRV.PING"'));
  const { connection } = await link(own, { user: "asker", pass: "p" });
  expect(await ask(connection, statusSubject("x", "a"))).toMatchObject({ nodeId: "a" });
});

test("a service whose connection is closed reports its end", async () => {
  const { nats, ended } = await serve(freshId(), fakeNode("a"));
  await nats.connection.close();
  await within(ended);
});

test("a service on a closed connection is rejected", async () => {
  const nats = await link(server);
  await nats.connection.close();
  await expect(
    startService(nats.connection, { clusterId: "x", nodeId: "a", version: "1.0.0" }, fakeNode("a")),
  ).rejects.toMatchObject({ code: "NO_CONNECTION" });
});
