/** A client that connects to an address repeatedly, and records which host answered at what time. */
import { connect } from "node:net";
import { listen, say } from "../../processes/child-io.ts";

const [host = "", port = "0"] = process.argv.slice(2);
const PATIENCE_MS = 40;
const answers: { at: number; from: string }[] = [];

function ping(): void {
  const socket = connect({ host, port: Number(port) });
  let text = "";
  const timer = setTimeout(() => socket.destroy(), PATIENCE_MS);
  socket.on("data", (chunk) => {
    text += chunk;
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    clearTimeout(timer);
    if (text !== "") answers.push({ at: Number(process.hrtime.bigint()) / 1e6, from: text });
    if (answers.length > 0 && answers.at(-1)?.from !== answers.at(-2)?.from) say({ answeredBy: text });
    setTimeout(ping, 2);
  });
}

ping();
listen(() => say({ answers }));
say({ ready: true });
