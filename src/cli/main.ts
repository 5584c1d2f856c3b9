#!/usr/bin/env node
import { EXIT } from "./exit.ts";
import { runProgram } from "./run-program.ts";

// The reader of stdout has exited: `nats-leader watch | head`.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT.ok);
  throw error;
});

// A message that cannot be written must not end a daemon.
process.stderr.on("error", () => {});

const EXIT_TIMEOUT_MS = 300;

await runProgram(process.argv.slice(2));
// Normally the process ends here by itself. A connection attempt to a frozen server would keep it alive.
setTimeout(() => process.exit(), EXIT_TIMEOUT_MS).unref();
