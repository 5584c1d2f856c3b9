import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { FencedStream } from "../../src/fencing.ts";
import { startNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { api, termOf } from "../support/fencing/terms-and-servers.ts";

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
  ];
  for (const [problem, over] of problems) {
    await api(nats, "STREAM.CREATE.S", { name: "S", subjects: ["s.>", "nats_leader.fence.S.>"], ...over });
    await expect(FencedStream.connect(nats, { stream: "S" })).rejects.toThrow(problem);
    await api(nats, "STREAM.DELETE.S");
  }
});
