/** For the tests of `spawnChild`: starts a child of its own, reports its pid, and waits to be killed. */
import { spawn } from "node:child_process";
import { say } from "../child-io.ts";
import { nodeArgsFor } from "../node-command.ts";

const child = spawn(process.execPath, nodeArgsFor("test/support/processes/children/echo.ts"), {
  stdio: ["pipe", "ignore", "inherit"],
});
child.once("spawn", () => say({ pid: child.pid }));
setInterval(() => {}, 1000);
