/** The routes, with invented nodes and members: which answer each state gives, and what is refused. */
import { describe, expect, test } from "vitest";
import { createHandler, type Handler, type HandlerOptions, type ServedNode } from "../../src/http.ts";
import { FOLLOWER, LEADER, servedMember, servedNode } from "../support/http/views.ts";

type Json = Record<string, unknown>;

async function ask(
  handler: Handler,
  path: string,
  init: RequestInit = {},
  host = "127.0.0.1:9465",
): Promise<{ status: number; headers: Headers; text: string; json: Json }> {
  const response = await handler(new Request(`http://${host}${path}`, init));
  const text = await response.text();
  const isJson = response.headers.get("content-type") === "application/json" && text !== "";
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : {} };
}

function handlerOf(...nodes: readonly ServedNode[]): Handler {
  return createHandler({ nodes });
}

describe("/livez", () => {
  test("is true whatever the nodes do", async () => {
    const states = [servedNode(null), servedNode({ stopping: true }), servedNode({ answeredMs: 60_000 })];
    for (const node of states) {
      expect(await ask(handlerOf(node), "/livez")).toMatchObject({ status: 200, json: { live: true } });
    }
  });
});

describe("/readyz", () => {
  async function reasons(options: HandlerOptions): Promise<unknown> {
    const { status, json } = await ask(createHandler(options), "/readyz");
    expect(json["ready"]).toBe(status === 200);
    expect(status === 200 || status === 503).toBe(true);
    return json["reasons"];
  }

  test("leaders, followers, suspended nodes, observers and nodes that left the election are ready", async () => {
    const nodes = [
      servedNode({}, LEADER),
      servedNode({}),
      servedNode({ state: "suspended", connected: false }),
      servedNode({ state: "draining" }),
      servedNode({ competes: false }),
      servedNode({ leader: "", epoch: 0, leaderSince: null }),
    ];
    expect(
      await reasons({ nodes, groups: [servedMember({}), servedMember({ owned: 0, draining: true })] }),
    ).toEqual([]);
  });

  test("a node that does not run, or is stopping, is not ready", async () => {
    expect(await reasons({ nodes: [servedNode(null)] })).toEqual([
      'node "a" of cluster "billing" is not running: it has not connected to NATS yet, or has stopped',
    ]);
    expect(await reasons({ nodes: [servedNode({ stopping: true })] })).toEqual([
      'node "a" of cluster "billing" is stopping',
    ]);
  });

  test("a node is ready until NATS has been silent for longer than the span", async () => {
    expect(await reasons({ nodes: [servedNode({ answeredMs: 9_500, connected: false })] })).toEqual([]);
    expect(await reasons({ nodes: [servedNode({ answeredMs: 9_501 })] })).toEqual([
      'node "a" of cluster "billing": NATS has not answered for 9501 ms, longer than the span of 9500 ms',
    ]);
  });

  test("a member without a session is not ready", async () => {
    expect(await reasons({ groups: [servedMember({ state: "joining", answeredMs: null })] })).toEqual([
      'member "a" of group "orders" has no session: NATS has not confirmed one, or it has expired',
    ]);
  });

  test("every node and member has to be ready", async () => {
    const nodes = [servedNode({}), servedNode(null)];
    expect(await reasons({ nodes, groups: [servedMember({ stopping: true })] })).toHaveLength(2);
  });

  test("a manager whose daemon does not run is not ready", async () => {
    expect(await reasons({ manager: { node: null } })).toEqual(["the daemon is not running"]);
    expect(await reasons({ manager: { node: servedNode({}) } })).toEqual([]);
  });

  test("a process without nodes is ready", async () => {
    expect(await reasons({})).toEqual([]);
  });
});

describe("/leader", () => {
  test("200 with node and epoch while the node may act as the leader", async () => {
    const { status, json } = await ask(handlerOf(servedNode({}, LEADER)), "/leader");
    expect(status).toBe(200);
    expect(json).toEqual({
      clusterId: "billing",
      nodeId: "a",
      epoch: 7,
      held: true,
      since: 1_700_000_000_000,
      remainingMs: 9_000,
    });
  });

  test("503 with the known leader on a follower", async () => {
    const { status, json } = await ask(handlerOf(servedNode({})), "/leader");
    expect(status).toBe(503);
    expect(json).toEqual({
      held: false,
      clusterId: "billing",
      nodeId: "a",
      leader: { nodeId: "b", epoch: 7, since: 1_700_000_000_000 },
      reason: "the node is follower",
    });
  });

  test("503 while the term is suspended, and without a leader", async () => {
    const suspended = servedNode({ state: "suspended", held: false, remainingMs: 0 }, LEADER);
    expect(await ask(handlerOf(suspended), "/leader")).toMatchObject({
      status: 503,
      json: { leader: { nodeId: "a" }, reason: "the node is suspended" },
    });
    const alone = servedNode({ leader: "", epoch: 0, leaderSince: null });
    expect(await ask(handlerOf(alone), "/leader")).toMatchObject({ status: 503, json: { leader: null } });
    expect(await ask(handlerOf(servedNode(null)), "/leader")).toMatchObject({
      status: 503,
      json: { leader: null, reason: "the node is not running" },
    });
    expect(await ask(handlerOf(), "/leader")).toMatchObject({ status: 503, json: { leader: null } });
  });

  test("HEAD has the status and the length, and no body", async () => {
    const get = await ask(handlerOf(servedNode({}, LEADER)), "/leader");
    const head = await ask(handlerOf(servedNode({}, LEADER)), "/leader", { method: "HEAD" });
    expect(head.status).toBe(200);
    expect(head.text).toBe("");
    expect(head.headers.get("content-length")).toBe(String(get.text.length));
    expect((await ask(handlerOf(servedNode({})), "/leader", { method: "HEAD" })).status).toBe(503);
  });

  test("two nodes of one cluster: the one that leads, wherever it is in the list", async () => {
    const nodes = [servedNode({ nodeId: "x" }), servedNode({ nodeId: "y", leader: "y" }, LEADER)];
    for (const list of [nodes, [...nodes].reverse()]) {
      const { status, json } = await ask(handlerOf(...list), "/leader");
      expect([status, json["nodeId"]]).toEqual([200, "y"]);
    }
    expect((await ask(handlerOf(...nodes), "/leader?node=x")).status).toBe(503);
    expect((await ask(handlerOf(...nodes), "/leader?node=y")).status).toBe(200);
  });

  test("two clusters: the request must name one", async () => {
    const handler = handlerOf(servedNode({}, LEADER), servedNode({ clusterId: "mail" }));
    expect(await ask(handler, "/leader")).toMatchObject({
      status: 400,
      json: { clusters: ["billing", "mail"], error: expect.stringContaining("?cluster=ID") },
    });
    expect((await ask(handler, "/leader?cluster=billing")).status).toBe(200);
    expect((await ask(handler, "/leader?cluster=mail")).status).toBe(503);
    expect(await ask(handler, "/leader?cluster=none")).toMatchObject({
      status: 503,
      json: { clusterId: "none", leader: null, reason: "no such node runs in this process" },
    });
  });

  test("a resource of a group: 200 for the owner while it is held, 503 with the owner elsewhere", async () => {
    const handler = createHandler({ groups: [servedMember({})] });
    expect(await ask(handler, "/leader?resource=r1")).toMatchObject({
      status: 200,
      json: { groupId: "orders", memberId: "a", resource: "r1", epoch: 4, held: true, remainingMs: 8_000 },
    });
    expect(await ask(handler, "/leader?group=orders&resource=r2")).toMatchObject({
      status: 503,
      json: { owner: { memberId: "b", epoch: 5 } },
    });
    expect(await ask(handler, "/leader?resource=r3")).toMatchObject({ status: 503, json: { owner: null } });
    expect(await ask(handler, "/leader?resource=")).toMatchObject({ status: 503, json: { owner: null } });
    expect((await ask(handler, "/leader?group=orders")).status).toBe(400);
    expect((await ask(handler, "/leader?group=other&resource=r1")).status).toBe(503);
    const suspended = createHandler({ groups: [servedMember({ held: false }, false)] });
    expect((await ask(suspended, "/leader?resource=r1")).status).toBe(503);
  });

  test("a parameter that there is not: 400 with its name and the list, also on the leader", async () => {
    for (const [search, name] of [
      ["?clustr=zzz", "clustr"],
      ["?cluster=billing&Node=a", "Node"],
      ["?=x", ""],
      ["?%1b%E2%80%AE=x", "\\u001b\\u202e"],
      [`?${"x".repeat(100)}`, `${"x".repeat(40)}...`],
    ] as const) {
      expect(await ask(handlerOf(servedNode({}, LEADER)), `/leader${search}`)).toMatchObject({
        status: 400,
        json: {
          error: `there is no parameter "${name}": there are cluster, node, group, member, resource`,
          parameters: ["cluster", "node", "group", "member", "resource"],
        },
      });
    }
    expect((await ask(handlerOf(servedNode({}, LEADER)), "/leader?")).status).toBe(200);
  });
});

describe("/status", () => {
  test("has every node and member, also several of the same name, and those that do not run", async () => {
    const nodes = [servedNode({}, LEADER), servedNode({}), servedNode(null)];
    const groups = [servedMember({}), servedMember({}), servedMember(null)];
    const { status, json } = await ask(createHandler({ nodes, groups }), "/status");
    expect(status).toBe(200);
    expect(json["nodes"]).toEqual([
      { running: true, ...LEADER },
      { running: true, ...FOLLOWER },
      { running: false, clusterId: "billing", nodeId: "a" },
    ]);
    expect(json["groups"]).toMatchObject([
      { running: true, groupId: "orders", unowned: 1, members: ["a", "b"] },
      { running: true },
      { running: false, groupId: "orders", memberId: "a" },
    ]);
  });

  test("nodes that come and go are seen", async () => {
    const nodes = new Set<ServedNode>();
    const handler = createHandler({ nodes });
    expect((await ask(handler, "/status")).json["nodes"]).toEqual([]);
    nodes.add(servedNode({}));
    await expect.poll(async () => (await ask(handler, "/status")).json["nodes"]).toHaveLength(1);
  });

  test("shows no secret", async () => {
    const secrets = ["hunter2", "SUAKYRHVIOREXV7EUZTBHUHL7NUMHPMAS7QMDU3GTIUWEI5LDNOXD43IZY"];
    const blocked = `hook of nats://bob:${secrets[0]}@host:4222 with ${secrets[1]}`;
    const { text } = await ask(handlerOf(servedNode({ blocked })), "/status");
    expect(text).toContain("***");
    for (const secret of secrets) expect(text).not.toContain(secret);
  });
});

describe("/metrics", () => {
  test("has what the source gives for the format that the client accepts", async () => {
    const handler = createHandler({
      metrics: (accept) => ({ contentType: `${accept}; charset=utf-8`, body: `for ${accept}\n` }),
    });
    const plain = await ask(handler, "/metrics");
    expect([plain.status, plain.text]).toEqual([200, "for text/plain\n"]);
    expect(plain.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    const accept =
      "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    expect((await ask(handler, "/metrics", { headers: { accept } })).text).toBe(
      "for application/openmetrics-text\n",
    );
  });

  test("is no route without a source", async () => {
    const { status, json } = await ask(createHandler({}), "/metrics");
    expect([status, json["routes"]]).toEqual([404, ["/livez", "/readyz", "/leader", "/status"]]);
  });

  test("a source that throws gives 500 without the reason, and the reason to onError", async () => {
    const seen: unknown[] = [];
    const metrics = (): never => {
      throw new Error("secret");
    };
    const answer = await ask(createHandler({ metrics, onError: (error) => seen.push(error) }), "/metrics");
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain("secret");
    expect(seen).toEqual([new Error("secret")]);
  });
});

describe("what is refused", () => {
  test("every method but GET and HEAD", async () => {
    for (const path of ["/livez", "/readyz", "/leader", "/status", "/metrics"]) {
      for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        const metrics = () => ({ contentType: "text/plain", body: "" });
        const answer = await ask(createHandler({ metrics }), path, { method });
        expect([path, method, answer.status]).toEqual([path, method, 405]);
        expect(answer.headers.get("allow")).toBe("GET, HEAD");
      }
    }
  });

  test("paths that are no routes, with the list of those that are", async () => {
    const handler = createHandler({
      basePath: "/ops",
      mounts: { "/ui/": { handle: () => new Response("ui") } },
    });
    for (const path of [
      "/",
      "/livez",
      "/ops",
      "/ops/",
      "/ops/livez/",
      "/ops/Livez",
      "/ops//livez",
      "/opslivez",
    ]) {
      const { status, json } = await ask(handler, path);
      expect([path, status]).toEqual([path, 404]);
      expect(json["routes"]).toEqual(["/ops/livez", "/ops/readyz", "/ops/leader", "/ops/status", "/ops/ui/"]);
    }
    expect((await ask(handler, "/ops/livez?x=1")).status).toBe(200);
  });

  const TOKEN = "0123456789abcdef";
  const basic = (login: string): string => `Basic ${Buffer.from(login).toString("base64")}`;

  test("requests without the token, but for health", async () => {
    const mounts = { "/ui/": { handle: () => new Response("ui") } };
    const metrics = () => ({ contentType: "text/plain", body: "" });
    const handler = createHandler({ nodes: [servedNode(null)], token: TOKEN, mounts, metrics });
    for (const path of ["/leader", "/status", "/metrics", "/ui/", "/ui/app.js"]) {
      for (const authorization of [
        undefined,
        "",
        "Bearer",
        `Bearer ${TOKEN}x`,
        `Bearer ${TOKEN.slice(1)}`,
        TOKEN,
        basic(":wrong"),
        `Digest ${TOKEN}`,
      ]) {
        const headers = authorization === undefined ? {} : { authorization };
        const answer = await ask(handler, path, { headers });
        expect([path, authorization, answer.status]).toEqual([path, authorization, 401]);
        expect(answer.headers.get("www-authenticate")).toContain("Bearer");
        expect(answer.text).not.toContain(TOKEN);
      }
      expect((await ask(handler, `${path}?token=${TOKEN}`)).status).toBe(401);
      for (const authorization of [`Bearer ${TOKEN}`, `bearer  ${TOKEN} `, basic(`anyone:${TOKEN}`)]) {
        expect((await ask(handler, path, { headers: { authorization } })).status).not.toBe(401);
      }
    }
    expect((await ask(handler, "/livez")).status).toBe(200);
    expect((await ask(handler, "/readyz")).json).toEqual({ ready: false });
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect((await ask(handler, "/readyz", { headers })).json["reasons"]).toHaveLength(1);
  });

  test("names of other hosts for what a page could read, if hosts are given", async () => {
    const handler = createHandler({ nodes: [servedNode({})], hosts: ["Ops.Example.com"] });
    const at = async (host: string, path = "/status"): Promise<number> =>
      (await ask(handler, path, {}, host)).status;
    for (const host of [
      "evil.example",
      "evil.example:9465",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
    ])
      expect([host, await at(host)]).toEqual([host, 421]);
    for (const host of [
      "127.0.0.1:9465",
      "[::1]:9465",
      "10.1.2.3",
      "localhost:9465",
      "a.localhost",
      "daemon:9465",
    ])
      expect([host, await at(host)]).toEqual([host, 200]);
    expect(await at("ops.example.com")).toBe(200);
    // Load balancers send the name of the site.
    expect(await at("evil.example", "/leader")).toBe(503);
    expect(await at("evil.example", "/readyz")).toBe(200);
  });
});

describe("mounts", () => {
  const posted: string[] = [];
  const handler = createHandler({
    mounts: {
      "/ui/": { handle: (request) => new Response(new URL(request.url).pathname) },
      "/do/": {
        methods: ["POST"],
        handle: async (request) => {
          posted.push(await request.text());
          return new Response("done");
        },
      },
    },
  });

  test("get everything below their path", async () => {
    expect((await ask(handler, "/ui/")).text).toBe("/ui/");
    expect((await ask(handler, "/ui/a/b.js?c=1")).text).toBe("/ui/a/b.js");
    expect((await ask(handler, "/uix/")).status).toBe(404);
    const moved = await ask(handler, "/ui?a=1");
    expect([moved.status, moved.headers.get("location")]).toEqual([308, "ui/?a=1"]);
  });

  test("get other methods only if they name them, and none from pages of other sites", async () => {
    expect((await ask(handler, "/ui/", { method: "POST" })).status).toBe(405);
    const post = (headers: Record<string, string>) =>
      ask(handler, "/do/x", { method: "POST", body: "b", headers });
    expect((await post({ origin: "http://evil.example" })).status).toBe(403);
    expect((await post({ origin: "null" })).status).toBe(403);
    expect(posted).toEqual([]);
    expect((await post({ origin: "http://127.0.0.1:9465" })).status).toBe(200);
    expect((await post({})).text).toBe("done");
    expect(posted).toEqual(["b", "b"]);
    expect((await ask(handler, "/do/x", { method: "DELETE" })).headers.get("allow")).toBe("GET, HEAD, POST");
  });

  test("get other methods under addresses, localhost and the hosts only, and hear of each that was refused", async () => {
    const [refused, reached]: [unknown[], string[]] = [[], []];
    const handler = createHandler({
      hosts: ["ops.example"],
      mounts: {
        "/do/": {
          methods: ["POST"],
          handle: ({ url, method }) => {
            reached.push(`${method} ${url}`);
            return new Response("done");
          },
          refused: (reason, from) => refused.push([reason, from]),
        },
      },
    });
    const send = async (host: string, method: string, headers = {}): Promise<number> =>
      (await handler(new Request(`http://${host}/do/x`, { method, headers }), "192.0.2.1")).status;
    for (const host of ["127.0.0.1:9465", "[::1]:9465", "localhost:9465", "ops.example"])
      expect([host, await send(host, "POST", { origin: `http://${host}` })]).toEqual([host, 200]);
    expect(reached).toHaveLength(4);
    expect(refused).toEqual([]);
    for (const host of ["wiki:9465", "a.localhost:9465", "evil.example"])
      expect([host, await send(host, "POST", { origin: `http://${host}` })]).toEqual([host, 421]);
    expect(await send("127.0.0.1:9465", "POST", { origin: "http://127.0.0.1:1" })).toBe(403);
    expect(await send("127.0.0.1:9465", "DELETE")).toBe(405);
    expect(reached).toHaveLength(4);
    const hostReason =
      "this host name is not allowed here: use an address or localhost, or add the name to hosts";
    expect(refused).toEqual([
      ...[1, 2, 3].map(() => [hostReason, "192.0.2.1"]),
      ["a page of another site sent this request", "192.0.2.1"],
      ["only GET, HEAD, POST are answered here", "192.0.2.1"],
    ]);
    // Reading changes nothing, so it is not logged.
    expect([await send("wiki:9465", "GET"), await send("evil.example", "GET")]).toEqual([200, 421]);
    expect(refused).toHaveLength(5);
  });

  test("that throw give 500", async () => {
    const mounts = { "/ui/": { handle: () => Promise.reject(new Error("secret")) } };
    const answer = await ask(createHandler({ mounts }), "/ui/");
    expect([answer.status, answer.text.includes("secret")]).toEqual([500, false]);
  });
});

test("no answer may be stored, or taken for another type", async () => {
  for (const path of ["/livez", "/readyz", "/leader", "/status", "/none"]) {
    const { headers } = await ask(handlerOf(servedNode({})), path);
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test.each([
  [{ basePath: "ops" }, 'basePath "ops" must begin with / and not end with it'],
  [{ basePath: "/ops/" }, 'basePath "/ops/" must'],
  [{ basePath: "/a b" }, 'basePath "/a b" must'],
  [{ basePath: "/../x" }, 'basePath "/../x" must'],
  [{ token: "short" }, "token (hidden) must be 16 to 1024 printable ASCII characters"],
  [{ token: "0123456789 abcdef" }, "token (hidden) must be"],
  [{ hosts: ["a b"] }, "hosts must be a list of host names"],
  [{ metrics: "yes" }, "metrics must be a function, not a string"],
  [{ mounts: { ui: { handle: () => new Response() } } }, 'mounts["ui"] must begin and end with /'],
  [{ mounts: { "/ui/": {} } }, 'mounts["/ui/"].handle must be a function'],
  [{ mounts: { "/ui/": { refused: 1 } } }, 'mounts["/ui/"].refused must be a function, not a number'],
])("options that are not valid: %j", (options, message) => {
  expect(() => createHandler(options as HandlerOptions)).toThrow(
    expect.objectContaining({ code: "INVALID_CONFIG", message: expect.stringContaining(message) }),
  );
});
