/** All validation scripts: `npm run --silent validate -- --json` prints `{checks, failed, results}`. */
import { validateDiscovery } from "./validate-discovery.ts";
import { validateElection } from "./validate-election.ts";
import { validateReconnection } from "./validate-reconnection.ts";
import { main } from "./validate-support.ts";

await main([validateElection, validateDiscovery, validateReconnection]);
