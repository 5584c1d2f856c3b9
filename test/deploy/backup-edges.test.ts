/** Backups of accounts without streams, consumers that no snapshot has, and errors for programs. */
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AckPolicy, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { saveStream } from "../../scripts/deploy-nats-cluster/migrate/snapshot.ts";
import { runToExit } from "../../src/system/run-command.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment } from "../support/deploy/deployment.ts";
import { ROOT } from "../support/processes/node-command.ts";
import { useNatsServer } from "../support/use-server.ts";

const server = useNatsServer();

test("a backup without streams is a warning, and with --drill an error that keeps the older backups", async () => {
  const place = await Deployment.make("single");
  await place.must("up --single");
  const refused = await place.run("backup --drill --keep 1");
  const why =
    "nothing was saved: the account has no stream on disk. A drill would prove nothing; --allow-empty accepts that";
  expect([refused.code, refused.result]).toEqual([1, { ok: false, error: why }]);
  const empty = await place.run("backup");
  expect([empty.code, empty.result["streams"]]).toEqual([0, []]);
  expect(empty.stderr).toContain("warning: the account has no stream on disk: the backup is empty");
  const backups = join(place.state, "backups");
  const older = String(empty.result["folder"]);
  await place.run("backup --drill --keep 1");
  expect(existsSync(older)).toBe(true);
  expect((await place.run("drill")).result["error"]).toBe(
    `${older} has no stream. A drill would prove nothing; --allow-empty accepts that`,
  );
  expect((await place.run("drill --allow-empty")).code).toBe(0);
  expect((await place.run("backup --drill --keep 1 --allow-empty")).code).toBe(0);
  expect(readdirSync(backups)).toHaveLength(1);
});

test("a snapshot omits consumers if none is on disk: one that cannot be read would make it fail", async () => {
  const nats = await connect({ servers: server.url });
  atEnd(() => nats.close());
  const jsm = await jetstreamManager(nats);
  await jsm.streams.add({ name: "EDGE", subjects: ["edge"] });
  await jsm.consumers.add("EDGE", {
    name: "presence_0_1",
    ack_policy: AckPolicy.None,
    mem_storage: true,
    inactive_threshold: 60e9,
  });
  const requests = nats.subscribe("$JS.API.STREAM.SNAPSHOT.EDGE", { max: 2 });
  const dir = mkdtempSync(join(tmpdir(), "nats-leader-snapshot-"));
  atEnd(() => rmSync(dir, { recursive: true }));
  await saveStream(nats, "EDGE", join(dir, "1"));
  await jsm.consumers.add("EDGE", { durable_name: "worker", ack_policy: AckPolicy.Explicit });
  await saveStream(nats, "EDGE", join(dir, "2"));
  const omitted: unknown[] = [];
  for await (const request of requests) omitted.push(request.json<{ no_consumers: boolean }>().no_consumers);
  expect(omitted).toEqual([true, false]);
});

test("--json reports errors as JSON, usage errors too", async () => {
  const place = await Deployment.make("single");
  const error = `nothing is deployed in ${place.state}: run "up", or name its folder with --state`;
  expect(await place.run("status")).toMatchObject({ code: 1, result: { ok: false, error } });
  const usage = await place.run("scale 4");
  expect(usage).toMatchObject({
    code: 1,
    result: { ok: false, error: expect.stringMatching(/Must be 3, 5, 7\./) },
  });
});

test("npm run image prints its usage, also for an unknown option", async () => {
  const image = (option: string) =>
    runToExit(process.execPath, ["scripts/build/image.mjs", option], { timeoutMs: 60_000, cwd: ROOT });
  const usage = expect.stringMatching(/^usage: npm run image -- /m);
  expect(await image("--help")).toMatchObject({ code: 0, stdout: usage });
  const unknown = await image("--nope");
  expect(unknown).toMatchObject({ code: 2, stderr: usage });
  expect(unknown.stderr).not.toContain("    at ");
});
