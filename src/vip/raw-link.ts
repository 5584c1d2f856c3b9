/**
 * Sends Ethernet frames and receives the answers. Node has no raw sockets, so a script in perl (part of every Debian and Ubuntu) or
 * python3 does it. Its process waits for requests, because to start one during a takeover would take longer than the question. The
 * process ends with its input and needs CAP_NET_RAW.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { messageOf } from "../errors.ts";
import { findProgram } from "../system/find-program.ts";
import type { BytesAt } from "./frames.ts";
import { SYSTEM_FOLDERS } from "./ip-command.ts";

const TIMEOUT_MS = 3000;

// A request is one line: id, interface index, ethertype, milliseconds to listen after each frame, pattern ("offset:hex,..." or
// "-"), frames in hex. The answer is the id, then the source address of the first frame that matches, or "silent", or "error" and the
// reason.
const PERL = `
$| = 1;
while (my $line = <STDIN>) {
  my ($id, @request) = split " ", $line;
  my $answer = eval { talk(@request) };
  chomp(my $error = $@);
  print "$id ", $error ne "" ? "error $error" : $answer, "\\n";
}
sub talk {
  my ($index, $type, $wait, $pattern, @frames) = @_;
  socket(my $s, 17, 3, unpack("S", pack("n", $type))) or die "socket: $!\\n";
  my $address = pack("SnlSCCa8", 17, $type, $index, 0, 0, 6, "");
  bind($s, $address) or die "bind: $!\\n";
  my @want = map { my ($at, $hex) = split /:/; [$at, pack("H*", $hex)] } $pattern eq "-" ? () : split /,/, $pattern;
  for my $frame (@frames) {
    defined send($s, pack("H*", $frame), 0, $address) or die "send: $!\\n";
    my $left = $wait / 1000;
    while ($left > 0) {
      my $ready = ""; vec($ready, fileno($s), 1) = 1;
      (my $count, $left) = select($ready, undef, undef, $left);
      last if $count < 1;
      defined recv($s, my $got, 2048, 0) or die "recv: $!\\n";
      next if grep { substr($got, $_->[0], length $_->[1]) ne $_->[1] } @want;
      return join(":", unpack("(H2)6", substr($got, 6, 6)));
    }
  }
  return "silent";
}
`;

const PYTHON = `
import select, socket, sys, time
def talk(index, ethertype, wait, pattern, *frames):
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(int(ethertype))) as s:
        s.bind((socket.if_indextoname(int(index)), int(ethertype)))
        pairs = [] if pattern == "-" else [part.split(":") for part in pattern.split(",")]
        want = [(int(at), bytes.fromhex(text)) for at, text in pairs]
        for frame in frames:
            s.send(bytes.fromhex(frame))
            end = time.monotonic() + int(wait) / 1000
            while time.monotonic() < end:
                if not select.select([s], [], [], max(0, end - time.monotonic()))[0]: break
                got = s.recv(2048)
                if all(got[at:at + len(b)] == b for at, b in want):
                    return ":".join("%02x" % byte for byte in got[6:12])
    return "silent"
for line in iter(sys.stdin.readline, ""):
    request = line.split()
    try: answer = talk(*request[1:])
    except OSError as error: answer = "error %s" % (error.strerror or error)
    print(request[0], answer, flush=True)
`;

/** An interpreter for the script. */
export interface RawTool {
  readonly name: "perl" | "python3";
  readonly path: string;
}

/** The tools that are installed on this host, the faster one first. */
export function rawTools(): RawTool[] {
  const tools: RawTool[] = [];
  for (const name of ["perl", "python3"] as const) {
    const path = findProgram(name, SYSTEM_FOLDERS);
    if (path !== null) tools.push({ name, path });
  }
  return tools;
}

/** Frames to send, and the answer to wait for. */
export interface Exchange {
  /** Index of the interface. */
  readonly index: number;
  readonly ethertype: number;
  readonly frames: readonly Buffer[];
  /** Wait for an answer after each frame; 0: no wait. */
  readonly listenMs: number;
  /** What a frame has to contain to be an answer. */
  readonly pattern: readonly BytesAt[];
}

interface Waiting {
  readonly resolve: (mac: string | null) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** A process that runs the script, from construction to `close()`. */
export class RawLink {
  readonly #tool: RawTool;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #running = true;

  constructor(tool: RawTool) {
    this.#tool = tool;
    const args = tool.name === "perl" ? ["-e", PERL] : ["-I", "-S", "-c", PYTHON];
    this.#process = spawn(tool.path, args, { stdio: ["pipe", "pipe", "ignore"] });
    const { stdin, stdout } = this.#process;
    stdin?.on("error", () => {}); // the process has ended, which "close" reports
    if (stdout !== null) createInterface({ input: stdout }).on("line", (line) => this.#onLine(line));
    this.#process.on("error", (error) => this.#onEnd(error.message));
    this.#process.once("close", (code, signal) => this.#onEnd(`the process ended with ${code ?? signal}`));
    this.#process.unref();
    for (const pipe of [stdin, stdout]) {
      if (pipe !== null && "unref" in pipe && typeof pipe.unref === "function") pipe.unref();
    }
  }

  get running(): boolean {
    return this.#running;
  }

  /** Sends the frames. Resolves with the source address of the first answer that matches, or with `null` if there is none. */
  exchange(what: Exchange): Promise<string | null> {
    const pattern = what.pattern.map(({ offset, bytes }) => `${offset}:${bytes.toString("hex")}`).join(",");
    const frames = what.frames.map((frame) => frame.toString("hex"));
    const numbers = [what.index, what.ethertype, what.listenMs];
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      if (!this.#running) return reject(this.#failure("the process has ended"));
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(this.#failure(`no answer within ${TIMEOUT_MS} ms`));
        this.close();
      }, TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#process.stdin?.write(`${[id, ...numbers, pattern || "-", ...frames].join(" ")}\n`);
    });
  }

  close(): void {
    this.#process.kill("SIGKILL");
    this.#onEnd("the process was ended");
  }

  #onLine(line: string): void {
    const [, id = "", answer = ""] = /^(\d+) (.*)$/.exec(line) ?? [];
    const waiting = this.#waiting.get(Number(id));
    if (waiting === undefined) return;
    this.#waiting.delete(Number(id));
    clearTimeout(waiting.timer);
    if (answer.startsWith("error ")) waiting.reject(this.#failure(answer.slice("error ".length)));
    else waiting.resolve(answer === "silent" ? null : answer);
  }

  #onEnd(why: string): void {
    this.#running = false;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(this.#failure(why));
    }
    this.#waiting.clear();
  }

  #failure(why: string): Error {
    return new Error(`${this.#tool.name}: ${why}`);
  }
}

/** True if a permission is missing, as opposed to a temporary failure. */
export function isNotPermitted(thrown: unknown): boolean {
  return /not permitted|permission denied/i.test(messageOf(thrown));
}
