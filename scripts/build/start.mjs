// npm start: sets up what is missing, then is the demo. One process, so that signals and the exit code are the demo's.
import "./setup.mjs";

// Told to end, npm ends without telling what it runs: this process then gets another parent.
const parent = process.ppid;
const watch = setInterval(() => {
  if (process.ppid === parent) return;
  clearInterval(watch);
  process.kill(process.pid, "SIGTERM");
}, 500).unref();

const { register } = await import("tsx/esm/api");
register();
await import("../../examples/demo.ts");
