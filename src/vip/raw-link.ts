/**
 * Sends Ethernet frames and hears the answers. Node has no raw sockets, so a one-page script of perl (on every Debian and
 * Ubuntu) or python3 does it. Needs CAP_NET_RAW.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { messageOf } from "../errors.ts";
import type { BytesAt } from "./frames.ts";
import { findCommand } from "./ip-command.ts";

const TIMEOUT_MS = 3000;

// Arguments: interface index, ethertype, milliseconds to listen after each frame, pattern "offset:hex,..." , frames in
// hex. Prints the source address of the first frame that matches, and ends there.
const PERL = `
my ($index, $type, $wait, $pattern, @frames) = @ARGV;
socket(S, 17, 3, unpack("S", pack("n", $type))) or die "socket: $!\\n";
my $address = pack("SnlSCCa8", 17, $type, $index, 0, 0, 6, "");
bind(S, $address) or die "bind: $!\\n";
my @want = map { my ($at, $hex) = split /:/; [$at, pack("H*", $hex)] } split /,/, $pattern;
for my $frame (@frames) {
  defined send(S, pack("H*", $frame), 0, $address) or die "send: $!\\n";
  my $left = $wait / 1000;
  while ($left > 0) {
    my $ready = ""; vec($ready, fileno(S), 1) = 1;
    (my $count, $left) = select($ready, undef, undef, $left);
    last if $count < 1;
    defined recv(S, my $got, 2048, 0) or die "recv: $!\\n";
    next if grep { substr($got, $_->[0], length $_->[1]) ne $_->[1] } @want;
    print join(":", unpack("(H2)6", substr($got, 6, 6))), "\\n"; exit 0;
  }
}
`;

const PYTHON = `
import select, socket, sys, time
index, ethertype, wait, pattern = sys.argv[1:5]
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(int(ethertype)))
s.bind((socket.if_indextoname(int(index)), int(ethertype)))
want = [(int(at), bytes.fromhex(text)) for at, text in (part.split(":") for part in pattern.split(",") if part)]
for frame in sys.argv[5:]:
    s.send(bytes.fromhex(frame))
    end = time.monotonic() + int(wait) / 1000
    while time.monotonic() < end:
        if not select.select([s], [], [], max(0, end - time.monotonic()))[0]: break
        got = s.recv(2048)
        if all(got[at:at + len(b)] == b for at, b in want):
            print(":".join("%02x" % byte for byte in got[6:12])); sys.exit(0)
`;

/** What runs the script. */
export interface RawTool {
  readonly name: "perl" | "python3";
  readonly path: string;
}

/** The tools of this host, the quicker one first. */
export function rawTools(): RawTool[] {
  const tools: RawTool[] = [];
  for (const name of ["perl", "python3"] as const) {
    const path = findCommand(name);
    if (path !== null) tools.push({ name, path });
  }
  return tools;
}

export interface Exchange {
  readonly index: number;
  readonly ethertype: number;
  readonly frames: readonly Buffer[];
  /** After each frame; 0: don't listen. */
  readonly listenMs: number;
  readonly pattern: readonly BytesAt[];
  readonly signal: AbortSignal;
}

/** Sends the frames. Resolves to the hardware address in the first answer that fits, `null` when none came. */
export function exchange(tool: RawTool, what: Exchange): Promise<string | null> {
  const pattern = what.pattern.map(({ offset, bytes }) => `${offset}:${bytes.toString("hex")}`).join(",");
  const frames = what.frames.map((frame) => frame.toString("hex"));
  const numbers = [what.index, what.ethertype, what.listenMs].map(String);
  const script = tool.name === "perl" ? ["-e", PERL] : ["-I", "-S", "-c", PYTHON];
  const { signal } = what;
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const child = spawn(tool.path, [...script, ...numbers, pattern, ...frames], {
      stdio: ["ignore", "pipe", "pipe"],
      timeout: TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
    // Nothing may be announced any more once it is over.
    const onAbort = (): void => void child.kill("SIGKILL");
    signal.addEventListener("abort", onAbort, { once: true });
    const said = collect(child);
    child.once("error", (error) => reject(new Error(`${tool.name}: ${error.message}`)));
    child.once("close", (code) => {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) return reject(signal.reason);
      if (code === 0) return resolve(said.stdout.trim() || null);
      reject(new Error(`${tool.name}: ${said.stderr.trim().split("\n").pop() || `ended with ${code}`}`));
    });
  });
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const said = { stdout: "", stderr: "" };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    said.stdout += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said.stderr += text;
  });
  return said;
}

/** True when the failure is the missing right, not a passing trouble. */
export function isNotPermitted(thrown: unknown): boolean {
  return /not permitted|permission denied/i.test(messageOf(thrown));
}
