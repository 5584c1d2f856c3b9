/** Completion scripts for shells, generated from the commands, and the ids that the scripts ask for. */
import { Argument, type Command, Option } from "commander";
import { bashScript } from "../completion/bash.ts";
import { fishScript } from "../completion/fish.ts";
import { ID_KINDS, type IdKind, wordsOf } from "../completion/words.ts";
import { zshScript } from "../completion/zsh.ts";
import { printText } from "../output.ts";

const SHELLS = ["bash", "zsh", "fish"] as const;
const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript };

interface Flags {
  readonly ids?: IdKind;
}

export function completion(command: Command): Command {
  return command
    .addArgument(new Argument("<shell>", "shell to print the script for").choices(SHELLS))
    .allowExcessArguments()
    .addOption(new Option("--ids <kind>").choices(ID_KINDS).hideHelp())
    .addHelpText("after", HELP)
    .action(async (shell: (typeof SHELLS)[number], flags: Flags, self: Command) => {
      if (flags.ids !== undefined) return printIds(flags.ids, self.args.slice(1));
      const program = self.parent;
      if (program === null) throw new Error("bug: completion without a program");
      printText(SCRIPTS[shell](wordsOf(program)));
    });
}

const HELP = `
Completes commands, options and their values. Ids of clusters, nodes, groups and
members are asked for where the command line says, for a second at most.

Example:
  source <(nats-leader completion bash)
  nats-leader completion fish > ~/.config/fish/completions/nats-leader.fish`;

/** Prints nothing if they cannot be read: a shell shows no error while a line is typed. */
async function printIds(kind: IdKind, words: readonly string[]): Promise<void> {
  const { idsFor } = await import("../completion/ids.ts");
  const ids = await idsFor(kind, words).catch(() => []);
  if (ids.length > 0) printText(ids.join("\n"));
}
