/** Run by leak.test.ts: starts two servers, freezes one, reports them, and ends in the way of its argument. */
import { type NatsServerOptions, startNatsServer } from "../../../../src/testing.ts";
import { say } from "../../processes/child-io.ts";

const version = process.env["NATS_TEST_VERSION"];
const options: NatsServerOptions = version === undefined ? {} : { version };
const [first, second] = await Promise.all([startNatsServer(options), startNatsServer(options)]);
await second.pause();
const servers = [first, second];
say({
  pids: servers.flatMap(({ pid }) => pid ?? []),
  dirs: servers.filter(({ backend }) => backend === "process").map(({ storeDir }) => storeDir),
  ports: servers.map(({ port }) => port),
});

switch (process.argv[2]) {
  case "wait":
    setInterval(() => {}, 1000);
    break;
  case "throw":
    throw new Error("on purpose");
  case "exit":
    process.exit(0);
    break;
  default: // the process ends by itself, because only the servers are left
}
