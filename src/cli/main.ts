#!/usr/bin/env node
import { CommanderError } from "commander";
import { ClusterError, messageOf } from "../errors.ts";
import { CliError, EXIT, exitCodeOf } from "./exit.ts";
import { coloursFor, note } from "./output.ts";
import { programFor, withGoFlags } from "./program.ts";

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
  // Commander has already printed its message.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const exitCode = exitCodeOf(error);
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  if (args.slice(0, end).includes("--json")) {
    const code = error instanceof ClusterError || error instanceof CliError ? error.code : "ERROR";
    note(JSON.stringify({ ok: false, code, message: messageOf(error), exitCode }));
  } else note(`${coloursFor(process.stderr).bad("Error:")} ${messageOf(error)}`);
  return exitCode;
}
