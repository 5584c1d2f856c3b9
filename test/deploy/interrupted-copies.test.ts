/** A signal ends a restore, a migration and a backup in order: what they have copied is deleted again, and no command has to follow. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { atEnd } from "../support/at-end.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { fillStreams, readAll } from "../support/deploy/streams.ts";
import { nodeArgsFor, ROOT } from "../support/processes/node-command.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

/** Servers are started several times: half a minute, or minutes on a busy machine. */
const LONG_MS = 300_000;
/** Of 128 KiB, in the last stream: they take longer than a signal. */
const CHUNKS = 200;

test("a signal during a backup, a restore or a migration leaves everything as it was", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster");
  const [url = ""] = urlsOf(await place.must("up --single"));
  const nats = await connectTo(url);
  const names = await fillStreams(nats, CHUNKS);
  const before = await readAll(nats, names);
  const [first = ""] = names;
  const backups = join(place.state, "backups");

  expect(await signalledAt(place, ["backup"], `${first}: saved`, "SIGINT")).toBe(130);
  expect(readdirSync(backups)).toEqual([]);

  await place.must("backup");
  const jsm = await jetstreamManager(nats);
  for (const name of names) await jsm.streams.delete(name);
  expect(await signalledAt(place, ["restore"], `${first}: verified`, "SIGTERM")).toBe(143);
  expect(await jsm.streams.names().next()).toEqual([]);
  expect(existsSync(join(place.state, "migration.json"))).toBe(false);
  await place.must("restore");
  expect(await readAll(nats, names)).toEqual(before);
  await nats.close();

  expect(await signalledAt(place, ["migrate"], `${first}: saved`, "SIGINT")).toBe(130);
  expect(await place.healthy()).toMatchObject({ ok: true, servers: [{ name: "single" }] });
  expect(existsSync(join(place.state, "migration.json"))).toBe(false);
  expect(await readAll(await connectTo(url), names)).toEqual(before);
});

test("a pipe that is closed during a migration ends it in order, too", { timeout: LONG_MS }, async () => {
  const place = await Deployment.make("cluster");
  const [url = ""] = urlsOf(await place.must("up --single"));
  const nats = await connectTo(url);
  const names = await fillStreams(nats, CHUNKS);
  const before = await readAll(nats, names);
  await nats.close();
  const args = [...nodeArgsFor("scripts/deploy-nats-cluster/main.ts"), "migrate", "--state", place.state];
  const script = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "ignore"] });
  atEnd(() => void script.kill("SIGKILL"));
  script.stdout.once("data", () => script.stdout.destroy());
  const [code] = await once(script, "exit");
  expect(code).toBe(141);
  expect(existsSync(join(place.state, "migration.json"))).toBe(false);
  expect(await place.healthy()).toMatchObject({ ok: true, servers: [{ name: "single" }] });
  expect(await readAll(await connectTo(url), names)).toEqual(before);
});

/** Sends the signal when the command prints a line that begins so. Resolves with its exit code. */
async function signalledAt(
  place: Deployment,
  args: readonly string[],
  line: string,
  signal: NodeJS.Signals,
): Promise<number | null> {
  await using script = spawnChild<{ text?: string }>("scripts/deploy-nats-cluster/main.ts", {
    args: [...args, "--state", place.state],
  });
  await script.next(({ text }) => text?.startsWith(line) === true, 120_000);
  script.kill(signal);
  return (await script.exit).code;
}

async function connectTo(url: string): Promise<NatsConnection> {
  const nats = await connect({ servers: url, maxReconnectAttempts: -1 });
  atEnd(() => nats.close());
  return nats;
}
