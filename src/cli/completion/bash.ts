/** The completion script for bash. */
import type { CommandWords, Values } from "./words.ts";

export function bashScript(commands: readonly CommandWords[]): string {
  const parents = commands.filter(({ subcommands, path }) => subcommands.length > 0 && path !== "help");
  return `# bash completion for nats-leader
_nats_leader() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} words="" word
  # bash takes --option=value apart.
  if [ "$current" = "=" ]; then current=""; elif [ "$previous" = "=" ]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  case $command in ${parents.map(({ path }) => path).join("|") || "-"})
    if [ "$COMP_CWORD" -gt 2 ]; then command="$command \${COMP_WORDS[2]}"; fi ;;
  esac
  for word in "\${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
    # What follows belongs to the program that "run" starts: the completion of bash.
    if [ "$word" = "--" ]; then return; fi
  done
  if [ "$COMP_CWORD" = 1 ]; then
    words="${commands
      .map(({ path }) => path)
      .filter((path) => !path.includes(" "))
      .join(" ")} --help --version"
  else
    case "$command $previous" in
${valueCases(commands).join("\n")}
    *)
      case $command in
${commands.map(wordCase).join("\n")}
      esac ;;
    esac
  fi
  if [ "$words" = "<files>" ]; then return; fi
  compopt +o default +o bashdefault 2>/dev/null
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
_nats_leader_ids() {
  # The program prints only ids of letters, digits, "_" and "-", so that nothing in them is expanded.
  nats-leader completion bash --ids "$1" -- "\${COMP_WORDS[@]:1}" 2>/dev/null
}
complete -o bashdefault -o default -F _nats_leader nats-leader`;
}

/** One case for each set of values: the commands and options that have it. */
function valueCases(commands: readonly CommandWords[]): string[] {
  const patterns = new Map<string, string[]>();
  for (const { path, options } of commands) {
    for (const { long, short, values } of options) {
      if (values === null) continue;
      const words = wordsFor(values);
      const names = [long, ...(short === null ? [] : [short])].map((name) => `"${path} ${name}"`);
      patterns.set(words, [...(patterns.get(words) ?? []), ...names]);
    }
  }
  return [...patterns].map(([words, names]) => `    ${names.join("|")}) words=${words} ;;`);
}

function wordCase({ path, options, subcommands, operand }: CommandWords): string {
  const flags = [...subcommands, ...options.map(({ long }) => long), "--help"].join(" ");
  if (operand === null || operand.kind === "none") return `      "${path}") words="${flags}" ;;`;
  const values = wordsFor(operand);
  if (operand.kind === "program")
    return `      "${path}") case $current in -*) words="${flags}" ;; *) words=${values} ;; esac ;;`;
  return `      "${path}") words="${flags} "; case $current in -*) ;; *) words+=${values} ;; esac ;;`;
}

function wordsFor(values: Values): string {
  switch (values.kind) {
    case "words":
      return `"${values.words.join(" ")}"`;
    case "file":
    case "program":
      return '"<files>"';
    case "cluster-id":
    case "node-id":
    case "group-id":
    case "member-id":
      return `"$(_nats_leader_ids ${values.kind})"`;
    case "interface":
      return '"$(ls /sys/class/net 2>/dev/null)"';
    case "none":
      return '""';
    default:
      return values satisfies never;
  }
}
