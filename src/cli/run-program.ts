/** Runs the program with its arguments; reports its error. */
import { CommanderError } from "commander";
import { ClusterError, messageOf } from "../errors.ts";
import { CliError, EXIT, exitCodeOf } from "./exit.ts";
import { noteJson, noteLines } from "./output.ts";
import { programFor, wantsJson, withGoFlags, withoutUnknownHelp } from "./program.ts";
import { errorJson, errorLines } from "./render/error-lines.ts";

/** Sets `process.exitCode`. Never rejects. */
export async function runProgram(given: readonly string[]): Promise<void> {
  const args = withoutUnknownHelp(withGoFlags(given));
  try {
    const program = await programFor(args);
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    process.exitCode = fail(error, wantsJson(args));
  }
}

function fail(error: unknown, json: boolean): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT.ok;
    // As text, commander has already printed it.
    if (json) noteJson(errorJson("INVALID_USAGE", usageMessage(error), EXIT.usage));
    return EXIT.usage;
  }
  const exitCode = exitCodeOf(error);
  const code = error instanceof ClusterError || error instanceof CliError ? error.code : "ERROR";
  report(code, messageOf(error), exitCode, json);
  return exitCode;
}

/** Prints an error to stderr. */
export function report(code: string, message: string, exitCode: number, json: boolean): void {
  if (json) noteJson(errorJson(code, message, exitCode));
  else noteLines(errorLines(message));
}

function usageMessage({ code, message }: CommanderError): string {
  if (code === "commander.help") return "no command was given; nats-leader --help lists the commands";
  return message.replace(/^error: /, "");
}
