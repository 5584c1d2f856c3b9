/** A process that logs to stderr and reports on stdout. Argument: what it does. */
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { createLogger } from "../../../../src/log/logger.ts";
import { listen, say } from "../../processes/child-io.ts";

const log = createLogger({ level: "info" });

/** 4 MB in 40 parts; timers run in between. */
async function flood(): Promise<void> {
  for (let round = 0; round < 40; round += 1) {
    for (let i = 0; i < 250; i += 1) log.info({ i, text: "x".repeat(250) }, "line");
    log.error({}, "an error");
    await sleep(1);
  }
}

switch (process.argv[2]) {
  case "flood":
    await flood();
    say({ done: true });
    break;
  case "flood, then a line per command": {
    await flood();
    say({ done: true });
    listen(() => {
      log.info({}, "after");
      say({ logged: true });
    });
    break;
  }
  case "flood when asked":
    log.info({}, "first");
    // A process that makes stderr blocking when it ends, as Node does with what it inherited.
    spawnSync(
      process.execPath,
      ["-e", "process.stderr.write('x\\n'); process.stderr._handle.setBlocking(true)"],
      {
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
    say({ ready: true });
    listen(async () => {
      await flood();
      say({ done: true });
    });
    break;
  case "two lines":
    log.info({}, "one");
    log.error({}, "two");
    // Also after the failures of the writes have been reported.
    await sleep(1);
    log.info({}, "three");
    say({ done: true });
    break;
  case "two lines when asked":
    say({ ready: true });
    listen(() => {
      log.info({}, "one");
      log.error({}, "two");
      setImmediate(() => say({ done: true }));
    });
    break;
  case "lines before an exit":
    for (let i = 0; i < 1_000; i += 1) log.info({ i }, "line");
    process.exit(0);
    break;
  default:
    throw new Error(`unknown: ${process.argv[2]}`);
}
