// npm start: installs what the demo needs, then runs it. One process, so that signals and the exit code are the demo's.
import "./check-node.mjs";
import { installForStart } from "./install.mjs";
import "./parent.mjs";

installForStart();

const { register } = await import("tsx/esm/api");
register();
await import("../../examples/demo.ts");
