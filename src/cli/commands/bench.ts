import type { Command } from "commander";
import { failoverCommand } from "../../bench/command.ts";

const EXAMPLE = "\nExample:\n  nats-leader bench failover --mode kill --rounds 20";

export function bench(command: Command): Command {
  return command.addHelpText("after", EXAMPLE).addCommand(failoverCommand().addHelpText("after", EXAMPLE));
}
