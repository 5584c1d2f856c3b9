/** Completion scripts for shells, generated from the commands. */
import { Argument, type Command } from "commander";
import { printText } from "../output.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;

interface CommandWords {
  readonly name: string;
  readonly description: string;
  readonly flags: readonly {
    readonly name: string;
    readonly description: string;
    readonly values: readonly string[];
  }[];
  /** Names of subcommands and values of arguments. */
  readonly operands: readonly string[];
}

export function completion(command: Command): Command {
  return command
    .addArgument(new Argument("<shell>", "shell to print the script for").choices(SHELLS))
    .addHelpText("after", HELP)
    .action((shell: (typeof SHELLS)[number], _flags: object, self: Command) => {
      const program = self.parent;
      if (program === null) throw new Error("bug: completion without a program");
      const words = program.commands.map(wordsOf);
      printText({ bash, zsh, fish }[shell](words));
    });
}

const HELP = `
Example:
  source <(nats-leader completion bash)
  nats-leader completion fish > ~/.config/fish/completions/nats-leader.fish`;

function wordsOf(command: Command): CommandWords {
  return {
    name: command.name(),
    description: command.description(),
    flags: command.options
      .filter((option) => !option.hidden && option.long != null)
      .map((option) => ({
        name: String(option.long),
        description: option.description,
        values: option.argChoices ?? [],
      })),
    operands: [
      ...command.commands.map((sub) => sub.name()),
      ...command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
    ],
  };
}

function bash(words: readonly CommandWords[]): string {
  const cases = words.map(({ name, flags, operands }) => {
    const all = [...operands, ...flags.map((flag) => flag.name), "--help"].join(" ");
    return `    ${name}) words="${all}" ;;`;
  });
  const values = new Map(
    words.flatMap(({ flags }) => flags.map((flag) => [flag.name, flag.values] as const)),
  );
  const choices = [...values].filter(([, list]) => list.length > 0);
  return `# bash completion for nats-leader
_nats_leader() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words
  case $previous in
    -c|--config|--creds|--system-creds|--system-password-file) COMPREPLY=($(compgen -f -- "$current")); return ;;
${choices.map(([name, list]) => `    ${name}) COMPREPLY=($(compgen -W "${list.join(" ")}" -- "$current")); return ;;`).join("\n")}
  esac
  if [ "$COMP_CWORD" = 1 ]; then
    words="${words.map(({ name }) => name).join(" ")} --help --version"
  else
    case \${COMP_WORDS[1]} in
${cases.join("\n")}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o bashdefault -o default -F _nats_leader nats-leader`;
}

function zsh(words: readonly CommandWords[]): string {
  const quote = (text: string): string => text.replaceAll("'", "'\\''").replaceAll(":", "\\:");
  const commands = words.map(({ name, description }) => `    '${name}:${quote(description)}'`);
  const cases = words.map(({ name, flags, operands }) => {
    const all = [...operands, ...flags.map((flag) => flag.name), "--help"];
    return `    ${name}) compadd -- ${all.join(" ")} ;;`;
  });
  return `#compdef nats-leader
# zsh completion for nats-leader
_nats_leader() {
  local -a commands=(
${commands.join("\n")}
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  case $words[CURRENT-1] in -c|--config|--creds|--system-creds|--system-password-file) _files; return ;; esac
  case $words[2] in
${cases.join("\n")}
  esac
}
compdef _nats_leader nats-leader`;
}

function fish(words: readonly CommandWords[]): string {
  const quote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const line = (rest: string): string => `complete -c nats-leader ${rest}`;
  const lines = words.flatMap(({ name, description, flags, operands }) => [
    line(`-f -n __fish_use_subcommand -a ${name} -d ${quote(description)}`),
    ...flags.map((flag) => {
      const values = flag.values.length > 0 ? ` -x -a ${quote(flag.values.join(" "))}` : "";
      const when = quote(`__fish_seen_subcommand_from ${name}`);
      return line(`-n ${when} -l ${flag.name.slice(2)} -d ${quote(flag.description)}${values}`);
    }),
    ...operands.map((word) => line(`-f -n ${quote(`__fish_seen_subcommand_from ${name}`)} -a ${word}`)),
  ]);
  return ["# fish completion for nats-leader", ...lines].join("\n");
}
