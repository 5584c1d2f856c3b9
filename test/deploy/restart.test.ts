/** A restart stops no server that could not be started again, and a signal ends it with every server up. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { startOf } from "../../scripts/deploy-nats-cluster/process-identity.ts";
import { readPasswords } from "../../scripts/deploy-nats-cluster/secrets.ts";
import { findNatsServer } from "../../src/testing.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { type Recorded, recorded, signalled } from "../support/deploy/signalled.ts";

/** Three servers are started, and restarted twice: half a minute, or minutes on a busy machine. */
const LONG_MS = 300_000;

test("a rotation that a signal ends leaves every server up, is reported by status, and is completed by restart", {
  timeout: LONG_MS,
}, async () => {
  const place = await Deployment.make("cluster");
  await place.must("up --secure");
  await refusesUnstartable(place);

  const before = await readPasswords(join(place.state, "users.env"));
  const ended = await signalled(place, ["rotate", "--user", "node"], "SIGINT", firstIsRestarted(place));
  const missing = 'the old passwords are still accepted by n2, n3: "restart" completes the rotation';
  expect(ended).toMatchObject({ code: 130, ok: false, error: `interrupted by SIGINT: ${missing}` });
  expect((await readPasswords(join(place.state, "users.env"))).node).not.toBe(before.node);
  expect(Object.keys(recorded(place).processes).sort()).toEqual(["n1", "n2", "n3"]);
  expect(await place.run("status")).toMatchObject({ code: 1, result: { ok: false, missing } });
  await place.must("restart");
  expect(await place.healthy()).toMatchObject({ ok: true });

  const restarted = await signalled(place, ["restart"], "SIGTERM", firstIsRestarted(place));
  expect(restarted).toMatchObject({
    code: 143,
    error: "interrupted by SIGTERM: every server runs; not restarted: n2, n3",
  });
  expect(await place.healthy()).toMatchObject({ ok: true });
});

/** The first server has been started again, and is not ready yet. */
function firstIsRestarted(place: Deployment): (record: Recorded) => boolean {
  const { pid } = recorded(place).processes["n1"] ?? { pid: 0 };
  return ({ processes }) => (processes["n1"]?.pid ?? pid) !== pid;
}

/** A private key that is gone, and a nats-server that is gone. */
async function refusesUnstartable(place: Deployment): Promise<void> {
  const { processes } = recorded(place);
  const key = join(place.state, "tls/n2.key");
  renameSync(key, `${key}.gone`);
  for (const verb of ["restart", "rotate"])
    expect((await place.run(verb)).result["error"], verb).toMatch(
      /^nothing was restarted: n2 could not be started again: .*n2\.key/,
    );
  renameSync(`${key}.gone`, key);

  const record = join(place.state, "deployment.json");
  const good = recorded(place);
  writeFileSync(record, JSON.stringify({ ...good, binary: "/nowhere/nats-server" }));
  expect((await place.run("restart")).result["error"]).toBe(
    "nothing was restarted: n1 could not be started again: /nowhere/nats-server is not installed",
  );
  writeFileSync(record, JSON.stringify(good));
  expect(recorded(place).processes).toEqual(processes);
  for (const { pid } of Object.values(processes)) expect(startOf(pid)).toBeDefined();
}

test("up and a restore that fails keep the nats-server of the deployment, unless NATS_SERVER names another one", async () => {
  const place = await Deployment.make("single");
  const older = (await findNatsServer({ version: "2.9.10" })).path;
  withNatsServer(older);
  const [url = ""] = urlsOf(await place.must("up --single"));
  withNatsServer(undefined);
  await place.must("up");
  expect(recorded(place).binary).toBe(older);

  const nats = await connect({ servers: url });
  atEnd(() => nats.close());
  const jsm = await jetstreamManager(nats);
  await jsm.streams.add({ name: "ORDERS", subjects: ["orders"] });
  const folder = String((await place.must("backup"))["folder"]);
  await jsm.streams.delete("ORDERS");
  const data = join(folder, "ORDERS/stream.tar.s2");
  writeFileSync(data, Buffer.alloc(readFileSync(data).length));
  expect((await place.run(`restore ${folder}`)).result["error"]).toMatch(/restore failed/);
  expect(recorded(place).binary).toBe(older);
});

function withNatsServer(path: string | undefined): void {
  const before = process.env["NATS_SERVER"];
  const set = (value: string | undefined): void => {
    if (value === undefined) delete process.env["NATS_SERVER"];
    else process.env["NATS_SERVER"] = value;
  };
  set(path);
  atEnd(() => set(before));
}
