/** All validation scripts: `npm run --silent validate -- --json` prints `{checks, failed, results}`. */

import { main } from "./support.ts";
import { validateDiscovery } from "./validate-discovery.ts";
import { validateElection } from "./validate-election.ts";
import { validateReconnection } from "./validate-reconnection.ts";

await main([validateElection, validateDiscovery, validateReconnection]);
