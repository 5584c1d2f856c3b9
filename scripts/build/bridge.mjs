// npm run bridge: installs what examples/data-bridge needs, then runs it. One process, so that signals and the exit code are the example's.
import "./check-node.mjs";
import { installAll } from "./install.mjs";
import "./parent.mjs";

installAll();

const { register } = await import("tsx/esm/api");
register();
await import("../../examples/data-bridge/main.ts");
