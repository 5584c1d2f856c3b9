// Failover of real processes on a real server: npm run --silent bench:failover -- --mode kill --rounds 100 --json
import { failoverCommand } from "../../src/bench/command.ts";

await failoverCommand().name("bench:failover").parseAsync();
