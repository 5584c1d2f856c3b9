#!/usr/bin/env node
/**
 * Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 nobody leads, 4 NATS or the node cannot be reached.
 */
import { CommanderError } from "commander";
import { ClusterError, messageOf } from "../errors.ts";
import { UsageError } from "./connection-options.ts";
import { buildProgram } from "./program.ts";

const program = buildProgram();
try {
  await program.parseAsync(process.argv);
} catch (error) {
  process.exitCode = exitCodeOf(error);
}

function exitCodeOf(error: unknown): number {
  // Commander has said what it had to say.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  process.stderr.write(`nats-leader: ${messageOf(error)}\n`);
  if (error instanceof UsageError) return 2;
  if (!(error instanceof ClusterError)) return 1;
  if (error.code === "INVALID_CONFIG") return 2;
  return error.code === "NO_CONNECTION" || error.code === "AUTHORIZATION" ? 4 : 1;
}
