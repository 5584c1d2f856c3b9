import { Command } from "commander";
import { failoverCommand } from "../../bench/command.ts";
import { PACKAGE_VERSION } from "../../config/resolve.ts";
import { print, printJson } from "../output.ts";

export function version(): Command {
  return new Command("version")
    .description("print the version")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  nats-leader version")
    .action((flags: { readonly json?: boolean }) => {
      if (flags.json === true) printJson({ version: PACKAGE_VERSION, node: process.version });
      else print(`nats-leader ${PACKAGE_VERSION}`);
    });
}

export function bench(): Command {
  const failover = failoverCommand().addHelpText(
    "after",
    "\nExample:\n  nats-leader bench failover --mode kill --rounds 20",
  );
  return new Command("bench")
    .description("measure failover on this machine")
    .addHelpText("after", "\nExample:\n  nats-leader bench failover --mode kill --rounds 20")
    .addCommand(failover);
}
