/** docs/http.md: its blocks are valid, and its lists are complete. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import express from "express";
import fastify from "fastify";
import { Hono } from "hono";
import { expect, onTestFinished, test } from "vitest";
import { findHaproxy } from "../../scripts/shared/haproxy.ts";
import { checkConfig } from "../../src/config/file/load.ts";
import { createHandler } from "../../src/http.ts";
import { Node } from "../../src/index.ts";
import { blockOf, documentBlocks } from "../support/docs/blocks.ts";
import { get } from "../support/http/door.ts";
import { SNIPPETS } from "../support/http/snippets.ts";
import { ROOT } from "../support/processes/node-command.ts";

const FILE = "docs/http.md";
const text = readFileSync(join(ROOT, FILE), "utf8");
/** Without indentation and imports. */
const normal = (code: string): string =>
  code
    .replaceAll(/^import .*\n\n?/gm, "")
    .split("\n")
    .map((line) => line.trim())
    .join("\n")
    .trim();

test("the TypeScript blocks are in snippets.ts, which is compiled with the tests", () => {
  const compiled = normal(readFileSync(join(ROOT, "test/support/http/snippets.ts"), "utf8"));
  const own = documentBlocks().filter(({ file, language }) => file === FILE && language === "ts");
  expect(own).toHaveLength(2);
  for (const { code } of own) for (const part of normal(code).split("\n\n")) expect(compiled).toContain(part);
});

test("the handler answers in the frameworks as they are set up there", async () => {
  const [expressApp, honoApp, fastifyApp] = [express(), new Hono(), fastify()];
  SNIPPETS.frameworks(new Node({ clusterId: "billing", servers: "nats://127.0.0.1:1" }), {
    expressApp,
    honoApp,
    fastifyApp,
  });
  expect((await honoApp.request("/ops/livez")).status).toBe(200);
  expect((await fastifyApp.inject("/ops/readyz")).statusCode).toBe(503);
  const server = expressApp.listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  expect((await get(`http://127.0.0.1:${port}/ops/leader`)).status).toBe(503);
});

test("the configuration is valid", () => {
  const { http } = checkConfig(JSON.parse(blockOf(FILE, "{").code));
  expect(http).toMatchObject({ listen: "127.0.0.1:9465", tokenFile: "/etc/nats-leader/http-token" });
});

const program = findHaproxy();
const why = program === null ? " (skipped: haproxy is not installed: apt-get install haproxy)" : "";

test.skipIf(program === null)(`HAProxy accepts its configuration, also with a token${why}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-haproxy-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const { code } = blockOf(FILE, "defaults");
  const [, send = ""] = /`(http-check send .*?)`/.exec(text) ?? [];
  for (const [name, config] of [
    ["plain", code],
    ["token", code.replace("option httpchk GET /leader", `option httpchk\n  ${send}`)],
  ] as const) {
    const path = join(folder, `${name}.cfg`);
    writeFileSync(path, `${config}\n`);
    const { status, stderr } = spawnSync(program ?? "", ["-c", "-f", path], { encoding: "utf8" });
    expect([name, status, stderr]).toEqual([name, 0, expect.any(String)]);
  }
});

test("the table of routes has every route, and no other", async () => {
  const metrics = () => ({ contentType: "text/plain", body: "" });
  const response = await createHandler({ metrics })(new Request("http://localhost/none"));
  const { routes } = (await response.json()) as { routes: string[] };
  const table = text.slice(text.indexOf("## Routes"), text.indexOf("### `/readyz`"));
  expect([...table.matchAll(/^\| `(\/\w+)` \|/gm)].map(([, route]) => route)).toEqual(routes);
});
