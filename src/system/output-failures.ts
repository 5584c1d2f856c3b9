/** What a program does when its output cannot be written: it ends as `cat` does. */
import { constants } from "node:os";

/** 128 + SIGPIPE, as a shell reports a program that this signal ended. Node ignores the signal itself. */
const PIPE_CLOSED = 128 + constants.signals.SIGPIPE;

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is exceeded",
  EFBIG: "the file is too large",
  EIO: "input/output error, such as a terminal that was closed",
};

/**
 * From now on a failed write to stdout ends the process: with 141 and without a message if the reader has exited, else with 1 after
 * `report` was called with a message. Failed writes to stderr are ignored: there is no other place for a message.
 *
 * @param end Ends the process with this code.
 */
export function endWhenOutputFails(
  report: (message: string) => void = onStderr,
  end: (code: number) => void = process.exit,
): void {
  process.stdout.on("error", ({ code = "", message }: NodeJS.ErrnoException) => {
    if (code === "EPIPE") return end(PIPE_CLOSED);
    report(`cannot write to stdout: ${REASONS[code] ?? message}`);
    end(1);
  });
  process.stderr.on("error", () => {});
}

function onStderr(message: string): void {
  process.stderr.write(`${message}\n`);
}
