import { type Argument, Command } from "commander";
import { PACKAGE_VERSION } from "../config/resolve.ts";
import { completion } from "./commands/completion.ts";
import { config } from "./commands/config.ts";
import { daemon } from "./commands/daemon.ts";
import { demo } from "./commands/demo.ts";
import { doctor } from "./commands/doctor.ts";
import { history } from "./commands/history.ts";
import { init } from "./commands/init.ts";
import { demote, join, leave, promote, stepdown, transfer } from "./commands/leadership.ts";
import { bench, version } from "./commands/misc.ts";
import { nodes } from "./commands/nodes.ts";
import { permissions } from "./commands/permissions.ts";
import { run } from "./commands/run.ts";
import { status } from "./commands/status.ts";
import { watch } from "./commands/watch.ts";
import { EXIT_CODES } from "./exit.ts";

const WIDTH = 80;

/** The command line. Only `daemon`, `run`, `demo` and `bench` are or start nodes; the others look, and ask nodes. */
export function buildProgram(): Command {
  const program = new Command("nats-leader")
    .description("Leader election for services on NATS JetStream")
    .version(PACKAGE_VERSION, "-V, --version", "print the version")
    .enablePositionalOptions()
    .addHelpText(
      "after",
      `
Examples:
  nats-leader init --cluster-id billing --node-id a --config a.json
  nats-leader daemon --config a.json
  nats-leader status --config a.json
  nats-leader run --config a.json -- ./worker

${EXIT_CODES}
NATS_URL and NATS_CREDS are used where nothing else names a server.`,
    );
  const commands = [init(), daemon(), run(), status(), watch(), nodes(), history(), doctor(), permissions()];
  const changing = [promote(), demote(), transfer(), stepdown(), join(), leave()];
  for (const command of [...commands, ...changing, config(), bench(), demo(), completion(), version()]) {
    program.addCommand(command);
  }
  program.helpCommand("help [command]", "show what a command does");
  prepare(program);
  return program;
}

/** Commander ends the process by itself unless it is told otherwise, for each command. */
function prepare(command: Command): void {
  command
    .exitOverride()
    .configureHelp({
      helpWidth: WIDTH,
      subcommandTerm: (sub) =>
        [sub.name(), ...sub.registeredArguments.map((argument) => humanReadable(argument))].join(" "),
    })
    .configureOutput({ getOutHelpWidth: () => WIDTH, getErrHelpWidth: () => WIDTH })
    .showHelpAfterError("(--help shows how it is used)");
  for (const sub of command.commands) prepare(sub);
}

function humanReadable(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

const GO_COMMANDS = ["init", "daemon", "status", "watch", "promote", "demote", "join", "leave"];
const GO_FLAGS = /^-((?:config|json|log-level|interval|cluster-id|node-id|nats-url|vip-[a-z]+)(?:=.*)?)$/;

/** Go's flags may have one dash; go-cluster's scripts may use that. */
export function withGoFlags(args: readonly string[]): string[] {
  if (!GO_COMMANDS.includes(args[0] ?? "")) return [...args];
  return args.map((arg) => arg.replace(GO_FLAGS, "--$1"));
}
