// For what npm runs in its own process: when npm is ended by a signal, it does not pass the signal on. This process then gets another
// parent, and ends as by SIGTERM.
const parent = process.ppid;
const watch = setInterval(() => {
  if (process.ppid === parent) return;
  clearInterval(watch);
  process.kill(process.pid, "SIGTERM");
}, 500).unref();
