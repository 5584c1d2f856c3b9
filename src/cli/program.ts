import { type Argument, Command } from "commander";
import { PACKAGE_VERSION } from "../config/options.ts";
import { COMMANDS } from "./commands.ts";
import { EXIT_CODES } from "./exit.ts";
import { noteText, printText } from "./output.ts";

const WIDTH = 80;

/** The program with only the command loaded that `args` name. */
export function programFor(args: readonly string[]): Promise<Command> {
  const [first, second] = args.filter((arg) => !arg.startsWith("-"));
  const name = first === "help" ? second : first;
  const json = wantsJson(args);
  // A completion script lists the options of every command.
  return name === "completion" ? fullProgram() : build((one) => one === name, json);
}

/** The program with every command loaded. */
export function fullProgram(): Promise<Command> {
  return build(() => true, false);
}

/** Whether errors are printed as JSON. Arguments after `--` belong to the program that `run` starts. */
export function wantsJson(args: readonly string[]): boolean {
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  return args.slice(0, end).includes("--json");
}

async function build(isLoaded: (name: string) => boolean, json: boolean): Promise<Command> {
  const program = new Command("nats-leader")
    .description("Leader election for services on NATS JetStream")
    .version(PACKAGE_VERSION, "-V, --version", "print the version")
    .enablePositionalOptions()
    .addHelpText("after", HELP);
  for (const { name, args, description, load } of COMMANDS) {
    const command = new Command(name).description(description);
    if (isLoaded(name)) (await load())(command);
    else if (args !== undefined) command.arguments(args);
    program.addCommand(command);
  }
  program.helpCommand("help [command]", "show the help of a command");
  configure(program, json);
  return program;
}

const HELP = `
Examples:
  nats-leader init --cluster-id billing --node-id a --config a.json
  nats-leader daemon --config a.json
  nats-leader status --config a.json
  nats-leader run --config a.json -- ./worker

${EXIT_CODES}
NATS_URL and NATS_CREDS apply if neither a flag, a NATS_LEADER_* variable nor
the file sets the servers and the credentials.`;

/** Commander does not pass these settings on to commands that `addCommand` adds. */
function configure(command: Command, json: boolean): void {
  command
    .exitOverride()
    .configureHelp({
      helpWidth: WIDTH,
      subcommandTerm: (sub) =>
        [sub.name(), ...sub.registeredArguments.map((argument) => humanReadable(argument))].join(" "),
    })
    .configureOutput({
      writeOut: (text) => printText(text.trimEnd()),
      // With --json, main.ts prints the error.
      writeErr: (text) => (json ? undefined : noteText(text.trimEnd())),
      getOutHelpWidth: () => WIDTH,
      getErrHelpWidth: () => WIDTH,
    })
    .showHelpAfterError("(--help lists the arguments and options)");
  for (const sub of command.commands) configure(sub, json);
}

function humanReadable(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

const GO_COMMANDS = ["init", "daemon", "status", "watch", "promote", "demote", "join", "leave"];
const GO_FLAGS = /^-((?:config|json|log-level|interval|cluster-id|node-id|nats-url|vip-[a-z]+)(?:=.*)?)$/;

/** Accepts Go's flags with one dash, as scripts for go-cluster may write them: `-config` becomes `--config`. */
export function withGoFlags(args: readonly string[]): string[] {
  if (!GO_COMMANDS.includes(args[0] ?? "")) return [...args];
  return args.map((arg) => arg.replace(GO_FLAGS, "--$1"));
}

/**
 * `help foo` becomes `foo`, which is refused as an unknown command, and `help help` becomes `help`. For both, commander prints the overview
 * as an error without a message.
 */
export function withoutUnknownHelp(args: readonly string[]): string[] {
  const [first, second] = args;
  if (first !== "help" || second === undefined || second.startsWith("-")) return [...args];
  if (second === "help") return [first];
  return COMMANDS.some(({ name }) => name === second) ? [...args] : args.slice(1);
}
