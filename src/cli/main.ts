#!/usr/bin/env node
import { endWhenOutputFails } from "../system/output-failures.ts";
import { EXIT } from "./exit.ts";
import { wantsJson } from "./program.ts";
import { report, runProgram } from "./run-program.ts";

const EXIT_TIMEOUT_MS = 300;

const args = process.argv.slice(2);
endWhenOutputFails((message) => report("OUTPUT_FAILED", message, EXIT.error, wantsJson(args)));
await runProgram(args);
// Normally the process ends here by itself. A connection attempt to a frozen server would keep it alive.
setTimeout(() => process.exit(), EXIT_TIMEOUT_MS).unref();
