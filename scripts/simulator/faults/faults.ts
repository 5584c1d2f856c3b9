/** All simulated faults. Every fault undoes its effects by itself before the quiet end of a history. */
import type { Host } from "../host.ts";
import { bucketFaults } from "./bucket.ts";
import type { FaultContext, SimulatedFault } from "./fault-tools.ts";
import type { SimulatedFaultName } from "./names.ts";
import { networkFaults } from "./network.ts";
import { processFaults } from "./process.ts";

const faults: Readonly<Record<SimulatedFaultName, SimulatedFault>> = {
  ...networkFaults,
  ...processFaults,
  ...bucketFaults,
};

/** Injects the fault. `host` is the host it hits, if it hits one. */
export function strike(name: SimulatedFaultName, context: FaultContext, host: Host): void {
  faults[name](context, host);
}
