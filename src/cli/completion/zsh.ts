/** The completion script for zsh. */
import type { CommandWords, OptionWords, Values } from "./words.ts";

export function zshScript(commands: readonly CommandWords[]): string {
  const parents = commands.filter(({ subcommands, path }) => subcommands.length > 0 && path !== "help");
  const names = commands
    .filter(({ path }) => !path.includes(" "))
    .map(({ path, description }) => `    ${quoted(`${path}:${description}`)}`);
  return `#compdef nats-leader
# zsh completion for nats-leader
_nats_leader() {
  local previous=$words[CURRENT-1] command=$words[2]
  local -a commands=(
${names.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    compadd -- --help --version
    return
  fi
  # What follows belongs to the program that "run" starts.
  if (( \${words[(i)--]} < CURRENT )); then _normal -p nats-leader; return; fi
  case $command in ${parents.map(({ path }) => path).join("|") || "-"})
    if (( CURRENT > 3 )); then command="$command $words[3]"; fi ;;
  esac
  if [[ $PREFIX == --*=* ]]; then
    previous=\${PREFIX%%=*}
    compset -P '*='
  fi
  case "$command $previous" in
${valueCases(commands).join("\n")}
  esac
  local -a options
  case $command in
${commands.map(wordCase).join("\n")}
  esac
}
_nats_leader_ids() {
  compadd -- \${(f)"$(nats-leader completion zsh --ids $1 -- "\${(@)words[2,-1]}" 2>/dev/null)"}
}
# Sourced, or loaded by its file name.
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _nats_leader "$@"; else compdef _nats_leader nats-leader; fi`;
}

/** One case for each set of values: the commands and options that have it. */
function valueCases(commands: readonly CommandWords[]): string[] {
  const patterns = new Map<string, string[]>();
  for (const { path, options } of commands) {
    for (const { long, short, values } of options) {
      if (values === null) continue;
      const action = actionFor(values);
      const names = [long, ...(short === null ? [] : [short])].map((name) => `"${path} ${name}"`);
      patterns.set(action, [...(patterns.get(action) ?? []), ...names]);
    }
  }
  return [...patterns].map(([action, names]) => `  ${names.join("|")}) ${action}; return ;;`);
}

function wordCase({ path, options, subcommands, operand }: CommandWords): string {
  const described = options.map((option) => quoted(described1(option))).join(" ");
  const first = [
    ...(operand === null || operand.kind === "none" ? [] : [actionFor(operand)]),
    ...(subcommands.length === 0 ? [] : [`compadd -- ${subcommands.join(" ")}`]),
  ];
  const values = first.length === 0 ? "" : `[[ $PREFIX == -* ]] || { ${first.join("; ")} }; `;
  return `  "${path}") ${values}options=(${described} '--help:display help for command'); _describe option options ;;`;
}

function described1({ long, description }: OptionWords): string {
  return `${long}:${description}`;
}

function actionFor(values: Values): string {
  switch (values.kind) {
    case "words":
      return `compadd -- ${values.words.map(quoted).join(" ")}`;
    case "file":
      return "_files";
    case "program":
      return "_command_names -e";
    case "cluster-id":
    case "node-id":
    case "group-id":
    case "member-id":
      return `_nats_leader_ids ${values.kind}`;
    case "interface":
      return "_net_interfaces";
    case "none":
      return "_message value";
    default:
      return values satisfies never;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
