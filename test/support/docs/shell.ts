/** A shell with `nats-leader`, `nats-server` and `nats` on PATH, in which the commands of the documents run as they are printed. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CommandOutput, runToExit } from "../../../src/system/run-command.ts";
import { atEnd } from "../at-end.ts";
import { CLEAN } from "../cli/run-cli.ts";
import { nodeArgsFor } from "../processes/node-command.ts";

const TIMEOUT_MS = 60_000;

/** A command that keeps running, and everything that it starts. */
export interface Background {
  /** Its stdout so far. */
  readonly stdout: string;
  /** SIGTERM to all of its processes. Resolves when the shell has ended. */
  end(): Promise<void>;
}

export class Shell {
  /** Home and working directory. Removed at the end of the test. */
  readonly home: string = mkdtempSync(join(tmpdir(), "nats-leader-shell-"));
  readonly #env: NodeJS.ProcessEnv;

  /** @param programs More programs for PATH: their names and paths. */
  constructor(env: Readonly<Record<string, string>>, programs: Readonly<Record<string, string>> = {}) {
    atEnd(() => rmSync(this.home, { recursive: true, force: true, maxRetries: 5 }));
    const bin = join(this.home, "bin");
    mkdirSync(bin);
    const nodeArgs = nodeArgsFor("src/cli/main.ts").map((argument) => JSON.stringify(argument));
    const command = `#!/bin/sh\nexec ${JSON.stringify(process.execPath)} ${nodeArgs.join(" ")} "$@"\n`;
    writeFileSync(join(bin, "nats-leader"), command, { mode: 0o755 });
    const server = process.env["NATS_SERVER"];
    const all = { ...(server === undefined ? {} : { "nats-server": server }), ...programs };
    for (const [name, path] of Object.entries(all)) symlinkSync(path, join(bin, name));
    const PATH = `${bin}:${process.env["PATH"]}`;
    this.#env = { ...CLEAN, NO_COLOR: "1", HOME: this.home, PATH, ...env };
  }

  /** Resolves with any exit code; the first command that fails ends the text. */
  run(text: string, shell = "sh"): Promise<CommandOutput> {
    return runToExit(shell, ["-ec", text], { timeoutMs: TIMEOUT_MS, cwd: this.home, env: this.#env });
  }

  /** Ends at the end of the test at the latest. */
  start(text: string): Background {
    const child = spawn("sh", ["-ec", text], {
      cwd: this.home,
      env: this.#env,
      detached: true, // a process group of its own
      stdio: ["ignore", "pipe", "ignore"],
    });
    const exited = once(child, "exit");
    let stdout = "";
    child.stdout.on("data", (part) => {
      stdout += String(part);
    });
    const end = async (): Promise<void> => {
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined)
        process.kill(-child.pid, "SIGTERM");
      await exited;
    };
    atEnd(end);
    return {
      get stdout() {
        return stdout;
      },
      end,
    };
  }
}
