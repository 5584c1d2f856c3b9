/**
 * NATS servers for nats-leader on this machine: one, a cluster of three, a super-cluster; as processes or by Compose.
 *
 *   npm run --silent deploy-nats-cluster -- up [--secure] [--supercluster | --two-regions | --single] [--backend compose]
 *   npm run --silent deploy-nats-cluster -- status | restart | rotate | down
 *   npm run --silent deploy-nats-cluster -- migrate [--from nats://host:4222]
 *
 * The configuration is that of examples/nats-cluster and examples/supercluster, read by both backends.
 */
import { main } from "./cli.ts";

process.exitCode = await main(process.argv.slice(2), { out: console.log, err: console.error });
