/** For the tests of `spawnChild`: answers each command with itself, and does what "exit", "throw" and "stray" say. */
import { listen, say } from "../child-io.ts";

say({ started: process.argv.slice(2), env: process.env["ECHO_ENV"] ?? "" });
listen<{ readonly do?: string }>((command) => {
  if (command.do === "exit") process.exit(3);
  if (command.do === "throw") throw new Error("as told");
  if (command.do === "stray") console.log("not JSON");
  say({ echo: command });
});
