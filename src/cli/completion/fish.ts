/** The completion script for fish. */
import type { CommandWords, IdKind, OptionWords, Values } from "./words.ts";

export function fishScript(commands: readonly CommandWords[]): string {
  const names = commands.filter(({ path }) => !path.includes(" "));
  return [
    "# fish completion for nats-leader",
    `function __nats_leader_at
  set -l words (commandline -opc)
  set -e words[1]
  # What follows belongs to the program that "run" starts.
  contains -- -- $words; and return 1
  set -l depth (count $argv)
  test "$words[1..$depth]" = "$argv"
end`,
    "complete -c nats-leader -f",
    ...names.map(({ path, description }) =>
      complete(`-n __fish_use_subcommand -a ${path} -d ${quoted(description)}`),
    ),
    ...commands.flatMap(commandLines),
  ].join("\n");
}

function commandLines({ path, options, subcommands, operand }: CommandWords): string[] {
  const at = `-n ${quoted(`__nats_leader_at ${path}`)}`;
  // The options of a subcommand are not those of its command.
  const lines = options.map((option) => complete(`${at} ${optionText(option)}`));
  if (subcommands.length > 0) {
    const only = `not __fish_seen_subcommand_from ${subcommands.join(" ")}`;
    lines.push(
      complete(`-n ${quoted(`__nats_leader_at ${path}; and ${only}`)} -a ${quoted(subcommands.join(" "))}`),
    );
  }
  if (operand !== null) lines.push(...operandText(operand).map((text) => complete(`${at} ${text}`)));
  return lines;
}

function optionText({ long, short, description, values }: OptionWords): string {
  const name = `${short === null ? "" : `-s ${short.slice(1)} `}-l ${long.slice(2)} -d ${quoted(description)}`;
  return values === null ? name : `${name} ${valueText(values)}`;
}

function valueText(values: Values): string {
  switch (values.kind) {
    case "words":
      return `-x -a ${quoted(values.words.join(" "))}`;
    case "file":
    case "program":
      return "-r -F";
    case "cluster-id":
    case "node-id":
    case "group-id":
    case "member-id":
    case "interface":
      return `-x -a ${quoted(`(${commandFor(values.kind)})`)}`;
    case "none":
      return "-x";
    default:
      return values satisfies never;
  }
}

function operandText(values: Values): string[] {
  switch (values.kind) {
    case "words":
      return [`-a ${quoted(values.words.join(" "))}`];
    case "program":
      return [`-a ${quoted("(__fish_complete_command)")}`];
    case "file":
      return ["-F"];
    case "cluster-id":
    case "node-id":
    case "group-id":
    case "member-id":
    case "interface":
      return [`-a ${quoted(`(${commandFor(values.kind)})`)}`];
    case "none":
      return [];
    default:
      return values satisfies never;
  }
}

function commandFor(kind: IdKind | "interface"): string {
  if (kind === "interface") return "ls /sys/class/net 2>/dev/null";
  return `nats-leader completion fish --ids ${kind} -- (commandline -opc)[2..-1] 2>/dev/null`;
}

function complete(rest: string): string {
  return `complete -c nats-leader ${rest}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
