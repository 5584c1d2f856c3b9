/**
 * A client that means harm, until the parent ends it. Arguments: port, kind, number of connections. It reports once each connection has been
 * opened, and how many of them the server has closed when it ends.
 */
import { connect } from "node:net";
import { listen, say } from "../../processes/child-io.ts";

const [, , port = "", kind = "", count = ""] = process.argv;
const REQUEST = "GET /leader HTTP/1.1\r\nHost: a\r\n\r\n";
const DRIP_MS = 20;

const ATTACKS: Readonly<
  Record<string, { readonly first: string; readonly drip: string; readonly again: boolean }>
> = {
  /** Connections that send nothing. */
  silent: { first: "", drip: "", again: false },
  /** Headers that never end. */
  slow: { first: "GET /leader HTTP/1.1\r\n", drip: "X-A: b\r\n", again: true },
  /** Many requests at once, again and again. */
  pipeline: { first: REQUEST.repeat(2_000), drip: REQUEST.repeat(2_000), again: true },
  /** As many requests at once as are read. */
  bursts: { first: REQUEST.repeat(300), drip: REQUEST.repeat(300), again: true },
  /** More headers than any client needs. */
  headers: { first: `GET /leader HTTP/1.1\r\nX-A: ${"a".repeat(60_000)}\r\n\r\n`, drip: "", again: true },
  /** A body without an end. */
  body: {
    first: "POST /leader HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    drip: `${(16_384).toString(16)}\r\n${"b".repeat(16_384)}\r\n`,
    again: true,
  },
  /** What is no HTTP. */
  noise: { first: "\x16\x03\x01\x00\xff".repeat(200), drip: "", again: true },
};

const attack = ATTACKS[kind];
if (attack === undefined) throw new Error(`unknown attack ${kind}`);
let [tried, ended] = [0, 0];
let isOver = false;

function open(): void {
  if (isOver || attack === undefined) return;
  const socket = connect(Number(port), "127.0.0.1");
  let timer: NodeJS.Timeout | undefined;
  socket.on("error", () => {});
  socket.on("connect", () => {
    if (attack.first !== "") socket.write(attack.first, "latin1");
    if (attack.drip !== "")
      timer = setInterval(() => socket.writableLength === 0 && socket.write(attack.drip), DRIP_MS);
  });
  socket.resume();
  socket.once("close", () => {
    clearInterval(timer);
    ended += 1;
    if (attack.again) setImmediate(open);
  });
  tried += 1;
  if (tried === Number(count)) say({ opened: tried });
}

for (let index = 0; index < Number(count); index++) open();
listen(() => {
  isOver = true;
  say({ tried, ended });
  process.exit();
});
