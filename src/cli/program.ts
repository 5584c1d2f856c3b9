import { Command } from "commander";
import { PACKAGE_VERSION } from "../config.ts";
import { status } from "./status.ts";
import { stepdown } from "./stepdown.ts";

/** The command line. None of its commands joins the election or writes to the bucket. */
export function buildProgram(): Command {
  const program = new Command("nats-leader")
    .description("Leader election for services on NATS JetStream")
    .version(PACKAGE_VERSION, "-V, --version", "print the version")
    .exitOverride()
    .showHelpAfterError("(nats-leader --help shows what there is)")
    .addHelpText(
      "after",
      `
Examples:
  nats-leader status billing
  nats-leader stepdown billing node-a --to node-b

Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 nobody leads,
4 NATS or the node cannot be reached. NATS_URL is the default of --servers.`,
    );
  program.addCommand(status());
  program.addCommand(stepdown());
  return program;
}
