/** A node that is stopped while it dials, and does nothing to end the process. Argument: url. */
import type { Socket } from "node:net";
import { Node } from "../../../../src/index.ts";
import { listen, say } from "../../processes/child-io.ts";

const node = new Node({
  clusterId: "test",
  servers: process.argv[2] ?? "",
  connectTimeoutMs: 60_000,
  logger: false,
});
const started = node.start();
listen(async () => {
  await node.stop();
  await started;
  say({ stopped: true });
  (process.stdin as Socket).unref();
});
