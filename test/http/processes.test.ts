/** `daemon` and `run` with `--http`: as processes, with their options, logs and exit codes. */
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../scripts/shared/wait.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { cli, configFile, configFor, folder, start, startDaemon } from "../support/cli/run-cli.ts";
import { runHere } from "../support/cli/run-here.ts";
import { freshId } from "../support/fresh-id.ts";
import { get } from "../support/http/door.ts";
import type { Child } from "../support/processes/spawn-child.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

interface Line {
  readonly text?: string;
}

const TOKEN = "0123456789abcdef-token";

function config(
  http?: { readonly listen?: string; readonly tokenFile?: string },
  clusterId = freshId(),
): string {
  return configFile(configFor(server, clusterId, "a", http === undefined ? {} : { http }));
}

/** The log of a daemon is on stdout, that of `run` on stderr. */
async function urlOf(child: Child<Line>): Promise<string> {
  const text = (): string => child.lines.map((line) => line.text ?? "").join("\n") + child.stderr;
  return waitFor(() => /HTTP server at (http:[^"\s]+)/.exec(text())?.[1], {
    timeoutMs: 60_000,
    message: () => `the address of the door in ${text()}`,
  });
}

async function untilStatus(url: string, status: number): ReturnType<typeof get> {
  return waitFor(async () => {
    const got = await get(url);
    return got.status === status ? got : null;
  });
}

async function ends(child: Child<Line>): Promise<void> {
  child.kill("SIGTERM");
  expect(await child.exit).toEqual({ code: 0, signal: null });
}

describe("daemon", () => {
  test("answers where the flag, the variable or the file says, in this order, and names the port that it took", async () => {
    const file = config({ listen: "[invalid, but replaced]:1" }, "replaced");
    const flag = start<Line>(["daemon", "--config", file, "--http", "127.0.0.1:0"], {
      NATS_LEADER_HTTP: "127.0.0.1:1",
    });
    const url = await urlOf(flag);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d{4,5}$/);
    expect(await untilStatus(`${url}/leader`, 200)).toMatchObject({
      json: { clusterId: "replaced", nodeId: "a" },
    });
    expect((await get(`${url}/readyz`)).json).toEqual({ ready: true, reasons: [] });
    expect((await get(`${url}/status`)).json).toMatchObject({
      nodes: [{ running: true, nodeId: "a", state: "leader" }],
    });
    const metrics = await waitFor(async () => {
      const got = await get(`${url}/metrics`);
      return /^nats_leader_is_leader\{cluster="replaced",node="a".*\} 1$/m.test(got.text) ? got : null;
    });
    expect(metrics.headers["content-type"]).toContain("text/plain");
    await ends(flag);
    await expect(get(`${url}/livez`)).rejects.toThrow("ECONNREFUSED");

    const variable = start<Line>(["daemon", "--config", config({ listen: "127.0.0.1:1" })], {
      NATS_LEADER_HTTP: "0",
    });
    expect((await get(`${await urlOf(variable)}/livez`)).status).toBe(200);
    const own = start<Line>(["daemon", "--config", config({ listen: "127.0.0.1:0" })]);
    expect((await get(`${await urlOf(own)}/livez`)).status).toBe(200);
    await Promise.all([ends(variable), ends(own)]);
  });

  test("does not answer without the setting, or with off", async () => {
    for (const [file, args] of [
      [config(), []],
      [config({ listen: "127.0.0.1:1" }), ["--http", "off"]],
    ] as const) {
      const child = start<Line>(["daemon", "--config", file, ...args]);
      await child.next(({ text = "" }) => text.includes("This node is now the LEADER"));
      expect(child.lines.some(({ text = "" }) => text.includes("HTTP"))).toBe(false);
      await ends(child);
    }
  });

  const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === "::1"),
  );
  test.skipIf(!hasIpv6)(
    `listens on IPv6${hasIpv6 ? "" : " (skipped: this machine has no ::1)"}`,
    async () => {
      const child = start<Line>(["daemon", "--config", config(), "--http", "[::1]:0"]);
      const url = await urlOf(child);
      expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/);
      expect((await get(`${url}/status`)).status).toBe(200);
      await ends(child);
    },
  );

  test("an address in use makes it exit 1, and it has not joined the election", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    atEnd(() => taken.close());
    await waitFor(() => taken.listening);
    const { port } = taken.address() as { port: number };
    const clusterId = freshId();
    const ended = await runHere([
      "daemon",
      "--log-level",
      "silent",
      "--config",
      config(undefined, clusterId),
      "--http",
      `127.0.0.1:${port}`,
    ]);
    expect(ended.code).toBe(1);
    expect(ended.stderr).toContain(
      `the HTTP server cannot listen at 127.0.0.1:${port}: another process uses this port: choose another one, or port 0 for a free one`,
    );
    const next = await startDaemon(configFor(server, clusterId, "b"));
    await waitFor(() => next.manager.node?.isLeader());
    expect(next.manager.node?.epoch).toBe(1);
  });

  test("an address that is none, or not of this machine, is refused", async () => {
    for (const [address, code, message] of [
      [
        "127.0.0.1",
        2,
        'http.listen "127.0.0.1" (from --http) must be an address and a port such as "127.0.0.1:9465"',
      ],
      ["127.0.0.1:99999", 2, 'http.listen "127.0.0.1:99999" (from --http) must be'],
      [":9465", 2, 'http.listen ":9465" (from --http) must be'],
      ["http://127.0.0.1:9465", 2, 'http.listen "http://127.0.0.1:9465" (from --http) must be'],
      ["192.0.2.1:9465", 1, "this machine has no such address: use one of its own, or 127.0.0.1"],
    ] as const) {
      const ended = await runHere([
        "daemon",
        "--log-level",
        "silent",
        "--config",
        config(),
        "--http",
        address,
      ]);
      expect([address, ended.code]).toEqual([address, code]);
      expect(ended.stderr).toContain(message);
    }
  });

  test("a token is read from its file or variable, required, and shown nowhere", async () => {
    const tokenFile = join(folder(), "token");
    writeFileSync(tokenFile, `${TOKEN}\n`);
    const file = config({ listen: "127.0.0.1:0", tokenFile });
    const child = start<Line>(["daemon", "--config", file, "--log-level", "debug"]);
    const url = await urlOf(child);
    expect((await get(`${url}/status`)).status).toBe(401);
    const status = await get(`${url}/status`, { headers: { authorization: `Bearer ${TOKEN}` } });
    expect(status.status).toBe(200);
    expect(status.text).not.toContain(TOKEN);
    await ends(child);
    expect(JSON.stringify(child.lines) + child.stderr).not.toContain(TOKEN);

    writeFileSync(tokenFile, "short");
    const short = await runHere(["daemon", "--log-level", "silent", "--config", file]);
    expect([short.code, short.stderr]).toEqual([
      2,
      expect.stringContaining("the token in it (hidden) must be 16 to"),
    ]);
    const both = await runHere(["daemon", "--log-level", "silent", "--config", file], {
      NATS_LEADER_HTTP_TOKEN: "also short",
    });
    expect([both.code, both.stderr]).toEqual([
      2,
      expect.stringContaining("NATS_LEADER_HTTP_TOKEN (hidden) must be"),
    ]);
    expect(both.stderr).not.toContain("also short");
    const checked = await runHere(["config", "check", "--config", file], {
      NATS_LEADER_HTTP_TOKEN: "also short",
    });
    expect([checked.code, checked.stderr]).toEqual([
      2,
      expect.stringContaining("NATS_LEADER_HTTP_TOKEN (hidden) must be"),
    ]);
    const checkedFile = await runHere(["config", "check", "--config", file]);
    expect([checkedFile.code, checkedFile.stderr]).toEqual([
      2,
      expect.stringContaining("the token in it (hidden) must be 16 to"),
    ]);
    const logged = await runHere(["daemon", "--config", file]);
    expect([logged.code, logged.stdout]).toEqual([2, ""]);
    const missing = await runHere([
      "daemon",
      "--log-level",
      "silent",
      "--config",
      config({ listen: "0", tokenFile: "/none" }),
    ]);
    expect([missing.code, missing.stderr]).toEqual([
      2,
      expect.stringContaining('http.tokenFile "/none" cannot be read'),
    ]);
    const inFile = configFile({ ...configFor(server, freshId(), "a"), http: { token: TOKEN } } as never);
    const refused = await runHere(["daemon", "--log-level", "silent", "--config", inFile]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(
      "http.token (hidden) is a secret and must not be in the file: use http.tokenFile",
    );
    expect(refused.stderr).not.toContain(TOKEN);
  });

  test("warns if other machines can reach it without a token", async () => {
    const open = start<Line>(["daemon", "--config", config(), "--http", "0.0.0.0:0"]);
    await open.next(({ text = "" }) => text.includes("level=WARN") && text.includes("no token is required"));
    const closed = start<Line>(["daemon", "--config", config(), "--http", "0.0.0.0:0"], {
      NATS_LEADER_HTTP_TOKEN: TOKEN,
    });
    await closed.next(({ text = "" }) => text.includes("This node is now the LEADER"));
    expect(closed.lines.some(({ text = "" }) => text.includes("no token"))).toBe(false);
    await Promise.all([ends(open), ends(closed)]);
  });

  test("answers while NATS is out of reach: alive, and ready once the node takes part", async () => {
    const nats = await startNatsServer();
    atEnd(() => nats.stop());
    await nats.kill();
    const file = configFile(configFor(nats, freshId(), "a"));
    const child = start<Line>(["daemon", "--config", file, "--http", "0"]);
    const url = await urlOf(child);
    expect((await get(`${url}/livez`)).status).toBe(200);
    expect(await get(`${url}/readyz`)).toMatchObject({ status: 503, json: { ready: false } });
    expect((await get(`${url}/leader`)).status).toBe(503);
    expect((await get(`${url}/metrics`)).status).toBe(200);
    await nats.start();
    await untilStatus(`${url}/readyz`, 200);
    await untilStatus(`${url}/leader`, 200);
    await ends(child);
  });

  test("a signal ends it, whatever its clients do", async () => {
    const child = start<Line>(["daemon", "--config", config(), "--http", "0"]);
    const { port } = new URL(await urlOf(child));
    const sockets = ["", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"].map((bytes) => {
      const socket = connect(Number(port), "127.0.0.1");
      socket.on("error", () => {});
      atEnd(() => socket.destroy());
      if (bytes !== "") socket.write(bytes);
      return socket;
    });
    await waitFor(() => sockets.every((socket) => !socket.connecting));
    await ends(child);
  });
});

describe("run", () => {
  test("answers for the node, while its program runs", async () => {
    const args = ["run", "--config", config(), "--http", "127.0.0.1:0", "--", "sleep", "60"];
    const child = start<Line>(args);
    const url = await urlOf(child);
    expect(await untilStatus(`${url}/leader`, 200)).toMatchObject({ json: { nodeId: "a", epoch: 1 } });
    await ends(child);
  });

  test("answers for the member of a group, and each of its resources", async () => {
    const group = freshId("g");
    const args = [
      "run",
      "--group",
      group,
      "--resources",
      "r1,r2",
      "--node-id",
      "a",
      "--nats-url",
      server.url,
    ];
    const child = start<Line>([...args, "--http", "0", "--", "sleep", "60"]);
    const url = await urlOf(child);
    await untilStatus(`${url}/leader?resource=r2`, 200);
    const got = await untilStatus(`${url}/leader?resource=r1`, 200);
    expect(got).toMatchObject({ json: { groupId: group, memberId: "a", resource: "r1", held: true } });
    expect((await get(`${url}/readyz`)).status).toBe(200);
    const metrics = await get(`${url}/metrics`, { headers: { accept: "application/openmetrics-text" } });
    expect(metrics.headers["content-type"]).toContain("application/openmetrics-text");
    expect(metrics.text).toMatch(
      new RegExp(`^nats_leader_resources_owned\\{group="${group}",node="a".*\\} 2$`, "m"),
    );
    await ends(child);
    const taken = createServer().listen(0, "127.0.0.1");
    atEnd(() => taken.close());
    await waitFor(() => taken.listening);
    const { port } = taken.address() as { port: number };
    const ended = await runHere([...args, "--log-level", "silent", "--http", String(port), "--", "true"]);
    expect([ended.code, ended.stderr]).toEqual([
      1,
      expect.stringContaining("another process uses this port"),
    ]);
  });

  test("does not pass the token to the program", async () => {
    const args = ["run", "--config", config(), "--", "sh", "-c", 'echo "[$NATS_LEADER_HTTP_TOKEN]"'];
    expect((await cli(args, { env: { NATS_LEADER_HTTP_TOKEN: TOKEN } })).stdout).toBe("[]\n");
  });
});
