/** From what was seen to what is wrong. Pure: the same facts, the same findings. */
import { bucketFindings } from "./bucket-findings.ts";
import { clockFindings } from "./clock-findings.ts";
import { clusterFindings } from "./cluster-findings.ts";
import type { ConnectionFacts, Facts } from "./facts.ts";
import { bySeverity, type Finding } from "./finding.ts";
import { nodeFindings, permissionFindings } from "./node-findings.ts";
import { serverFindings, usageFindings } from "./server-findings.ts";

/** The worst first. */
export function diagnose(facts: Facts): Finding[] {
  const { account } = facts;
  return bySeverity([
    ...connectionFindings(facts.connection, "NATS"),
    ...connectionFindings(facts.system, "the system account"),
    ...serverFindings(facts),
    ...clusterFindings(facts),
    ...(account === null ? [] : usageFindings("account", "the account's", account)),
    ...bucketFindings(facts),
    ...nodeFindings(facts),
    ...clockFindings(facts),
    ...permissionFindings(facts.permissions),
  ]);
}

function connectionFindings(connection: ConnectionFacts | null, what: string): Finding[] {
  if (connection === null || connection.problem === null) return [];
  return [
    {
      severity: "critical",
      code: "no-connection",
      where: what,
      what: connection.problem,
      todo: "see that the servers run, and that the address and the credentials are right",
    },
  ];
}
