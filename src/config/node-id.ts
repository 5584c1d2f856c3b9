/** Node ids that are made of names of hosts. */
import { createHash, randomInt } from "node:crypto";
import { hostname } from "node:os";

const MAX_LENGTH = 64;
const HASH_LENGTH = 8;
const MAX_HOST_LENGTH = 48;
const RANDOM_LENGTH = 6;
const RADIX = 36;

/**
 * The default of `nodeId`: the host name as an id, and random characters: two processes of one host differ. A process id is no use: it
 * is 1 in every container.
 */
export function hostNodeId(host: string = hostname()): string {
  const name = withIdCharacters(host).slice(0, MAX_HOST_LENGTH) || "node";
  const drawn = randomInt(RADIX ** RANDOM_LENGTH).toString(RADIX);
  return `${name}-${drawn.padStart(RANDOM_LENGTH, "0")}`;
}

/**
 * A name as an id: every character outside `A-Z a-z 0-9 _ -` becomes `-`. Of a name with more than 64 characters, the first 55 are kept,
 * and 8 digits of its hash are added: long names with one beginning remain different.
 */
export function idOfName(name: string): string {
  const id = withIdCharacters(name);
  if (id.length <= MAX_LENGTH) return id;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, HASH_LENGTH);
  return `${id.slice(0, MAX_LENGTH - HASH_LENGTH - 1)}-${hash}`;
}

function withIdCharacters(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_-]/g, "-");
}
