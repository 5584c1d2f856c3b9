#!/usr/bin/env node
import { CommanderError } from "commander";
import { ClusterError, messageOf } from "../errors.ts";
import { CliError, EXIT, exitCodeOf } from "./exit.ts";
import { noteJson, noteLines } from "./output.ts";
import { programFor, wantsJson, withGoFlags } from "./program.ts";
import { errorJson, errorLines } from "./render/error-lines.ts";

// The reader of stdout has exited: `nats-leader watch | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT.ok);
  throw error;
});

// A message that cannot be written must not end a daemon.
process.stderr.on("error", () => {});

const EXIT_TIMEOUT_MS = 300;

const args = withGoFlags(process.argv.slice(2));
try {
  const program = await programFor(args);
  await program.parseAsync(args, { from: "user" });
} catch (error) {
  process.exitCode = fail(error);
}
// Normally the process ends here by itself. A connection attempt to a frozen server would keep it alive.
setTimeout(() => process.exit(), EXIT_TIMEOUT_MS).unref();

function fail(error: unknown): number {
  const json = wantsJson(args);
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    // As text, commander has already printed it.
    if (json) noteJson(errorJson("INVALID_USAGE", usageMessage(error), EXIT.usage));
    return EXIT.usage;
  }
  const exitCode = exitCodeOf(error);
  const code = error instanceof ClusterError || error instanceof CliError ? error.code : "ERROR";
  if (json) noteJson(errorJson(code, messageOf(error), exitCode));
  else noteLines(errorLines(messageOf(error)));
  return exitCode;
}

function usageMessage({ code, message }: CommanderError): string {
  if (code === "commander.help") return "no command was given; nats-leader --help lists the commands";
  return message.replace(/^error: /, "");
}
