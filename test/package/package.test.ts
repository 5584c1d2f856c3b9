/** The package as npm would publish it, used from a project that has nothing but its declared dependencies. */
import { spawnSync } from "node:child_process";
import {
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
}

const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;
let consumer: string;
let installed: string;
let files: string[];

beforeAll(() => {
  consumer = mkdtempSync(join(tmpdir(), "nats-leader-consumer-"));
  installed = join(consumer, "node_modules/nats-leader");
  run(process.execPath, ["scripts/build/setup.mjs", "--build"], root);
  run("npm", ["pack", "--silent", "--pack-destination", consumer], root);
  const tarball = readdirSync(consumer).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack made no tarball");
  mkdirSync(installed, { recursive: true });
  run("tar", ["xzf", tarball, "-C", installed, "--strip-components=1"], consumer);
  files = run("tar", ["tzf", tarball], consumer).trim().split("\n");
  files = files.map((path) => path.replace(/^package\//, ""));
  for (const name of [...Object.keys(manifest.dependencies), "@types/node"]) {
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

test("it has the compiled code and the documents, and nothing else", () => {
  const expected =
    /^(package\.json|README\.md|LICENSE|CHANGELOG\.md|schema\/config\.schema\.json|dist\/.+\.(js|js\.map|d\.ts))$/;
  expect(files.filter((path) => !expected.test(path))).toEqual([]);
  expect(files.filter((path) => /\.test\.|\.spec\.|__/.test(path))).toEqual([]);
  expect(["package.json", "README.md", "LICENSE"].filter((path) => !files.includes(path))).toEqual([]);
});

test("every file that package.json names is in it", () => {
  const targets = Object.values(manifest.exports).flatMap((entry) =>
    typeof entry === "string" ? entry : Object.values(entry),
  );
  const named = [...targets, ...Object.values(manifest.bin ?? {})].map((path) => path.replace(/^\.\//, ""));
  expect(named.filter((path) => !files.includes(path))).toEqual([]);
});

test("every source map carries its sources", () => {
  const maps = files.filter((path) => path.endsWith(".map"));
  const hollow = maps.filter((path) => {
    const map = JSON.parse(readFileSync(join(installed, path), "utf8")) as {
      sources: unknown[];
      sourcesContent?: (string | null)[];
    };
    return map.sourcesContent?.length !== map.sources.length || map.sourcesContent.includes(null);
  });
  expect(hollow).toEqual([]);
});

test("plain JavaScript can import each entry", () => {
  const entries = Object.keys(manifest.exports).filter((path) => !path.endsWith(".json"));
  for (const entry of entries) {
    const name = entry.replace(/^\./, "nats-leader");
    const code = `import * as it from "${name}"; process.stdout.write(JSON.stringify(Object.keys(it)));`;
    const names = JSON.parse(
      run(process.execPath, ["--input-type=module", "-e", code], consumer),
    ) as string[];
    expect(names.length, name).toBeGreaterThan(0);
  }
});

test("TypeScript checks a project that uses it, the package's declarations included", () => {
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

export const names: string[] = Object.keys(leader);
export const start: () => Promise<NatsServer> = () => startNatsServer({ jetstream: true });
// @ts-expect-error: it has types, not any
startNatsServer({ jetstream: "yes" });
`,
  );
  run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", consumer], consumer);
});

test.runIf(manifest.bin !== undefined)("its commands run and say their version and how to use them", () => {
  for (const [name, path] of Object.entries(manifest.bin ?? {})) {
    const command = join(installed, path);
    expect(run(command, ["--version"], consumer).trim()).toBe(manifest.version);
    expect(run(command, ["--help"], consumer)).toContain(name);
  }
});
