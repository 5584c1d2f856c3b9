/** A command on a real terminal. Node has no pseudo terminals: a small Python program has the other end. */
import { type ChildProcess, spawn } from "node:child_process";
import { deferred } from "../../../scripts/shared/wait.ts";
import { atEnd } from "../at-end.ts";
import { nodeArgsFor, ROOT } from "../processes/node-command.ts";
import { CLEAN } from "./run-cli.ts";

const PROGRAM = `
import fcntl, json, os, pty, select, signal, struct, sys, termios
columns, rows = int(sys.argv[1]), int(sys.argv[2])
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[3], sys.argv[3:])
def resize(columns, rows):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
resize(columns, rows)
def say(**what):
    print(json.dumps(what), flush=True)
while True:
    ready, _, _ = select.select([terminal, 0], [], [])
    if terminal in ready:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b""
        if not data:
            break
        say(data=data.decode("utf8", "replace"))
    if 0 in ready:
        line = sys.stdin.readline()
        if not line:
            break
        command = json.loads(line)
        if "size" in command:
            resize(*command["size"])
            os.kill(pid, signal.SIGWINCH)
        if "type" in command:
            os.write(terminal, command["type"].encode())
        if "close" in command:
            os.close(terminal)
            break
_, status = os.waitpid(pid, 0)
say(code=os.waitstatus_to_exitcode(status))
`;

export interface Terminal {
  /** Everything that was written to it. */
  readonly output: string;
  /** Resolves when the output since the last match contains it. */
  next(wanted: RegExp | string): Promise<void>;
  type(text: string): void;
  resize(columns: number, rows: number): void;
  /** As when its window is closed. */
  close(): void;
  /** As a shell would report it; a negative number is a signal. */
  readonly exit: Promise<number>;
}

export function onTerminal(args: readonly string[], columns: number, rows: number): Terminal {
  const command = [process.execPath, ...nodeArgsFor("src/cli/main.ts"), ...args];
  const child: ChildProcess = spawn("python3", ["-c", PROGRAM, String(columns), String(rows), ...command], {
    cwd: ROOT,
    env: { ...CLEAN, TERM: "xterm-256color", NO_COLOR: "1" },
    stdio: ["pipe", "pipe", "inherit"],
  });
  atEnd(() => void child.kill("SIGKILL"));
  let output = "";
  let read = 0;
  let rest = "";
  let changed = deferred<void>();
  let hasEnded = false;
  const exit = deferred<number>();
  const wake = (): void => {
    changed.resolve();
    changed = deferred();
  };
  child.stdout?.on("data", (data: Buffer) => {
    const lines = (rest + data.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const said = JSON.parse(line) as { readonly data?: string; readonly code?: number };
      output += said.data ?? "";
      if (said.code !== undefined) exit.resolve(said.code);
    }
    wake();
  });
  child.on("close", () => {
    hasEnded = true;
    wake();
  });
  const send = (what: object): void => void child.stdin?.write(`${JSON.stringify(what)}\n`);
  return {
    get output() {
      return output;
    },
    async next(wanted) {
      for (;;) {
        const found = find(output.slice(read), wanted);
        if (found !== null) {
          read += found;
          return;
        }
        if (hasEnded)
          throw new Error(`the command ended without ${wanted}: ${JSON.stringify(output.slice(read))}`);
        await changed.promise;
      }
    },
    type: (text) => send({ type: text }),
    resize: (...size) => send({ size }),
    close: () => send({ close: true }),
    exit: exit.promise,
  };
}

/** Where it ends; `null`: it is not there. */
function find(text: string, wanted: RegExp | string): number | null {
  if (typeof wanted === "string") {
    const at = text.indexOf(wanted);
    return at < 0 ? null : at + wanted.length;
  }
  const found = wanted.exec(text);
  return found === null ? null : found.index + found[0].length;
}
