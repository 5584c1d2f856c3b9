/** What every command says about itself. */
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { buildProgram, withGoFlags } from "../../src/cli/program.ts";
import { cli } from "./support.ts";

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
  expect(await cli(["frobnicate"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("unknown command"),
  });
  expect((await cli([])).code).toBe(2);
  expect(await cli(["init", "--cluster-id", "x"])).toMatchObject({ code: 2 });
  expect(await cli(["watch", "--interval", "soon"])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining("500ms, 2s or 1m30s"),
  });
  expect((await cli(["version"])).stdout).toMatch(/^nats-leader \d+\.\d+\.\d+\n$/);
  expect(JSON.parse((await cli(["version", "--json"])).stdout)).toMatchObject({
    version: expect.any(String),
  });
  expect((await cli(["help", "run"])).stdout).toContain("LEADER_EPOCH");
});

test("completion is made for bash, zsh and fish", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout } = await cli(["completion", shell]);
    expect([shell, code]).toEqual([shell, 0]);
    expect(stdout).toContain("transfer");
  }
});
