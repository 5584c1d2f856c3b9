/** docs/cli.md has every command, option, setting and exit code of the program, and no other. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { expect, test } from "vitest";
import { cliTables } from "../../scripts/build/cli-reference.ts";
import { EXIT } from "../../src/cli/exit.ts";
import { fullProgram } from "../../src/cli/program.ts";
import { everyCommand } from "../support/cli/run-cli.ts";

const text = readFileSync(join(import.meta.dirname, "../../docs/cli.md"), "utf8");
const [program, ...commands] = everyCommand(await fullProgram()).map(({ command }) => command);

test.each(Object.entries(await cliTables()))(
  "the table of %s is as generated (npm run generate)",
  (name, table) => {
    expect(text).toContain(`<!-- generated: ${name} -->\n${table}\n<!-- /generated -->`);
  },
);

test("every command and option is in a table", () => {
  for (const command of commands.filter(({ commands: below }) => below.length === 0)) {
    expect(text).toMatch(new RegExp(`^\\| \`(?:\\w+ )?${command.name()}[\` ]`, "m"));
  }
  for (const flags of commands.flatMap(visibleFlags)) expect(text).toContain(`\`${flags}\``);
});

test("the text names no other command or option", () => {
  const options = [program, ...commands].flatMap((command) => command?.options.map(({ long }) => long));
  // `--silent` belongs to npm.
  const known = new Set([...options, "--help", "--silent"]);
  const ownText = text.replaceAll(/ -- \.\/worker.*/g, "");
  const named = [...ownText.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([option]) => option);
  expect(named.filter((option) => !known.has(option))).toEqual([]);
  const names = new Set([...commands.map((command) => command.name()), "help"]);
  const used = [...text.matchAll(/(?<![/\w])nats-leader ([a-z]+(?:-[a-z]+)*)/g)].map(([, name = ""]) => name);
  expect(used.filter((name) => !names.has(name))).toEqual([]);
});

test("every exit code is in the table", () => {
  for (const code of Object.values(EXIT)) expect(text).toMatch(new RegExp(`^\\| ${code} \\|`, "m"));
});

function visibleFlags(command: Command): string[] {
  return command.options.filter((option) => !option.hidden).map((option) => option.flags);
}
