/**
 * Imports the scripts that are named by its arguments one after another, each as the main program with `--help`, and reports
 * what each printed and its exit code. One process: a process for each script would take a second each.
 */
import { pathToFileURL } from "node:url";
import { say } from "../../processes/child-io.ts";

class Exit extends Error {
  constructor(readonly code: unknown) {
    super(`exit ${code}`);
  }
}

let printed = "";
process.stdout.write = (text: string | Uint8Array): boolean => {
  printed += String(text);
  return true;
};
const { exit } = process;
process.exit = (code) => {
  throw new Exit(code);
};
// The command line ends its process from a timer.
process.on("uncaughtException", (error) => {
  if (!(error instanceof Exit)) throw error;
});

const [, , ...files] = process.argv;
for (const file of files) {
  printed = "";
  process.exitCode = undefined;
  process.argv = [process.execPath, file, "--help"];
  let code: unknown;
  try {
    await import(pathToFileURL(file).href);
    code = process.exitCode;
  } catch (error) {
    if (!(error instanceof Exit)) throw error;
    code = error.code;
  }
  say({ file, code: code ?? 0, stdout: printed });
}
exit(0);
