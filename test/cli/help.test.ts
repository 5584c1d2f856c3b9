/** The help of each command, and what the program imports to print it. */
import { readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { describe, expect, test, vi } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { fullProgram, programFor, withGoFlags } from "../../src/cli/program.ts";
import { cli, everyCommand } from "../support/cli/run-cli.ts";
import { runHere } from "../support/cli/run-here.ts";

const program = await fullProgram();

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text;
}

describe.each(everyCommand(program))("the help of $path", ({ command }) => {
  const help = helpOf(command);

  test("fits 80 columns", () => {
    expect(help.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  test("has an example", () => {
    expect(help).toMatch(/^Examples?:\n {2}\S/m);
  });
});

describe("the program without loaded commands", () => {
  test("has the same help as with all of them", async () => {
    expect(helpOf(await programFor(["--help"]))).toBe(helpOf(program));
  });

  test("lists every command of the table, with its description", async () => {
    const help = helpOf(await programFor([]));
    for (const { name, args = "", description } of COMMANDS) {
      const usage = `${name} ${args}`.trim();
      expect(help).toMatch(new RegExp(`^ {2}${usage.replace(/[[\].]/g, "\\$&")} +${description}$`, "m"));
    }
  });

  test("does not import the NATS client, pino, zod or the doctor for version and --help", () => {
    for (const entry of ["src/cli/main.ts", "src/cli/commands/version.ts"]) {
      const { files, packages } = staticImports(entry);
      expect(packages.filter((name) => !name.startsWith("node:") && name !== "commander")).toEqual([]);
      expect(
        files.filter((file) =>
          /^src\/(?!cli\/|config\/options|errors|log\/printable|system\/output-failures)/.test(file),
        ),
      ).toEqual([]);
    }
  });
});

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Files and packages that a file imports when it is loaded, directly or through others. */
function staticImports(entry: string): { readonly files: readonly string[]; readonly packages: string[] } {
  const files = new Set([entry]);
  const packages = new Set<string>();
  for (const file of files) {
    const text = readFileSync(join(root, file), "utf8");
    for (const [, name = ""] of text.matchAll(/^(?:import|export)\b(?! type\b)[^;]*?from "([^"]+)";/gm)) {
      if (name.startsWith(".")) files.add(relative(root, join(root, file, "..", name)));
      else packages.add(name);
    }
  }
  return { files: [...files], packages: [...packages] };
}

test("every command and flag of go-cluster exists", () => {
  const flags: Readonly<Record<string, readonly string[]>> = {
    init: ["config", "cluster-id", "node-id", "nats-url", "vip-address", "vip-netmask", "vip-interface"],
    daemon: ["config", "log-level"],
    status: ["config", "json"],
    watch: ["config", "interval", "json"],
    promote: ["config"],
    demote: ["config"],
    join: ["config"],
    leave: ["config"],
    version: [],
  };
  for (const [name, wanted] of Object.entries(flags)) {
    const command = program.commands.find((one) => one.name() === name);
    const known = command?.options.map((option) => option.long);
    expect([name, known]).toEqual([name, expect.arrayContaining(wanted.map((flag) => `--${flag}`))]);
  }
  expect(withGoFlags(["status", "-config", "a.json", "-json=true"])).toEqual([
    "status",
    "--config",
    "a.json",
    "--json=true",
  ]);
  expect(withGoFlags(["run", "--", "prog", "-config"])).toEqual(["run", "--", "prog", "-config"]);
});

/** What the program prints to stderr when it rejects these arguments. */
async function rejected(args: readonly string[]): Promise<string> {
  const parsed = await programFor(args);
  let text = "";
  for (const { command } of everyCommand(parsed)) {
    command.configureOutput({ writeErr: (part) => (text += part) });
  }
  await expect(parsed.parseAsync(args, { from: "user" })).rejects.toThrow();
  return text;
}

test.each([
  [["frobnicate"], "unknown command 'frobnicate'"],
  [[], "Usage: nats-leader"],
  [["init", "--cluster-id", "x"], "'--node-id <id>' not specified"],
  [["watch", "--interval", "soon"], "500ms, 2s or 1m30s"],
  [["watch", "--interval", "0s"], "above 0"],
  [["history", "--last", "0"], "from 1 to 10000"],
  [["doctor", "--monitor", "http://"], "such as http://n1:8222"],
  [["doctor", "--role", "king"], "node, observer, operator"],
  [["completion", "tcsh"], "bash, zsh, fish"],
])("%j is rejected with a message that contains %j", async (args, message) => {
  expect(await rejected(args)).toContain(message);
});

test("invalid usage exits 2; version and help exit 0", async () => {
  const [unknown, unknownJson, version, json, help] = await Promise.all([
    cli(["frobnicate"]),
    cli(["status", "--timeout", "soon", "--json"]),
    cli(["version"]),
    cli(["version", "--json"]),
    cli(["help", "run"]),
  ]);
  expect(unknown).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("frobnicate") });
  expect(unknownJson).toMatchObject({ code: 2, stdout: "" });
  expect(JSON.parse(unknownJson.stderr)).toEqual({
    ok: false,
    code: "INVALID_USAGE",
    message: expect.stringContaining("500ms, 2s or 1m30s"),
    exitCode: 2,
  });
  expect(version).toMatchObject({ code: 0, stdout: expect.stringMatching(/^nats-leader \d+\.\d+\.\d+\n$/) });
  expect(JSON.parse(json.stdout)).toMatchObject({ version: expect.any(String) });
  expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining("LEADER_EPOCH") });
});

test("help of an unknown command exits 2; help of help is the overview", async () => {
  const unknown = await runHere(["help", "frobnicate"]);
  expect(unknown).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("frobnicate") });
  expect(await runHere(["help", "help"])).toMatchObject({ code: 0, stderr: "" });
});

test("completion scripts for bash, zsh and fish contain every command", async () => {
  const write = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    for (const shell of ["bash", "zsh", "fish"]) {
      const args = ["completion", shell];
      await (await programFor(args)).parseAsync(args, { from: "user" });
      const script = String(write.mock.lastCall?.[0]);
      expect(COMMANDS.filter(({ name }) => !script.includes(name))).toEqual([]);
    }
  } finally {
    write.mockRestore();
  }
});
