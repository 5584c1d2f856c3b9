/**
 * Runs NATS servers for nats-leader on this machine: a single server, a cluster of three, or a super-cluster; as processes
 * or with Compose.
 *
 *   npm run --silent deploy-nats-cluster -- up [--secure] [--supercluster | --two-regions | --single] [--backend compose]
 *   npm run --silent deploy-nats-cluster -- status | restart | rotate | down
 *   npm run --silent deploy-nats-cluster -- migrate [--from nats://host:4222]
 *   npm run --silent deploy-nats-cluster -- failover-test | scale | backup | drill | restore | rollback
 *
 * Both backends read the configuration files of examples/nats-cluster and examples/supercluster. `--json` prints one line:
 * `{ok, urls, monitorUrls, ca?, users?, state}`, after `migrate` also `streams`; `status` prints
 * `{ok, missing, metaLeader, connections, servers}`.
 */

import { endWhenOutputFails } from "../../src/system/output-failures.ts";
import { main } from "./cli.ts";

let failed: number | undefined;

// A closed terminal or pipe ends a command in order, as SIGHUP does: a server may be down at this moment.
endWhenOutputFails(undefined, (code) => {
  if (process.listenerCount("SIGHUP") === 0) process.exit(code);
  if (failed === undefined) process.emit("SIGHUP");
  failed = code;
});

const code = await main(process.argv.slice(2), { out: console.log, err: console.error });
process.exitCode = failed ?? code;
