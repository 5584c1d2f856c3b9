/**
 * The keys of a group's bucket (docs/wire.md): `session.<member>`, `owner.<resource>`, `coordinator` and `plan`. The names of resources
 * are any text: in a key, every byte of their UTF-8 other than A-Z a-z 0-9 _ - is written as `=` and two hex digits.
 */
import type { GroupKey } from "../../group/core/types.ts";
import { isId } from "../identity.ts";

/**
 * Longest name of a resource, in bytes of UTF-8. Its key has at most three times as many characters: a server accepts protocol lines of 4096 bytes
 * by default, with the subject and the subject of the answer in them.
 */
export const MAX_RESOURCE_BYTES = 255;

const PLAIN = /^[A-Za-z0-9_-]+$/;
const ENCODED = /^(?:[A-Za-z0-9_-]|=[0-9A-F]{2})+$/;
const HALF_PAIR = /\p{Surrogate}/u;
const SESSION = "session.";
const OWNER = "owner.";

/** Why this cannot be the name of a resource; `null`: it can. Completes "<name> ...". */
export function resourceProblem(name: unknown): string | null {
  if (typeof name !== "string") return "is not a text";
  if (name === "") return "is empty";
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_RESOURCE_BYTES)
    return `has ${bytes} bytes as UTF-8, at most ${MAX_RESOURCE_BYTES} are allowed`;
  return HALF_PAIR.test(name) ? "is not valid Unicode: it has half of a surrogate pair" : null;
}

/** @throws RangeError for a resource whose name is not allowed. */
export function encodeKey(key: GroupKey): string {
  switch (key.kind) {
    case "session":
      return SESSION + key.memberId;
    case "owner":
      return OWNER + encodeResource(key.resource);
    case "coordinator":
    case "plan":
      return key.kind;
    default:
      return key satisfies never;
  }
}

/** `null`: not a key of ours. Each key has one text only. */
export function decodeKey(text: string): GroupKey | null {
  if (text === "coordinator" || text === "plan") return { kind: text };
  if (text.startsWith(SESSION)) {
    const memberId = text.slice(SESSION.length);
    return isId(memberId) ? { kind: "session", memberId } : null;
  }
  if (!text.startsWith(OWNER)) return null;
  const resource = decodeResource(text.slice(OWNER.length));
  return resource === null ? null : { kind: "owner", resource };
}

/** One token of a subject. @throws RangeError for a name that is not allowed. */
export function encodeResource(name: string): string {
  const problem = resourceProblem(name);
  if (problem !== null) throw new RangeError(`the name of a resource ${problem}`);
  if (PLAIN.test(name)) return name;
  let token = "";
  for (const byte of Buffer.from(name)) {
    const character = String.fromCharCode(byte);
    token += PLAIN.test(character) ? character : `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return token;
}

function decodeResource(token: string): string | null {
  if (token.length > MAX_RESOURCE_BYTES * 3) return null;
  if (PLAIN.test(token)) return resourceProblem(token) === null ? token : null;
  if (!ENCODED.test(token)) return null;
  const bytes = token.replace(/=(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  try {
    const name = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(bytes, "latin1"),
    );
    return encodeResource(name) === token ? name : null;
  } catch {
    return null;
  }
}
