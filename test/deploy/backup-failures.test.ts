/** Backups, drills and migrations that fail: nothing that was good is deleted, nothing is left on the disk, and the message says why. */
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import { latestIn, writeArchive } from "../../scripts/deploy-nats-cluster/backup/archive.ts";
import { withLock } from "../../scripts/deploy-nats-cluster/lock.ts";
import { startOf } from "../../scripts/deploy-nats-cluster/process-identity.ts";
import { atEnd } from "../support/at-end.ts";
import { Deployment, urlsOf } from "../support/deploy/deployment.ts";
import { spawnChild } from "../support/processes/spawn-child.ts";

test("a backup whose drill fails is set aside, and no older one is deleted for it", async () => {
  const place = await Deployment.make("single");
  await fill(urlsOf(await place.must("up --single")));
  const older = String((await place.must("backup"))["folder"]);
  const backups = join(place.state, "backups");
  const record = join(place.state, "deployment.json");
  const good = readFileSync(record, "utf8");
  writeFileSync(record, JSON.stringify({ ...JSON.parse(good), binary: "/bin/false" }));

  for (let round = 1; round <= 2; round++) {
    const failed = await place.run("backup --drill --keep 1");
    expect(failed).toMatchObject({
      code: 1,
      result: {
        ok: false,
        error: expect.stringMatching(
          /^the drill failed, and no older backup was deleted\. .*Z\.unproven: \/bin\/false /,
        ),
      },
    });
    expect(readdirSync(backups)).toEqual([basename(older), expect.stringMatching(/Z\.unproven$/)]);
  }
  expect(await latestIn(backups)).toBe(older);
  writeFileSync(record, good);
  const proven = await place.must("backup --drill --keep 1");
  expect(proven["deleted"]).toEqual([basename(older)]);
});

test("a damaged backup is named before a server is started or a stream is created", async () => {
  const place = await Deployment.make("single");
  await fill(urlsOf(await place.must("up --single")));
  const damages: readonly [file: string, damage: (path: string) => void, error: RegExp][] = [
    [
      "manifest.json",
      (path) => writeFileSync(path, "{}"),
      /is no complete backup: its manifest\.json has no list of streams/,
    ],
    [
      "manifest.json",
      (path) => truncateSync(path, 20),
      /is no complete backup: its manifest\.json cannot be read/,
    ],
    [
      "manifest.json",
      (path) => writeFileSync(path, '{"streams": [{"name": "../ORDERS"}]}'),
      /has no list of streams/,
    ],
    ["ORDERS/contents.json", (path) => truncateSync(path, 20), /its ORDERS\/contents\.json cannot be read/],
    [
      "ORDERS/contents.json",
      (path) => writeFileSync(path, "{}"),
      /contents\.json does not describe stream ORDERS/,
    ],
    ["ORDERS/backup.json", (path) => rmSync(path), /its ORDERS\/backup\.json cannot be read/],
    [
      "ORDERS/stream.tar.s2",
      (path) => truncateSync(path, 20),
      /its ORDERS\/stream\.tar\.s2 has 20 bytes, not the \d+ that were saved/,
    ],
    ["ORDERS", (path) => rmSync(path, { recursive: true }), /its ORDERS\/backup\.json cannot be read/],
  ];
  for (const [file, damage, error] of damages) {
    const folder = String((await place.must("backup --keep 1"))["folder"]);
    damage(join(folder, file));
    for (const verb of ["drill", "restore"])
      expect(await place.run(`${verb} ${folder}`), file).toMatchObject({
        code: 1,
        result: { ok: false, error: expect.stringMatching(error) },
      });
    rmSync(folder, { recursive: true });
  }
  expect(existsSync(join(place.state, "migration.json"))).toBe(false);
});

test("a backup that fails leaves nothing on the disk", async () => {
  const parent = folderAtEnd();
  const failing = writeArchive(parent, Date.now(), async (draft) => {
    writeFileSync(join(draft, "data"), "half");
    throw new Error("no space left on device");
  });
  await expect(failing).rejects.toThrow("no space left on device");
  expect(readdirSync(parent)).toEqual([]);
});

test("backup --every goes on after an error of the operating system, and reports it as JSON", async () => {
  const place = await Deployment.make("single");
  await place.must("up --single");
  const file = join(place.state, "file");
  writeFileSync(file, "");
  await using script = spawnChild<{ ok?: boolean; error?: string }>("scripts/deploy-nats-cluster/main.ts", {
    args: ["backup", "--every", "50ms", "--to", join(file, "below"), "--json", "--state", place.state],
  });
  for (let round = 1; round <= 2; round++) {
    const { error } = await script.next(({ ok }) => ok === false, 60_000);
    expect(error).toMatch(/^ENOTDIR: /);
  }
  script.kill("SIGTERM");
  expect(await script.exit).toEqual({ code: 1, signal: null });
});

test("migrate refuses a --keep-backup that is a file: the rollback deleted it", async () => {
  const place = await Deployment.make("single");
  const file = join(place.state, "notes.txt");
  writeFileSync(file, "mine");
  const refused = await place.run("migrate --from nats://127.0.0.1:1", "--keep-backup", file);
  expect(refused.result["error"]).toMatch(
    /^--keep-backup .*notes\.txt is no folder that can be read: ENOTDIR/,
  );
  expect(readFileSync(file, "utf8")).toBe("mine");
});

test("files that do not describe a deployment or a journal are errors for the user", async () => {
  const place = await Deployment.make("single");
  const record = join(place.state, "deployment.json");
  for (const text of ["null", "{}"]) {
    writeFileSync(record, text);
    expect((await place.run("status")).result).toEqual({
      ok: false,
      error: `${record} does not describe a deployment: correct or delete it`,
    });
  }
  rmSync(record);
  const journal = join(place.state, "migration.json");
  writeFileSync(journal, "{");
  expect((await place.run("status")).result["error"]).toContain(`${journal} is not valid JSON`);
  rmSync(journal);
  expect((await place.run("up --single", "--state", "/dev/null/state")).result).toMatchObject({ ok: false });
});

test("a lock holds while its process runs, and not for a later process with the same pid", async () => {
  const folder = folderAtEnd();
  const lock = join(folder, "lock");
  writeFileSync(lock, `${process.ppid} ${startOf(process.ppid)}`);
  await expect(withLock(folder, async () => 1)).rejects.toThrow(
    `another call (pid ${process.ppid}) is using`,
  );
  writeFileSync(lock, `${process.ppid} 1@an-earlier-boot`);
  expect(await withLock(folder, async () => readFileSync(lock, "utf8"))).toBe(
    `${process.pid} ${startOf(process.pid)}`,
  );
  expect(readdirSync(folder)).toEqual([]);
});

async function fill(urls: string[]): Promise<void> {
  const nats = await connect({ servers: urls });
  atEnd(() => nats.close());
  await (await jetstreamManager(nats)).streams.add({ name: "ORDERS", subjects: ["orders"] });
  await jetstream(nats).publish("orders", "one");
}

function folderAtEnd(): string {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-backups-"));
  atEnd(() => rmSync(folder, { recursive: true }));
  return folder;
}
