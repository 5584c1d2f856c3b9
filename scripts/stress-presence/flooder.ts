/** A process that sends messages on bare sockets, as fast as the server takes them. */
import { connect } from "node:net";
import { type Flood, reportToParent } from "./support.ts";

const CHUNK_BYTES = 262_144;

/** Sends until SIGINT, then reports how many messages the server has been given, and exits. */
export function runFlooder(url: string, { subject, reply, bytes, connections }: Flood): void {
  const { hostname, port } = new URL(url);
  const line = `PUB ${subject} ${reply === "" ? "" : `${reply} `}${bytes}\r\n${"x".repeat(bytes)}\r\n`;
  const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / line.length));
  const chunk = Buffer.from(line.repeat(perChunk));
  let chunks = 0;
  for (let index = 0; index < connections; index += 1) {
    const socket = connect(Number(port), hostname);
    const pump = (): void => {
      do chunks += 1;
      while (socket.write(chunk));
    };
    socket.on("error", () => {});
    socket.on("data", (data) => {
      if (data.includes("PING")) socket.write("PONG\r\n");
    });
    socket.on("drain", pump);
    socket.write('CONNECT {"verbose":false}\r\n', () => {
      reportToParent({ type: "flooded", messages: 0 });
      pump();
    });
  }
  process.removeAllListeners("SIGINT");
  process.on("SIGINT", () => {
    reportToParent({ type: "flooded", messages: chunks * perChunk });
    process.disconnect();
    process.exit(0);
  });
}
