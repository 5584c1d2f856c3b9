import type { Command } from "commander";
import { PACKAGE_VERSION } from "../../config/options.ts";
import { print, printJson } from "../output.ts";

export function version(command: Command): Command {
  return command
    .option("--json", "print JSON")
    .addHelpText("after", "\nExample:\n  nats-leader version")
    .action((flags: { readonly json?: boolean }) => {
      if (flags.json === true) printJson({ version: PACKAGE_VERSION, node: process.version });
      else print(`nats-leader ${PACKAGE_VERSION}`);
    });
}
