/** The generated tables of docs/cli.md: commands with their options, and settings with their variables. */
import { Command, type Option } from "commander";
import { withClusterOptions, withGroupOptions } from "../../src/cli/options.ts";
import { fullProgram } from "../../src/cli/program.ts";
import { SETTINGS } from "../../src/config/file/settings.ts";

/** Every table of docs/cli.md, by the name of its section. */
export async function cliTables(): Promise<Record<string, string>> {
  return {
    commands: await commandTable(),
    "cluster-options": clusterOptionTable(),
    settings: settingTable(),
  };
}

function clusterOptionTable(): string {
  const rows = visible(withClusterOptions(new Command())).map(optionCells);
  return markdown(["option", "meaning"], rows);
}

/** Cluster options are left out: they have a table of their own. */
async function commandTable(): Promise<string> {
  const program = await fullProgram();
  const rows = program.commands.flatMap((command) => commandRows(command, ""));
  return markdown(["command", "option", "meaning"], rows);
}

function commandRows(command: Command, path: string): string[][] {
  const name = `${path} ${command.name()}`.trim();
  const usage = [name, ...command.registeredArguments.map((argument) => argumentText(argument))].join(" ");
  if (command.commands.length > 0) return command.commands.flatMap((sub) => commandRows(sub, name));
  const cluster = visible(withClusterOptions(new Command())).map(({ flags }) => flags);
  const options = visible(command);
  const hasCluster = cluster.every((flags) => options.some((option) => option.flags === flags));
  const servers = visible(withGroupOptions(new Command())).map(({ flags }) => flags);
  const hasServers =
    !hasCluster && servers.every((flags) => options.some((option) => option.flags === flags));
  const shared = hasCluster ? cluster : hasServers ? servers.filter((flags) => cluster.includes(flags)) : [];
  const own = options.filter(({ flags }) => !shared.includes(flags));
  const named = hasCluster ? "cluster options" : hasServers ? "cluster options but the ids" : "";
  return [[code(usage), named, command.description()], ...own.map((option) => ["", ...optionCells(option)])];
}

function argumentText(argument: Command["registeredArguments"][number]): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function visible(command: Command): Option[] {
  return command.options.filter((option) => !option.hidden);
}

function optionCells(option: Option): string[] {
  const { flags, description, argChoices, defaultValue, defaultValueDescription } = option;
  const shown = defaultValueDescription ?? (option.isBoolean() || option.negate ? undefined : defaultValue);
  const choices = argChoices === undefined ? "" : `: ${argChoices.map(code).join(", ")}`;
  const fallback = shown === undefined ? "" : ` (default: ${shown})`;
  return [code(flags), `${description}${choices}${fallback}`];
}

function settingTable(): string {
  const rows = SETTINGS.map(({ path, secret, variable, shared, platform }) => [
    secret === true ? `${code(path)} (not in the file)` : code(path),
    code(variable),
    (shared ?? []).map(code).join(", "),
    platform === undefined ? "" : code(platform),
  ]);
  return markdown(["setting", "variable", "shared variables", "platform"], rows);
}

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}
