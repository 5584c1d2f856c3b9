import { spawn } from "node:child_process";
import type { Writable } from "node:stream";

// A shell that waits on a pipe from this process. The kernel closes the pipe when this process ends, also by SIGKILL; the
// shell then cleans up after the last id that it received. It runs in a separate session, so that a Ctrl-C in the terminal
// does not end it.
const LOOP = 'current=none; while read -r line; do [ "$line" = bye ] && exit 0; current=$line; done;';

// The server is not a child of this shell, so it cannot be waited for. The shell polls until the server is gone or a zombie,
// so that nothing is written to the folder while rm runs.
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

/** Cleans up after this process if it cannot do so itself. */
export interface Watchdog {
  /** @param id The pid or container id to end when this process ends; undefined for none. */
  watch(id: string | undefined): void;
  /** Ends the watchdog: there is nothing left to clean up. */
  dismiss(): void;
}

/** Watches a process; deletes `privateDir` after it. */
export function watchProcess(privateDir: string): Watchdog {
  return startShell(END_PROCESS, privateDir);
}

/** Watches a container, using the docker command if it exists; removes `network` after it. */
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

// The shell was killed: the exit hook of this process still cleans up on every exit that runs JavaScript.
function ignoreLostShell(): void {}

/** Allows this process to exit while the stream is open. */
export function unref(stream: Writable | NodeJS.ReadableStream | null): void {
  if (stream !== null && "unref" in stream && typeof stream.unref === "function") stream.unref();
}
