import { spawn } from "node:child_process";
import type { Writable } from "node:stream";

// A shell that waits on a pipe from this process. The kernel closes the pipe whatever ends this process, SIGKILL
// too; the shell then runs the clean-up for the last thing it was told of. It has a session of its own, so that a
// Ctrl-C for the terminal's foreground group doesn't take it along.
const LOOP = 'current=none; while read -r line; do [ "$line" = bye ] && exit 0; current=$line; done;';

// The server is no child of this shell: it is asked for until it is gone or a zombie, so that nothing is written to
// the folder behind rm's back.
const END_PROCESS = `${LOOP}
if [ "$current" != none ]; then
  kill -9 "$current"; tries=0
  while kill -0 "$current" && ! grep -q "^State:.*Z" "/proc/$current/status" && [ "$tries" -lt 50 ]; do
    tries=$((tries + 1)); sleep 0.1
  done
fi
tries=0
until rm -rf -- "$1" || [ "$tries" -ge 50 ]; do tries=$((tries + 1)); sleep 0.1; done`;

const END_CONTAINER = `${LOOP}
[ "$current" != none ] && docker rm -f -v "$current"
[ -n "$1" ] && docker network rm "$1"`;

/** Cleans up after this process when it can't do so itself. */
export interface Watchdog {
  /** What is to be ended when this process goes: a pid or a container id; undefined for nothing. */
  watch(id: string | undefined): void;
  /** There is nothing to clean up any more. */
  dismiss(): void;
}

/** Watches a process; `privateDir` is removed after it. */
export function watchProcess(privateDir: string): Watchdog {
  return startShell(END_PROCESS, privateDir);
}

/** Watches a container, by means of the docker command where there is one; `network` goes after it. */
export function watchContainer(network = ""): Watchdog {
  return startShell(END_CONTAINER, network);
}

function startShell(script: string, argument: string): Watchdog {
  const shell = spawn("/bin/sh", ["-c", script, "nats-leader-watchdog", argument], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const pipe = shell.stdin;
  pipe.on("error", ignoreLostShell);
  shell.on("error", ignoreLostShell);
  shell.unref();
  unref(pipe);
  return {
    watch: (id) => {
      if (pipe.writable) pipe.write(`${id ?? "none"}\n`);
    },
    dismiss: () => {
      if (pipe.writable) pipe.end("bye\n");
    },
  };
}

// Someone ended the shell: the exit hook of this process still cleans up on every exit that runs JavaScript.
function ignoreLostShell(): void {}

/** Lets this process end while the stream is open. */
export function unref(stream: Writable | NodeJS.ReadableStream | null): void {
  if (stream !== null && "unref" in stream && typeof stream.unref === "function") stream.unref();
}
