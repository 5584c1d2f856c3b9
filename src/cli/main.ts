#!/usr/bin/env node
import { CommanderError } from "commander";
import { ClusterError, messageOf } from "../errors.ts";
import { CliError, EXIT, exitCodeOf } from "./exit.ts";
import { coloursFor, note } from "./output.ts";
import { buildProgram, withGoFlags } from "./program.ts";

// Whoever read our output has gone: `nats-leader watch | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT.ok);
  throw error;
});

const LINGER_MS = 300;

const args = withGoFlags(process.argv.slice(2));
try {
  await buildProgram().parseAsync(args, { from: "user" });
} catch (error) {
  process.exitCode = fail(error);
}
// All is done and said. Normally nothing keeps this process alive; a connection to a frozen server, still being dialled, would.
setTimeout(() => process.exit(), LINGER_MS).unref();

function fail(error: unknown): number {
  // Commander has said what it had to say.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const exitCode = exitCodeOf(error);
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  if (args.slice(0, end).includes("--json")) {
    const code = error instanceof ClusterError || error instanceof CliError ? error.code : "ERROR";
    note(JSON.stringify({ ok: false, code, message: messageOf(error), exitCode }));
  } else note(`${coloursFor(process.stderr).bad("Error:")} ${messageOf(error)}`);
  return exitCode;
}
