/** The default of `nodeId`. A process id is no use: it is 1 in every container. */
import { randomInt } from "node:crypto";
import { hostname } from "node:os";

const MAX_HOST_LENGTH = 48;
const RANDOM_LENGTH = 6;
const RADIX = 36;

/** The host name as an id, and random characters: two processes of one host differ. */
export function hostNodeId(host: string = hostname()): string {
  const name = host.replaceAll(/[^A-Za-z0-9_-]/g, "-").slice(0, MAX_HOST_LENGTH) || "node";
  const drawn = randomInt(RADIX ** RANDOM_LENGTH).toString(RADIX);
  return `${name}-${drawn.padStart(RANDOM_LENGTH, "0")}`;
}
