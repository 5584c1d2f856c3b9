import { BUCKET_FAULTS } from "./bucket.ts";
import { CLOCK_FAULTS } from "./clock.ts";
import type { FaultName } from "./names.ts";
import { NETWORK_FAULTS } from "./network.ts";
import { PROCESS_FAULTS } from "./process.ts";
import type { Fault, Scene } from "./scene.ts";
import { SERVER_FAULTS } from "./server.ts";

const FAULTS: Readonly<Record<FaultName, Fault>> = {
  ...PROCESS_FAULTS,
  ...NETWORK_FAULTS,
  ...SERVER_FAULTS,
  ...BUCKET_FAULTS,
  ...CLOCK_FAULTS,
};

/** Injects the fault and undoes it. Processes that it killed are not running when it resolves. */
export function inflict(name: FaultName, scene: Scene): Promise<void> {
  return FAULTS[name](scene);
}
