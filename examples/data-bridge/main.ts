/**
 * The data bridge: ticks from a JetStream stream with 6 partitions to PostgreSQL, each of them stored exactly once, by as many instances as
 * you like, which may be killed, frozen and scaled while it runs. README.md is the tutorial.
 *
 *   npm run bridge -- --instances 3
 */
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { COMMANDS, type Command, parseCommand, parseScript } from "./commands.ts";
import { compileInstance } from "./compile.ts";
import { ConfigError, readSettings, type Settings, USAGE } from "./config.ts";
import { namesOf } from "./names.ts";
import { lastPositions, Producer } from "./producer.ts";
import { execute, finish, type RunParts } from "./run.ts";
import { openServers, type Servers } from "./servers.ts";
import { preparePostgres } from "./sink/postgres.ts";
import { Snapshots } from "./snapshot.ts";
import { prepareStreams } from "./streams.ts";
import { Supervisor } from "./supervisor.ts";
import { Targets } from "./targets.ts";
import { openView, type View } from "./view.ts";

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

async function main(): Promise<number> {
  let settings: Settings;
  let script: readonly Command[] | null;
  try {
    settings = readSettings(process.argv.slice(2), process.env, (path) => readFileSync(path, "utf8"));
    script = settings.run.script === null ? null : parseScript(settings.run.script);
  } catch (error) {
    console.error(error instanceof ConfigError ? error.message : `--script ${(error as Error).message}`);
    return 2;
  }
  if (settings.run.help) {
    console.log(`${USAGE}\n\nCommands while it runs:\n\n${COMMANDS}`);
    return 0;
  }
  const interrupt = new AbortController();
  for (const [name, code] of Object.entries(SIGNALS)) process.on(name, () => interrupted(interrupt, code));
  // A full disk, or a reader that has left: the run ends in an orderly way, and its exit code says so.
  for (const out of [process.stdout, process.stderr]) out.on("error", () => interrupt.abort(1));
  return bridge(settings, script, interrupt);
}

/** The second signal ends the starter at once. Its exit hooks kill the instances; its servers end with it. */
function interrupted(interrupt: AbortController, code: number): void {
  if (interrupt.signal.aborted) process.exit(code);
  interrupt.abort(code);
}

async function bridge(
  { config, run, serversFrom }: Settings,
  script: readonly Command[] | null,
  interrupt: AbortController,
): Promise<number> {
  const { signal } = interrupt;
  let servers: Servers | null = null;
  let supervisor: Supervisor | null = null;
  let producer: Producer | null = null;
  let view: View | null = null;
  let code = 0;
  const logs = openLogs(run.logs, (text) => view?.note(text));
  try {
    servers = await openServers(config, serversFrom, signal);
    const names = namesOf(config.stream);
    await prepareStreams(servers.nats, names, servers.sink);
    if (servers.postgres !== null) await preparePostgres(servers.postgres);
    producer = new Producer({
      ...config,
      nats: servers.nats,
      names,
      known: await lastPositions(servers.nats, names),
    });
    supervisor = new Supervisor({
      file: await compileInstance(),
      start: { config, servers: servers.urls, sink: servers.sink, postgres: servers.postgres },
      note: (text) => view?.note(text),
      onLog: logs.write,
      targets: run.targets === null ? null : new Targets(run.targets),
    });
    const snapshots = new Snapshots(supervisor, producer);
    const typed = new Lines();
    view = openView({
      out: process.stdout,
      json: run.json,
      snapshot: () => snapshots.take(),
      onLine: script === null ? typed.push : null,
      onInterrupt: () => interrupted(interrupt, SIGNALS.SIGINT),
    });
    for (const note of servers.notes) view.note(note);
    const parts: RunParts = { config, names, servers, producer, supervisor, view, signal };
    await supervisor.scale(config.instances);
    producer.start();
    if (script === null) await obey(parts, typed);
    else await perform(parts, script);
    const verdict = await finish(parts);
    view.result(verdict);
    code = verdict.ok ? 0 : 1;
  } catch (error) {
    code = signal.aborted ? (signal.reason as number) : 1;
    const text = signal.aborted
      ? "interrupted: the instances stop; nothing is counted"
      : (error as Error).message;
    if (view === null) console.error(text);
    else view.note(text);
  }
  await producer?.stop(AbortSignal.abort());
  await supervisor?.stop();
  view?.close();
  await servers?.close();
  logs.close();
  return code;
}

/** A command of a script that fails ends the run. */
async function perform(parts: RunParts, script: readonly Command[]): Promise<void> {
  for (const command of script) {
    if (command.type === "stop") return;
    parts.view.note(`> ${Object.values(command).join(" ")}`);
    await execute(command, parts);
  }
}

/** A typed command that fails is answered. */
async function obey(parts: RunParts, typed: Lines): Promise<void> {
  parts.view.note("commands: help lists them; stop ends the run and counts");
  for (;;) {
    const line = await typed.next(parts.signal);
    try {
      if (line.trim() === "") continue;
      const command = parseCommand(line);
      if (command.type === "stop") return;
      await execute(command, parts);
    } catch (error) {
      parts.signal.throwIfAborted();
      parts.view.note((error as Error).message);
    }
  }
}

/** Lines that were typed and not yet carried out. */
class Lines {
  readonly #lines: string[] = [];
  #wake: (() => void) | null = null;

  readonly push = (line: string): void => {
    this.#lines.push(line);
    this.#wake?.();
  };

  async next(signal: AbortSignal): Promise<string> {
    for (;;) {
      signal.throwIfAborted();
      const line = this.#lines.shift();
      if (line !== undefined) return line;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#wake = wake;
        signal.addEventListener("abort", wake);
      });
    }
  }
}

interface Logs {
  write(line: string): void;
  close(): void;
}

/** A file that cannot be written to any more is reported once. The bridge goes on without it. */
function openLogs(path: string | null, report: (text: string) => void): Logs {
  if (path === null) return { write: () => {}, close: () => {} };
  let file: number | null = openSync(path, "a");
  const close = (): void => {
    if (file !== null) closeSync(file);
    file = null;
  };
  return {
    close,
    write(line) {
      if (file === null) return;
      try {
        writeSync(file, `${line}\n`);
      } catch (error) {
        close();
        report(`no more log lines: ${path} cannot be written: ${(error as Error).message}`);
      }
    },
  };
}

process.exit(await main());
