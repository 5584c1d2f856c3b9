/**
 * Runs all validation scripts against real daemons: election, discovery, reconnection.
 *
 *   npm run --silent validate -- [--json]
 *
 * Uses the server at NATS_URL, else starts one. `--json` prints `{checks, failed, results}`; each result is `{script, check,
 * ok, detail?}`. Exits with 0 only if every check passed.
 */
import { main } from "./support.ts";
import { validateDiscovery } from "./validate-discovery.ts";
import { validateElection } from "./validate-election.ts";
import { validateReconnection } from "./validate-reconnection.ts";

await main([validateElection, validateDiscovery, validateReconnection]);
