import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { startProxy } from "../../scripts/shared/tcp-proxy.ts";
import { FencedStream } from "../../src/fencing.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, deleteStream, termOf } from "../support/fencing/terms-and-servers.ts";

test("a write without permission is refused at once, and the error names the subject to allow", async () => {
  const config = `authorization { users: [
    { user: admin, password: x },
    { user: app, password: x, permissions: { publish: ["$JS.API.>", "nats_leader.>", "l.allowed"], subscribe: ["_INBOX.>"] } }
  ] }`;
  const server = await startNatsServer({ config });
  atEnd(() => server.dispose());
  const admin = await connect({ servers: server.url, user: "admin", pass: "x" });
  atEnd(() => admin.close());
  await api(admin, "STREAM.CREATE.L", { name: "L", subjects: ["l.>", "nats_leader.fence.L.>"] });
  const app = await connect({ servers: server.url, user: "app", pass: "x" });
  atEnd(() => app.close());
  const store = await FencedStream.connect(app, { stream: "L" });
  atEnd(() => store.close());
  const writer = await store.open(termOf(1));
  const denied = writer.publish("l.forbidden");
  await expect(denied).rejects.toMatchObject({ code: "AUTHORIZATION" });
  await expect(denied).rejects.toThrow(/l\.forbidden/);
  await writer.publish("l.allowed");
});

/** A server whose user can be given other permissions while it is connected, through a proxy. */
async function withPermissions() {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-permissions-"));
  atEnd(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "users.conf");
  const allow = (publish: string, subscribe: string): void => {
    writeFileSync(
      file,
      `authorization { users: [
        { user: admin, password: x },
        { user: app, password: x, permissions: { publish: ["$JS.API.>", "nats_leader.>", "${publish}"], subscribe: ["${subscribe}"] } }
      ] }`,
    );
  };
  allow("l.>", "_INBOX.>");
  // nats-server resolves included paths relative to the including file, even absolute ones.
  const include = join("../".repeat(20), file);
  const server = await startNatsServer({ config: `include ${JSON.stringify(include)}` });
  atEnd(() => server.dispose());
  const proxy = await startProxy({ target: { port: server.port } });
  atEnd(() => proxy.close());
  const admin = await connect({ servers: server.url, user: "admin", pass: "x" });
  atEnd(() => admin.close());
  await api(admin, "STREAM.CREATE.L", { name: "L", subjects: ["l.>", "nats_leader.fence.L.>"] });
  const app = await connect({ servers: proxy.url, user: "app", pass: "x", reconnectTimeWait: 20 });
  atEnd(() => app.close());
  const store = await FencedStream.connect(app, { stream: "L" });
  atEnd(() => store.close());
  /** Resolves when the server has the new permissions. */
  const permit = async (publish: string, subscribe: string): Promise<void> => {
    const reloads = () =>
      server.logs().filter((line) => line.includes("Reloaded server configuration")).length;
    const before = reloads();
    allow(publish, subscribe);
    if (server.pid === undefined) throw new Error("the server has no process of its own");
    process.kill(server.pid, "SIGHUP");
    await expect.poll(reloads).toBe(before + 1);
  };
  return { proxy, permit, writer: await store.open(termOf(1)) };
}

test("a permission that is withdrawn refuses the later writes only, although their report comes before an earlier answer", async () => {
  const { proxy, permit, writer } = await withPermissions();
  const reply = proxy.takeReplyTo((frame) => frame.subject === "l.x");
  const first = writer.publish("l.x", "1");
  const answer = await reply;
  await permit("other", "_INBOX.>");
  const refused = proxy.takeNextToClient((frame) => frame.text.includes("Permissions Violation"));
  const second = writer.publish("l.x", "2");
  const outcome = expect(second).rejects.toMatchObject({ code: "AUTHORIZATION" });
  (await refused).release();
  answer.release();
  expect(await first).toMatchObject({ duplicate: false });
  await outcome;
  await permit("l.>", "_INBOX.>");
  await writer.publish("l.x", "3");
});

test("without permission to receive answers nothing is sent, and a write in flight is unknown", async () => {
  const { proxy, permit, writer } = await withPermissions();
  const reply = proxy.takeReplyTo((frame) => frame.subject === "l.x");
  const first = expect(writer.publish("l.x", "1")).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  await reply;
  await permit("l.>", "other");
  await first;
  const later = writer.publish("l.x", "2");
  await expect(later).rejects.toMatchObject({ code: "AUTHORIZATION" });
  await expect(later).rejects.toThrow(
    /nothing was sent; set inboxPrefix .* or allow this user to subscribe to "_INBOX\.>"$/,
  );
  await permit("l.>", "_INBOX.>");
  const again = () =>
    writer.publish("l.x", "3").then(
      () => "written",
      (error: { code: string }) => error.code,
    );
  await expect.poll(again).toBe("written");
});

test("a missing stream is not created without subjects, and a stream that could lose the fence is refused", async () => {
  const server = await startNatsServer();
  atEnd(() => server.dispose());
  const nats = await connect({ servers: server.url });
  atEnd(() => nats.close());
  const missing = FencedStream.connect(nats, { stream: "NONE" });
  await expect(missing).rejects.toMatchObject({ code: "STREAM_INCOMPATIBLE" });
  const problems: readonly [string, Record<string, unknown>][] = [
    ["do not include nats_leader.fence.S.>", { subjects: ["s.>"] }],
    ['it must be "limits"', { retention: "interest" }],
    ["discard old can drop the fence", { max_msgs: 10, discard: "old" }],
    ["discard_new_per_subject", { max_msgs_per_subject: 1, discard: "new", discard_new_per_subject: true }],
    ["no write can be confirmed", { no_ack: true }],
    ["its storage is memory", { storage: "memory" }],
    ["allow_msg_counter", { allow_msg_counter: true }],
    ["persist_mode is async", { persist_mode: "async" }],
  ];
  for (const [problem, over] of problems) {
    await api(nats, "STREAM.CREATE.S", { name: "S", subjects: ["s.>", "nats_leader.fence.S.>"], ...over });
    await expect(FencedStream.connect(nats, { stream: "S" })).rejects.toThrow(problem);
    await deleteStream(nats, "S");
  }
});
