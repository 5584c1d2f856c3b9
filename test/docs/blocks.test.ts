/** Every block of code in the documents is run by a test, or says why not; what it names exists. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { fullProgram } from "../../src/cli/program.ts";
import { Node } from "../../src/index.ts";
import { decodeEntry } from "../../src/nats/lease/record-codec.ts";
import { decodeStatus } from "../../src/nats/service/status-codec.ts";
import { everyCommand } from "../support/cli/run-cli.ts";
import { runHere } from "../support/cli/run-here.ts";
import { type Block, blockOf, blocksOf, commandsOf, documentBlocks } from "../support/docs/blocks.ts";
import { securedNode, simulatedGroup, simulatedJob, virtualIp } from "../support/docs/snippets.ts";
import { ROOT } from "../support/processes/node-command.ts";
import { CLAIMS } from "./claims.ts";

const read = (file: string): string => readFileSync(join(ROOT, file), "utf8");
const blocks = documentBlocks();
/** A block in one of these is to be run or read by a program. `text` is output, `mermaid` a drawing. */
const CODE = ["sh", "bash", "console", "ts", "json", "conf", "ini", "dockerfile"];
const isCode = ({ language }: Block): boolean => CODE.includes(language);
const nameOf = ({ file, line }: Block): string => `${file}:${line}`;

test("every block names its language", () => {
  const unknown = blocks.filter((block) => !isCode(block) && !["text", "mermaid"].includes(block.language));
  expect(unknown.map(nameOf)).toEqual([]);
  expect(blocks.length).toBeGreaterThan(50);
});

test("every block of code is run by one test, or a comment above it says why not", () => {
  const claimsOf = (block: Block): number =>
    CLAIMS.filter(({ file, starts }) => file === block.file && block.code.startsWith(starts)).length;
  const wrong = blocks
    .filter(isCode)
    .map((block) => ({ block: nameOf(block), claims: claimsOf(block), notRun: block.notRun }))
    .filter(({ claims, notRun }) => claims !== (notRun === null ? 1 : 0));
  expect(wrong).toEqual([]);
});

test("every claim is for a block that exists, and its test shows that it runs the block", () => {
  for (const { file, starts, by, proof } of CLAIMS) {
    expect(() => blockOf(file, starts), `${file}: ${starts}`).not.toThrow();
    expect(existsSync(join(ROOT, by)) && read(by).includes(proof), `${by}: ${proof}`).toBe(true);
  }
});

test("a block in another one, an indented block and a missing end are recognized", () => {
  const text =
    "````text\n```sh\nx\n```\n````\n- item\n  <!-- not run: it needs root -->\n  ```sh\n  y\n  ```\n";
  expect(blocksOf("a.md", text)).toEqual([
    { file: "a.md", line: 1, language: "text", code: "```sh\nx\n```", notRun: null },
    { file: "a.md", line: 8, language: "sh", code: "y", notRun: "it needs root" },
  ]);
  expect(() => blocksOf("a.md", "```sh\nx\n")).toThrow("a.md:1: this block has no end");
});

test("every command of nats-leader in a block exists, with its options", async () => {
  const commands = new Map(everyCommand(await fullProgram()).map(({ path, command }) => [path, command]));
  const unknown: string[] = [];
  for (const block of blocks.filter(isCode)) {
    for (const line of commandsOf(block)) {
      const [, text = ""] = /(?:^|[\s($])nats-leader ([a-z].*?)(?: -- .*| >.*| \\|\|.*)?$/.exec(line) ?? [];
      if (text === "") continue;
      const [name = "", sub = ""] = text.split(/\s+/);
      const command =
        commands.get(`nats-leader ${name} ${sub}`) ?? commands.get(`nats-leader ${name}`) ?? undefined;
      const options = ["--help", ...(command?.options ?? []).flatMap(({ long, short }) => [long, short])];
      const used = [...text.matchAll(/(?<=\s)--?[a-z][a-z-]*/g)].map(([option]) => option);
      if (command === undefined || used.some((option) => !options.includes(option)))
        unknown.push(`${nameOf(block)}: ${line}`);
    }
  }
  expect(unknown).toEqual([]);
});

test("every file that a command of a block names exists", () => {
  const named = blocks
    .filter(({ language }) => ["sh", "bash"].includes(language))
    .flatMap((block) =>
      commandsOf(block).flatMap((line) =>
        [...line.matchAll(/(?<=[\s=])((?:test|examples|scripts|src|\.ci)\/[\w./-]+)/g)].map(([path]) => path),
      ),
    );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((path) => !path.includes("NAME") && !existsSync(join(ROOT, path)))).toEqual([]);
});

test("the TypeScript blocks are in snippets.ts, which is compiled with the tests", () => {
  const compiled = normal(read("test/support/docs/snippets.ts"));
  const here = CLAIMS.filter(({ by }) => by === "test/docs/blocks.test.ts");
  const own = here
    .map(({ file, starts }) => blockOf(file, starts))
    .filter(({ language }) => language === "ts");
  expect(own.length).toBe(4);
  for (const block of own) {
    for (const part of normal(block.code).split("\n\n")) expect(compiled, nameOf(block)).toContain(part);
  }
});

test("the quick start of the README is the example", () => {
  const { code } = blockOf("README.md", "import { setTimeout");
  expect(read("examples/quick-start.ts")).toContain(code);
});

test("the simulated group of docs/groups.md runs", async () => {
  const cluster = await simulatedGroup(
    (_, signal) =>
      new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true })),
  );
  expect(cluster.resourceTerms.length).toBeGreaterThan(6);
});

test("the simulated cluster of the README runs; the node of the secured cluster has valid options", async () => {
  let rounds = 0;
  const cluster = await simulatedJob(async (term, sleep) => {
    for (; !term.signal.aborted; rounds += 1) await sleep(1_000);
  });
  expect(rounds).toBeGreaterThan(5);
  expect(cluster.trace.length).toBeGreaterThan(0);
  vi.stubEnv("NODE_PASSWORD", "n");
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(securedNode().isLeader()).toBe(false);
});

test("the code of docs/vip.md makes a node, or says why this host cannot hold the address", async () => {
  const made = await virtualIp({ clusterId: "billing", servers: "nats://127.0.0.1:1" }).catch(
    (error: unknown) => error,
  );
  if (made instanceof Node) expect(made.isLeader()).toBe(false);
  else
    expect(made).toMatchObject({
      name: "ClusterError",
      message: expect.stringMatching(/eth0|10\.0\.0\.100|ip/),
    });
});

test("the configuration file of docs/cli.md is accepted, with files that exist", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nats-leader-docs-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [config, existing] = [join(folder, "a.json"), join(folder, "existing")];
  writeFileSync(existing, "secret\n", { mode: 0o600 });
  const { code } = blockOf("docs/cli.md", "{");
  writeFileSync(config, code.replaceAll(/"…"|"\/etc\/nats\/billing.creds"/g, JSON.stringify(existing)));
  expect(await runHere(["config", "check", "--config", config])).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(`${config} is valid\n`),
  });
});

test("the lease record and the status body of docs/wire.md are decoded as such", () => {
  const bytesOf = (starts: string): Uint8Array =>
    new TextEncoder().encode(blockOf("docs/wire.md", starts).code.replaceAll("...", "0"));
  const record = bytesOf('{"node_id"');
  expect(decodeEntry({ revision: 1, data: record, header: () => "" })).toMatchObject({
    kind: "record",
    record: { nodeId: "a", epoch: 7 },
  });
  expect(decodeStatus(bytesOf('{"nodeId"'))).toMatchObject({ nodeId: "a", role: "PRIMARY", state: "leader" });
});

/** Without indentation and imports: snippets.ts merges the imports of all blocks. */
function normal(code: string): string {
  return code
    .replaceAll(/^import .*\n\n?/gm, "")
    .split("\n")
    .map((line) => line.trim())
    .join("\n")
    .trim();
}
