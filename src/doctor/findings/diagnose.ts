/** Derives findings from facts. Pure: equal facts give equal findings. */

import type { ConnectionFacts, Facts } from "../facts.ts";
import { applicationFindings } from "./application-findings.ts";
import { bucketFindings } from "./bucket-findings.ts";
import { clockFindings } from "./clock-findings.ts";
import { clusterFindings } from "./cluster-findings.ts";
import { bySeverity, type Finding, type Sign } from "./finding.ts";
import { gather } from "./gather.ts";
import { groupFindings } from "./group-findings.ts";
import { nodeFindings, permissionFindings } from "./node-findings.ts";
import { serverFindings, usageFindings } from "./server-findings.ts";

/** Most severe first, with one finding per lost server. */
export function diagnose(facts: Facts): Finding[] {
  const { account } = facts;
  const signs: readonly Sign[] = [
    ...connectionFindings(
      facts.connection,
      "NATS",
      '"nats-leader config check" shows where the address and the login come from',
    ),
    ...connectionFindings(
      facts.system,
      "the system account",
      "check --system-creds, or --system-user with --system-password-file, or their variables",
    ),
    ...serverFindings(facts),
    ...clusterFindings(facts),
    ...(account === null ? [] : usageFindings("account", "the account's", account)),
    ...bucketFindings(facts),
    ...nodeFindings(facts),
    ...groupFindings(facts),
    ...applicationFindings(facts),
    ...clockFindings(facts),
    ...permissionFindings(facts.permissions),
  ];
  const running = new Set(facts.servers.flatMap(({ name, error }) => (error === null ? [name] : [])));
  return bySeverity(gather(signs, running));
}

function connectionFindings(connection: ConnectionFacts | null, what: string, todo: string): Finding[] {
  if (connection === null || connection.problem === null) return [];
  return [
    {
      severity: "critical",
      code: "no-connection",
      where: what,
      what: connection.problem,
      todo,
    },
  ];
}
