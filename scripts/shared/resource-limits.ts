import type { ResourceLimits } from "node:worker_threads";

/** Histories are short-lived garbage. A young generation that holds many of them saves a tenth of the run time. */
export const resourceLimits: ResourceLimits = { maxYoungGenerationSizeMb: 192 };
