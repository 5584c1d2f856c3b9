/** All alerts, by the group of rules that they are in. */
import type { Alert } from "./alert.ts";
import { bridgeAlerts } from "./alerts/bridge.ts";
import { electionAlerts } from "./alerts/elections.ts";
import { groupAlerts } from "./alerts/groups.ts";
import { serverAlerts } from "./alerts/servers.ts";
import type { Times } from "./time.ts";

export interface AlertGroup {
  readonly name: string;
  readonly title: string;
  readonly alerts: readonly Alert[];
}

export function alertGroups(times: Times): readonly AlertGroup[] {
  return [
    { name: "elections", title: "Elections", alerts: electionAlerts(times) },
    { name: "groups", title: "Groups", alerts: groupAlerts(times) },
    { name: "nats-servers", title: "NATS servers", alerts: serverAlerts(times) },
    { name: "data-bridge", title: "The data bridge", alerts: bridgeAlerts(times) },
  ];
}
