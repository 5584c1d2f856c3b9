/** For the tests of `spawnChild`: echoes each command, and exits, throws or prints a stray line on demand. */
import { listen, say } from "../child-io.ts";

say({ started: process.argv.slice(2), env: process.env["ECHO_ENV"] ?? "" });
listen<{ readonly do?: string }>((command) => {
  if (command.do === "exit") process.exit(3);
  if (command.do === "throw") throw new Error("on demand");
  if (command.do === "stray") console.log("not JSON");
  say({ echo: command });
});
