/** All faults of a simulated group. Every fault undoes its effects by itself before the quiet end of a history. */
import type { Host } from "../world/host.ts";
import { bucketFaults } from "./bucket.ts";
import type { FaultContext, GroupFault } from "./fault-tools.ts";
import type { GroupFaultName } from "./names.ts";
import { networkFaults } from "./network.ts";
import { processFaults } from "./process.ts";

const faults: Readonly<Record<GroupFaultName, GroupFault>> = {
  ...networkFaults,
  ...processFaults,
  ...bucketFaults,
};

/** Injects the fault. `host` is the host it hits, if it hits one. */
export function strike(name: GroupFaultName, context: FaultContext, host: Host): void {
  faults[name](context, host);
}
