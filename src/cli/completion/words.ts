/** What can be completed, derived from the commands: names, options, and the values of each option and argument. */
import type { Argument, Command, Option } from "commander";

/** Ids that are asked for while a line is typed. */
export const ID_KINDS = ["cluster-id", "node-id", "group-id", "member-id"] as const;
export type IdKind = (typeof ID_KINDS)[number];

/** The values that an option or argument takes. `none`: any text. */
export type Values =
  | { readonly kind: "none" | "file" | IdKind | "interface" | "program" }
  /** For choices, and as examples of durations and URLs. */
  | { readonly kind: "words"; readonly words: readonly string[] };

export interface OptionWords {
  /** `--timeout`. */
  readonly long: string;
  /** `-c`, or `null`. */
  readonly short: string | null;
  readonly description: string;
  /** `null`: a flag. */
  readonly values: Values | null;
}

export interface CommandWords {
  /** `status`, or `config check`. */
  readonly path: string;
  readonly description: string;
  readonly options: readonly OptionWords[];
  /** Names of subcommands. */
  readonly subcommands: readonly string[];
  /** Values of the first argument; `null` without arguments. */
  readonly operand: Values | null;
}

const DURATIONS = ["500ms", "1s", "2s", "5s", "10s", "30s", "1m"];
/** Examples. */
const NUMBERS = ["1", "2", "3", "5", "10", "20"];
const MILLISECONDS = ["500", "1000", "2000", "5000", "10000"];
const PREFIX_LENGTHS = ["16", "24", "32", "64", "128"];

/** Every command, and every subcommand after its command. */
export function wordsOf(program: Command): CommandWords[] {
  const names = program.commands.map((command) => command.name());
  const own = program.commands.flatMap((command) => commandWords(command, ""));
  const help = { path: "help", description: "show the help of a command", options: [], subcommands: names };
  return [...own, { ...help, operand: null }];
}

function commandWords(command: Command, above: string): CommandWords[] {
  const path = `${above} ${command.name()}`.trim();
  const [argument] = command.registeredArguments;
  const words: CommandWords = {
    path,
    description: command.description(),
    options: command.options.filter(({ hidden, long }) => !hidden && long != null).map(optionWords),
    subcommands: command.commands.map((sub) => sub.name()),
    operand: argument === undefined ? null : operandValues(argument),
  };
  return [words, ...command.commands.flatMap((sub) => commandWords(sub, path))];
}

function optionWords(option: Option): OptionWords {
  return {
    long: String(option.long),
    short: option.short ?? null,
    description: option.description,
    values: option.required || option.optional ? optionValues(option) : null,
  };
}

const ID_OPTIONS: Readonly<Record<string, IdKind>> = { "--node-id": "node-id", "--group": "group-id" };

function optionValues(option: Option): Values {
  if (option.argChoices !== undefined) return words(option.argChoices);
  if (option.long === "--monitor") return words(["http://localhost:8222"]);
  if (option.long === "--listen") return words(["127.0.0.1:9466", "0.0.0.0:9466"]);
  const [, placeholder = ""] = /[<[]([\w-]+)/.exec(option.flags) ?? [];
  switch (placeholder) {
    case "file":
      return { kind: "file" };
    case "time":
      return words(DURATIONS);
    case "urls":
      return words(["nats://localhost:4222"]);
    case "node":
      return { kind: "node-id" };
    case "id":
      return { kind: ID_OPTIONS[String(option.long)] ?? "cluster-id" };
    case "member":
      return { kind: "member-id" };
    case "interface":
      return { kind: "interface" };
    case "bits":
      return words(PREFIX_LENGTHS);
    case "n":
    case "number":
      return option.defaultValue === undefined ? words(NUMBERS) : defaultValue(option);
    case "ms":
      return option.defaultValue === undefined ? words(MILLISECONDS) : defaultValue(option);
    default:
      return defaultValue(option);
  }
}

function defaultValue({ defaultValue: value }: Option): Values {
  return typeof value === "number" || typeof value === "string" ? words([String(value)]) : { kind: "none" };
}

function operandValues(argument: Argument): Values {
  if (argument.argChoices !== undefined) return words(argument.argChoices);
  if (argument.name() === "node") return { kind: "node-id" };
  if (argument.name() === "group") return { kind: "group-id" };
  return { kind: argument.variadic ? "program" : "none" };
}

function words(list: readonly string[]): Values {
  return { kind: "words", words: list };
}
