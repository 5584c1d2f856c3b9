import { BUCKET_FAULTS } from "./bucket.ts";
import type { FaultName } from "./catalogue.ts";
import { CLOCK_FAULTS } from "./clock.ts";
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

/** Everything is mended when it resolves; what it has killed is not running yet. */
export function inflict(name: FaultName, scene: Scene): Promise<void> {
  return FAULTS[name](scene);
}
