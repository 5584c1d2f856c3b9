/** Backups that another nats-server took: a newer server restores them, an older one is refused before anything is sent. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { findNatsServer } from "../../src/testing/server/find/find.ts";
import { OLDEST_NATS_VERSION } from "../../src/testing/server/find/versions.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";

test("an older nats-server gets no stream of the backup, and the error names both versions", async () => {
  const { place: newer, version } = await deployed(undefined);
  const folder = String((await newer.must("backup"))["folder"]);
  expect(manifestOf(folder)).toMatchObject({ natsServer: version });
  const { place: older, streams } = await deployed(OLDEST_NATS_VERSION, "OTHER");

  const error = `nothing was sent: nats-server ${OLDEST_NATS_VERSION} cannot read snapshots of nats-server 2.15.0 or newer, and that of ORDERS was taken by ${version}. `;
  for (const verb of ["restore", "drill"]) {
    const refused = await older.run(`${verb} ${folder}`);
    expect(refused).toMatchObject({ code: 1, result: { ok: false, error: expect.stringContaining(error) } });
  }
  expect(await streams()).toEqual(["OTHER"]);

  const { natsServer: _, ...unrecorded } = manifestOf(folder);
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(unrecorded));
  expect((await older.run(`restore ${folder}`)).result["error"]).toContain(
    "that of ORDERS was taken by one (the backup does not record which). ",
  );
  expect((await older.run("status")).code).toBe(0); // no restore was begun, so none has to be rolled back
});

test("a newer nats-server restores the backup of an older one, and the older one its own with a newer version recorded", async () => {
  const { place: older } = await deployed(OLDEST_NATS_VERSION);
  const folder = String((await older.must("backup"))["folder"]);
  expect(manifestOf(folder)).toMatchObject({ natsServer: OLDEST_NATS_VERSION });
  const { place: newer, streams } = await deployed(undefined, "OTHER");
  await newer.must(`restore ${folder}`);
  expect(await streams()).toEqual(["ORDERS", "OTHER"]);

  writeFileSync(
    join(folder, "manifest.json"),
    JSON.stringify({ ...manifestOf(folder), natsServer: "2.12.15" }),
  );
  const drilled = await older.run(`drill ${folder}`);
  expect([drilled.code, drilled.stderr]).toEqual([
    0,
    expect.stringContaining(
      `note: taken by nats-server 2.12.15, restored into the older ${OLDEST_NATS_VERSION}, which may not know all that it contains`,
    ),
  ]);
});

/** A single server of this version with one stream. */
async function deployed(version: string | undefined, stream = "ORDERS") {
  const { path, version: found } = await findNatsServer(version === undefined ? {} : { version });
  const place = await Deployment.make("single");
  const before = process.env["NATS_SERVER"];
  process.env["NATS_SERVER"] = path;
  const up = await place.must("up --single");
  if (before === undefined) delete process.env["NATS_SERVER"];
  else process.env["NATS_SERVER"] = before;
  const [url = ""] = urlsOf(up);
  const nats = await connect({ servers: url });
  atEnd(() => nats.close());
  const jsm = await jetstreamManager(nats);
  await jsm.streams.add({ name: stream, subjects: [stream.toLowerCase()] });
  const streams = async (): Promise<string[]> =>
    (await jsm.streams.list().next()).map(({ config }) => config.name).sort();
  return { place, version: found, streams };
}

function manifestOf(folder: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as Record<string, unknown>;
}
