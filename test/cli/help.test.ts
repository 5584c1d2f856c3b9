/** What every command says about itself. */
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { buildProgram, withGoFlags } from "../../src/cli/program.ts";
import { cli } from "../support/cli/run-cli.ts";

function everyCommand(command: Command, path = ""): { readonly path: string; readonly command: Command }[] {
  const name = `${path} ${command.name()}`.trim();
  return [{ path: name, command }, ...command.commands.flatMap((sub) => everyCommand(sub, name))];
}

function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part) });
  command.outputHelp();
  return text;
}

describe.each(everyCommand(buildProgram()))("the help of $path", ({ command }) => {
  const help = helpOf(command);

  test("fits 80 columns", () => {
    expect(help.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  test("has an example", () => {
    expect(help).toMatch(/^Examples?:\n {2}\S/m);
  });
});

test("go-cluster's commands and flags are all there", () => {
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
  const program = buildProgram();
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

test("wrong usage exits 2, the version and help exit 0", async () => {
  const [unknown, nothing, incomplete, wrong, version, json, help] = await Promise.all([
    cli(["frobnicate"]),
    cli([]),
    cli(["init", "--cluster-id", "x"]),
    cli(["watch", "--interval", "soon"]),
    cli(["version"]),
    cli(["version", "--json"]),
    cli(["help", "run"]),
  ]);
  expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining("unknown command") });
  expect([nothing.code, incomplete.code]).toEqual([2, 2]);
  expect(wrong).toMatchObject({ code: 2, stderr: expect.stringContaining("500ms, 2s or 1m30s") });
  expect(version.stdout).toMatch(/^nats-leader \d+\.\d+\.\d+\n$/);
  expect(JSON.parse(json.stdout)).toMatchObject({ version: expect.any(String) });
  expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining("LEADER_EPOCH") });
});

test("completion is made for bash, zsh and fish", async () => {
  const made = await Promise.all(["bash", "zsh", "fish"].map((shell) => cli(["completion", shell])));
  for (const { code, stdout } of made) {
    expect(code).toBe(0);
    expect(stdout).toContain("transfer");
  }
});
