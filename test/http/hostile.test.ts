/** Clients that mean harm, on real sockets: what each of them gets, and that a leader keeps its term and answers all the same. */
import { connect } from "node:net";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import type { HttpServer } from "../../src/http.ts";
import { atEnd } from "../support/at-end.ts";
import { freshId } from "../support/fresh-id.ts";
import { get, openDoor } from "../support/http/door.ts";
import { LEADER, servedNode } from "../support/http/views.ts";
import { startLeader } from "../support/node/test-node.ts";
import { LONG, PATIENCE_MS } from "../support/patience.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();
const REQUEST = "GET /leader HTTP/1.1\r\nHost: a\r\n\r\n";

interface Exchange {
  readonly text: string;
  /** The server has closed the connection. */
  readonly closed: boolean;
}

/** Sends the bytes, and resolves when the server has closed the connection, or `isComplete`. */
function exchange(
  { port }: HttpServer,
  bytes: string,
  isComplete: (text: string) => boolean = () => false,
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes, "latin1"));
    let text = "";
    const end = (closed: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, closed });
    };
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the connection is still open; ${text.length} bytes came: ${text.slice(0, 200)}`));
    }, PATIENCE_MS);
    socket.setEncoding("latin1");
    socket.on("data", (chunk: string) => {
      text += chunk;
      if (isComplete(text)) end(false);
    });
    socket.on("error", () => {});
    socket.on("close", () => end(true));
  });
}

function statusOf({ text }: Exchange): number {
  return Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0);
}

async function doorOfLeader(maxConnections?: number): Promise<HttpServer> {
  return openDoor({ nodes: [servedNode({}, LEADER)], token: undefined, maxConnections });
}

describe("one connection", () => {
  test("with requests that do not wait for answers is closed", async () => {
    const door = await doorOfLeader();
    const few = await exchange(door, REQUEST.repeat(10));
    expect(few.closed).toBe(true);
    expect(few.text.match(/HTTP\/1\.1 200/g)?.length ?? 0).toBeLessThanOrEqual(1);
    // More than a request has: it is not even parsed.
    expect(await exchange(door, REQUEST.repeat(1_000))).toEqual({ text: "", closed: true });
  });

  test("with one request after the other stays open", async () => {
    const door = await doorOfLeader();
    const socket = connect(door.port, "127.0.0.1");
    atEnd(() => socket.destroy());
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
    for (let count = 1; count <= 5; count++) {
      socket.write(REQUEST);
      await waitFor(() => (text.match(/"held":true/g) ?? []).length === count);
    }
    expect(socket.destroyed).toBe(false);
  });

  test("with a body gets its answer and is closed, however long the body is", async () => {
    const door = await doorOfLeader();
    const withLength = `Host: a\r\nContent-Length: 1000000000\r\n\r\n${"b".repeat(1_000)}`;
    expect(statusOf(await exchange(door, `GET /leader HTTP/1.1\r\n${withLength}`))).toBe(200);
    expect(statusOf(await exchange(door, `POST /leader HTTP/1.1\r\n${withLength}`))).toBe(405);
    const chunked = "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    expect(statusOf(await exchange(door, `GET /leader HTTP/1.1\r\n${chunked}`))).toBe(200);
    const expecting = "Host: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n";
    expect(statusOf(await exchange(door, `POST /leader HTTP/1.1\r\n${expecting}`))).toBe(405);
  });

  test("with long headers gets 431, and of many short ones the first are read", async () => {
    const door = await doorOfLeader();
    const long = await exchange(
      door,
      `GET /leader HTTP/1.1\r\nHost: a\r\nX-A: ${"a".repeat(10_000)}\r\n\r\n`,
    );
    expect(statusOf(long)).toBe(431);
    const many = await exchange(
      door,
      `GET /leader HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${"A: b\r\n".repeat(1_500)}\r\n`,
    );
    expect(statusOf(many)).toBe(200);
  });

  test.each([
    ["no HTTP at all", "\x16\x03\x01\x02\x00\x01\x00", [400]],
    ["no host", "GET /status HTTP/1.1\r\n\r\n", [400]],
    [
      "a host that is none",
      "GET /status HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
      [200, 400, 421],
    ],
    [
      "a name of another site",
      "GET /status HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
      [421],
    ],
    [
      "a login in the host",
      "GET /status HTTP/1.1\r\nHost: 127.0.0.1@evil.example\r\nConnection: close\r\n\r\n",
      [421],
    ],
    [
      "the URL of a proxy",
      "GET http://evil.example/leader HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
      [400],
    ],
    ["a tunnel", "CONNECT evil.example:443 HTTP/1.1\r\nHost: a\r\n\r\n", [0]],
    ["an asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", [400]],
    ["a trace", "TRACE /leader HTTP/1.1\r\nHost: a\r\nX-Secret: s\r\nConnection: close\r\n\r\n", [405]],
    [
      "an upgrade",
      "GET /leader HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
      [200],
    ],
    [
      "two lengths",
      "POST /leader HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
      [400],
    ],
    [
      "two ways to say a length",
      "POST /leader HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      [400],
    ],
    ["a path that climbs", "GET /../../etc/passwd HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", [404]],
    ["HTTP/1.0", "GET /leader HTTP/1.0\r\n\r\n", [200]],
  ])("with %s", async (_what, bytes, statuses) => {
    const door = await doorOfLeader();
    const isUpgrade = bytes.includes("upgrade");
    const got = await exchange(door, bytes, (text) => isUpgrade && text.includes('"held":true'));
    expect(statuses).toContain(statusOf(got));
    expect(got.text).not.toContain("X-Secret");
  });
});

test("connections that send nothing, or headers without end, are closed; each costs nothing else", async () => {
  const door = await doorOfLeader();
  const begun = [
    exchange(door, ""),
    exchange(door, "GET /leader HTTP/1.1\r\n"),
    exchange(door, "GET /leader HTTP/1.1\r\nHost: a\r\nX-A: b\r\n"),
  ];
  expect((await get(`${door.url}/leader`)).status).toBe(200);
  for (const { closed, text } of await Promise.all(begun)) {
    expect(closed).toBe(true);
    expect(text === "" || text.startsWith("HTTP/1.1 408")).toBe(true);
  }
});

test("connections beyond the limit are closed at once, and those within it are served", async () => {
  const door = await doorOfLeader(3);
  const held = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const socket = connect(door.port, "127.0.0.1");
      atEnd(() => socket.destroy());
      socket.on("error", () => {});
      socket.write(REQUEST);
      await new Promise((resolve) => socket.once("data", resolve));
      return socket;
    }),
  );
  const refused = await Promise.all(Array.from({ length: 50 }, () => exchange(door, REQUEST)));
  expect(refused.map(({ text }) => text)).toEqual(Array.from({ length: 50 }, () => ""));
  held[0]?.destroy();
  await waitFor(() =>
    get(`${door.url}/leader`).then(
      ({ status }) => status === 200,
      () => false,
    ),
  );
});

test.each([
  ["silent", 5_000],
  ["slow", 500],
  ["pipeline", 100],
  ["bursts", 100],
  ["headers", 100],
  ["body", 100],
  ["noise", 100],
])(
  "an attack of the kind %s with %i connections ends no term, and the door answers afterwards",
  async (kind, count) => {
    const leader = await startLeader(server, { clusterId: freshId(), nodeId: "a", ...LONG });
    const { epoch } = leader.node;
    const door = await openDoor({ nodes: [leader.node] });
    const attacker = spawnChild<{ readonly opened?: number; readonly tried?: number }>(
      "test/support/http/children/attacker.ts",
      { args: [String(door.port), kind, String(count)] },
    );
    atEnd(() => attacker[Symbol.asyncDispose]());
    await attacker.next(({ opened }) => opened === count);
    attacker.send({});
    await attacker.exit;
    await waitFor(() =>
      get(`${door.url}/leader`).then(
        ({ status }) => status === 200,
        () => false,
      ),
    );
    expect(leader.node.epoch).toBe(epoch);
    expect(leader.count("lose-leadership")).toBe(0);
  },
);
