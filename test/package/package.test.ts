/** The package as npm would publish it, used from a project that has only its declared dependencies. */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

interface Manifest {
  readonly version: string;
  readonly bin?: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
let consumer: string;
let installed: string;
let files: string[];

beforeAll(() => {
  consumer = mkdtempSync(join(tmpdir(), "nats-leader-consumer-"));
  installed = join(consumer, "node_modules/nats-leader");
  const clone = cloneSources();
  const tarball = pack(clone);
  rmSync(clone, { recursive: true, force: true });
  mkdirSync(installed, { recursive: true });
  run("tar", ["xzf", tarball, "-C", installed, "--strip-components=1"], consumer);
  files = run("tar", ["tzf", tarball], consumer).trim().split("\n");
  files = files.map((path) => path.replace(/^package\//, ""));
  // An optional peer, which npm installs beside prom-client.
  for (const name of [...Object.keys(manifest.dependencies), "@types/node", "@opentelemetry/api"]) {
    const link = join(consumer, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, "node_modules", name), link);
  }
  writeFileSync(join(consumer, "package.json"), JSON.stringify({ name: "consumer", type: "module" }));
});

afterAll(() => rmSync(consumer, { recursive: true, force: true }));

function run(command: string, args: readonly string[], cwd: string): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(" ")} failed (${status ?? error?.message})\n${stdout}${stderr}`);
}

/** The files that git knows, without dist, in a new folder; node_modules is a link. */
function cloneSources(): string {
  const clone = mkdtempSync(join(tmpdir(), "nats-leader-clone-"));
  const listed = run("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], root);
  const wanted = /^(src|schema|scripts\/build)\/|^[^/]+$/;
  for (const path of listed.split("\0").filter((name) => wanted.test(name) && existsSync(join(root, name))))
    cpSync(join(root, path), join(clone, path));
  symlinkSync(join(root, "node_modules"), join(clone, "node_modules"));
  return clone;
}

function pack(clone: string): string {
  run("npm", ["pack", "--silent", "--pack-destination", consumer], clone);
  const tarball = readdirSync(consumer).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack wrote no tarball");
  return join(consumer, tarball);
}

function checkPublish(addresses: object): { readonly status: number | null; readonly stderr: string } {
  const clone = mkdtempSync(join(tmpdir(), "nats-leader-publish-"));
  const script = "scripts/build/check-publish.mjs";
  try {
    cpSync(join(root, script), join(clone, script));
    writeFileSync(join(clone, "package.json"), JSON.stringify({ ...addresses, type: "module" }));
    return spawnSync(process.execPath, [script], { cwd: clone, encoding: "utf8" });
  } finally {
    rmSync(clone, { recursive: true, force: true });
  }
}

test("npm pack in a clone without dist builds it", () => {
  expect(files).toEqual(expect.arrayContaining(["dist/index.js", "dist/index.d.ts", "dist/cli/main.js"]));
});

test("npm publish is refused until repository, bugs and homepage are set", () => {
  const [repository, bugs, homepage] = ["", "/issues", "#readme"].map(
    (path) => `https://example.org/a/b${path}`,
  );
  expect(checkPublish({ repository: { type: "git", url: `git+${repository}` }, bugs, homepage }).status).toBe(
    0,
  );
  const refused = checkPublish({ repository: "", bugs: { url: bugs } });
  expect(refused.status).toBe(1);
  expect(refused.stderr).toMatch(/^not published: package\.json has no valid repository, homepage; set all/);
  expect(manifest.scripts["prepublishOnly"]).toBe("node scripts/build/check-publish.mjs");
});

test("it contains the compiled code and the documents, and nothing else", () => {
  const expected =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|schema\/config\.schema\.json|dist\/.+\.(js|d\.ts)|dist\/ui\/page\/page\.css)$/;
  expect(files.filter((path) => !expected.test(path))).toEqual([]);
  expect(files.filter((path) => /\.test\.|\.spec\.|__/.test(path))).toEqual([]);
  expect(["package.json", "README.md", "LICENSE"].filter((path) => !files.includes(path))).toEqual([]);
});

test("it contains every file that package.json names", () => {
  const targets = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === "string" ? entry : Object.values(entry),
  );
  const named = [...targets, ...Object.values(manifest.bin ?? {})].map((path) => path.replace(/^\.\//, ""));
  expect(named.filter((path) => !files.includes(path))).toEqual([]);
});

test("every file of dist is reachable from an export or a command", async () => {
  const { unreachableFiles } = (await import(join(root, "scripts/build/reachable.mjs"))) as {
    unreachableFiles: (root: string) => string[];
  };
  expect(unreachableFiles(installed)).toEqual([]);
});

test.each(["import", "require"])("plain JavaScript can %s each entry", (how) => {
  const entries = Object.keys(manifest.exports).filter((path) => !path.endsWith(".json"));
  for (const entry of entries) {
    const name = entry.replace(/^\./, "nats-leader");
    const load = how === "import" ? `import * as it from "${name}";` : `const it = require("${name}");`;
    const type = how === "import" ? "module" : "commonjs";
    const code = `${load} process.stdout.write(JSON.stringify(Object.keys(it)));`;
    const names = JSON.parse(
      run(process.execPath, [`--input-type=${type}`, "-e", code], consumer),
    ) as string[];
    expect(names.length, name).toBeGreaterThan(0);
  }
});

test("TypeScript checks a project that uses it, including the declarations of the package", () => {
  const compilerOptions = {
    module: "nodenext",
    target: "es2023",
    lib: ["es2023", "esnext.disposable"],
    types: ["node"],
    strict: true,
    skipLibCheck: false,
    noEmit: true,
  };
  writeFileSync(
    join(consumer, "tsconfig.json"),
    JSON.stringify({ compilerOptions, include: ["consumer.ts"] }),
  );
  writeFileSync(
    join(consumer, "consumer.ts"),
    `import * as leader from "nats-leader";
import { type NatsServer, startNatsServer } from "nats-leader/testing";
export type { FencedKv } from "nats-leader/fencing"; // compiles without the optional @nats-io/kv

export const names: string[] = Object.keys(leader);
export const start: () => Promise<NatsServer> = () => startNatsServer({ jetstream: true });
// @ts-expect-error: jetstream is a boolean
startNatsServer({ jetstream: "yes" });
`,
  );
  run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", consumer], consumer);
});

test.runIf(manifest.bin !== undefined)("its commands print their version and help", () => {
  for (const [name, path] of Object.entries(manifest.bin ?? {})) {
    const command = join(installed, path);
    expect(run(command, ["--version"], consumer).trim()).toBe(manifest.version);
    expect(run(command, ["--help"], consumer)).toContain(name);
  }
});
