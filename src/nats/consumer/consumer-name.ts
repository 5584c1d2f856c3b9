/**
 * The names of the consumers that owners of a partition have on its stream: `<group>:<resource>:<epoch>:<random>`. The random part is new for each
 * consumer, since an owner makes another one after an interruption. Ids, encoded resources and numbers have no `:`.
 */
import { createHash, randomBytes } from "node:crypto";
import { encodeResource } from "../group/group-keys.ts";

/** Servers accept names of 255 characters. Id, epoch and random part take at most 64 + 16 + 8, and the separators 3. */
const MAX_RESOURCE_LENGTH = 160;
const KEPT_LENGTH = 100;

/** What the names of all consumers of the resource begin with, whatever their term. No two resources of one or of two groups share it. */
export function consumerPrefix(groupId: string, resource: string): string {
  return `${groupId}:${resourceToken(resource)}:`;
}

/** A name that no other consumer has. */
export function newConsumerName(prefix: string, epoch: number): string {
  return `${prefix}${epoch}:${randomBytes(6).toString("base64url")}`;
}

/** Whether the consumer belongs to a term of this resource before the one with this epoch. */
export function isOfEarlierTerm(name: string, prefix: string, epoch: number): boolean {
  if (!name.startsWith(prefix)) return false;
  const [, digits] = /^(\d{1,16}):[A-Za-z0-9_-]{8}$/.exec(name.slice(prefix.length)) ?? [];
  return digits !== undefined && Number(digits) < epoch;
}

function resourceToken(resource: string): string {
  const token = encodeResource(resource);
  if (token.length <= MAX_RESOURCE_LENGTH) return token;
  // No encoded name has a `~`.
  return `${token.slice(0, KEPT_LENGTH)}~${createHash("sha256").update(resource).digest("base64url")}`;
}
