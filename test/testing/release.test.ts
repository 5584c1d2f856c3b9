import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type RunCommand, runCommand } from "../../src/system/run-command.ts";
import { type FetchBytes, fetchBytes } from "../../src/testing/server/find/fetch-bytes.ts";
import { createFinder } from "../../src/testing/server/find/find.ts";
import { atEnd } from "../support/at-end.ts";
import { emptyWorld, fakeServer, tempDir } from "../support/testing/fake-servers.ts";

const FOLDER = "nats-server-v2.15.1-linux-amd64";

/** A release with one archive; `tamper` changes its checksum in SHA256SUMS. */
async function release(tamper: (sum: string) => string): Promise<FetchBytes> {
  const dir = await tempDir();
  await fakeServer(join(dir, FOLDER, "nats-server"), "2.15.1");
  await runCommand("tar", ["-czf", "archive.tar.gz", FOLDER], { cwd: dir, timeoutMs: 10_000 });
  const archive = await readFile(join(dir, "archive.tar.gz"));
  const sum = tamper(createHash("sha256").update(archive).digest("hex"));
  const sums = `${"0".repeat(64)}  nats-server-v2.15.1-linux-arm64.tar.gz\n${sum}  ${FOLDER}.tar.gz\n`;
  return async (url) => {
    expect(url).toMatch(/^https:\/\/github\.com\/nats-io\/nats-server\/releases\/download\/v2\.15\.1\//);
    return url.endsWith("SHA256SUMS") ? Buffer.from(sums) : archive;
  };
}

const onlyTar: RunCommand = async (command, args, options) => {
  if (command === "tar") return runCommand(command, args, options);
  throw new Error(`${command} is not installed`);
};

test("a release with the right checksum is unpacked into the cache", async () => {
  const { ports, cache } = await emptyWorld({ fetchBytes: await release((sum) => sum), run: onlyTar });
  const found = await createFinder(ports)();
  expect(found).toMatchObject({ version: "2.15.1", source: "release", notes: [] });
  expect(found.path).toBe(join(cache, "nats-server", "2.15.1", "nats-server"));
});

test("a release with a wrong checksum is refused before it is unpacked", async () => {
  const wrong = await release((sum) => sum.replace(/^./, (digit) => (digit === "0" ? "1" : "0")));
  const { ports, cache, calls } = await emptyWorld({ fetchBytes: wrong, run: onlyTar });
  await expect(createFinder(ports)()).rejects.toThrow(
    /release: nats-server-v2\.15\.1-linux-amd64\.tar\.gz refused: its SHA-256 is/,
  );
  expect(calls).not.toContain("tar -xzf");
  expect(await readdir(join(cache, "nats-server"))).toEqual([]);
});

test("a release without a checksum for this machine is refused", async () => {
  const { ports } = await emptyWorld({ fetchBytes: await release(() => "none"), run: onlyTar });
  await expect(createFinder(ports)()).rejects.toThrow(`SHA256SUMS has no line for ${FOLDER}.tar.gz`);
});

test("a download fails if the host accepts and does not answer, and on a status other than 200", async () => {
  const server = createServer((request, response) => {
    if (request.url !== "/silent") response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const limits = { headersMs: 100, totalMs: 5000 };
  await expect(fetchBytes(`${base}/silent`, limits)).rejects.toThrow(/did not answer within 100 ms/);
  await expect(fetchBytes(`${base}/missing`, { headersMs: 15_000, totalMs: 15_000 })).rejects.toThrow(
    /answered 404/,
  );
});
