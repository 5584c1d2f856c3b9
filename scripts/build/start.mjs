// npm start: installs what the demo needs, then runs it. One process, so that signals and the exit code are the demo's.
import "./check-node.mjs";
import { installForStart } from "./install.mjs";

installForStart();

// When npm is ended by a signal, it does not pass the signal on: this process then gets another parent.
const parent = process.ppid;
const watch = setInterval(() => {
  if (process.ppid === parent) return;
  clearInterval(watch);
  process.kill(process.pid, "SIGTERM");
}, 500).unref();

const { register } = await import("tsx/esm/api");
register();
await import("../../examples/demo.ts");
