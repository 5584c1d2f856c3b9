/**
 * The stored plan as bytes: the part of a `PlanRecord` that says which member is to own which resource. Its generation and the
 * coordinator's epoch are fields of the record.
 *
 * JSON in columns, deflated (zlib format): `{members, resources, owners}`. `owners[i]` is the position in `members` of the owner of
 * `resources[i]`; -1: unplaced. Both lists are strictly ascending by UTF-16 code units, so that equal plans have equal content. Compare
 * plans, never their bytes: those depend on the version of zlib.
 *
 * Decoding never throws: a client that may write to the bucket can store anything, which must not stop a member. The size is limited
 * before anything is inflated, the inflated size before anything is parsed.
 */
import { deflateSync, inflateSync } from "node:zlib";
import { ClusterError, messageOf } from "../../errors.ts";

/** Largest stored plan. Servers accept messages of 1 MB by default, headers included. */
export const MAX_PLAN_BYTES = 900_000;
/** Largest inflated plan: 100 000 resources with names of about 75 characters. */
export const MAX_INFLATED_PLAN_BYTES: number = 8 * 1024 * 1024;
/** Longest member id or resource name, in UTF-16 code units: what 255 bytes of UTF-8 become at most. */
const MAX_NAME_LENGTH = 255;

const UNPLACED = -1;

export interface StoredPlan {
  /** Ids of the members that the plan was made for, ordered by code units: those that own nothing, too. */
  readonly members: readonly string[];
  /** Resource name to member id, ordered by name. */
  readonly owners: ReadonlyMap<string, string>;
  /** Resources without an owner, ordered by name. */
  readonly unplaced: readonly string[];
}

export type PlanDecoding =
  | { readonly kind: "plan"; readonly plan: StoredPlan }
  /** Not a plan. The reason quotes nothing of it. */
  | { readonly kind: "garbage"; readonly reason: string };

/**
 * The order of members and resources does not matter.
 *
 * @throws ClusterError `INVALID_CONFIG` if the plan is too large, or not a plan: an owner that is no member, a name that is listed twice,
 *   empty or too long.
 */
export function encodePlan({ members, owners, unplaced }: StoredPlan): Uint8Array {
  const ids = ascending(members, "member");
  const numbers = new Map(ids.map((id, number) => [id, number]));
  const resources = ascending([...owners.keys(), ...unplaced], "resource");
  const json = JSON.stringify({
    members: ids,
    resources,
    owners: resources.map((resource) => {
      const owner = owners.get(resource);
      if (owner === undefined) return UNPLACED;
      const number = numbers.get(owner);
      if (number !== undefined) return number;
      throw invalid(`owner "${owner}" of resource "${resource}" is not a member`);
    }),
  });
  const inflated = new TextEncoder().encode(json);
  if (inflated.length > MAX_INFLATED_PLAN_BYTES)
    throw tooLarge(resources.length, inflated.length, MAX_INFLATED_PLAN_BYTES, "before compression");
  const bytes = deflateSync(inflated);
  if (bytes.length > MAX_PLAN_BYTES)
    throw tooLarge(resources.length, bytes.length, MAX_PLAN_BYTES, "compressed");
  return bytes;
}

/** Never throws. */
export function decodePlan(bytes: Uint8Array): PlanDecoding {
  try {
    return { kind: "plan", plan: planOf(parse(inflate(bytes))) };
  } catch (error) {
    return { kind: "garbage", reason: messageOf(error) };
  }
}

function tooLarge(resources: number, bytes: number, most: number, when: string): ClusterError {
  const what = `the plan of ${resources} resources has ${bytes} bytes ${when}; at most ${most} are allowed`;
  return invalid(`${what}: use fewer resources or shorter names, or several groups`);
}

function invalid(message: string): ClusterError {
  return new ClusterError("INVALID_CONFIG", message);
}

function ascending(names: readonly string[], what: string): readonly string[] {
  const sorted = [...names].sort((a, b) => (a < b ? -1 : Number(a > b)));
  const problem = problemOfNames(sorted, what);
  if (problem !== null) throw invalid(`the plan cannot be stored: ${problem}`);
  return sorted;
}

/** What is wrong with a list that has to be strictly ascending; `null`: nothing. */
function problemOfNames(names: readonly unknown[], what: string): string | null {
  let previous = "";
  for (const name of names) {
    if (typeof name !== "string" || name === "" || name.length > MAX_NAME_LENGTH)
      return `a ${what} is not a text of 1 to ${MAX_NAME_LENGTH} characters`;
    // The first one is not empty, so it is above "".
    if (name === previous) return `a ${what} is listed twice`;
    if (name < previous) return `a ${what} is out of order`;
    previous = name;
  }
  return null;
}

/** These errors name the problem and quote nothing: the reason is shown to people. */
function inflate(bytes: Uint8Array): Uint8Array {
  if (bytes.length > MAX_PLAN_BYTES) throw new Error(`the plan has ${bytes.length} bytes`);
  try {
    return inflateSync(bytes, { maxOutputLength: MAX_INFLATED_PLAN_BYTES });
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    throw new Error(
      code === "ERR_BUFFER_TOO_LARGE"
        ? `the plan has more than ${MAX_INFLATED_PLAN_BYTES} bytes when inflated`
        : "the plan is not deflated data",
    );
  }
}

function parse(inflated: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(inflated);
  } catch {
    throw new Error("the plan is not UTF-8");
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new Error("the plan is not JSON");
  }
}

function planOf(json: unknown): StoredPlan {
  if (typeof json !== "object" || json === null) throw new Error("the plan is not a JSON object");
  const columns = json as Readonly<Record<string, unknown>>;
  const members = names(columns["members"], "member");
  const resources = names(columns["resources"], "resource");
  const numbers = columns["owners"];
  if (!Array.isArray(numbers)) throw new Error("the owners of the plan are not a list");
  if (numbers.length !== resources.length)
    throw new Error(`the plan has ${resources.length} resources and ${numbers.length} owners`);
  const owners = new Map<string, string>();
  const unplaced: string[] = [];
  for (const [index, resource] of resources.entries()) {
    const number: unknown = numbers[index];
    if (number === UNPLACED) unplaced.push(resource);
    else owners.set(resource, memberAt(members, number));
  }
  return { members, owners, unplaced };
}

function names(value: unknown, what: string): readonly string[] {
  if (!Array.isArray(value)) throw new Error(`the ${what}s of the plan are not a list`);
  const problem = problemOfNames(value, what);
  if (problem !== null) throw new Error(`${problem} in the plan`);
  return value as readonly string[];
}

function memberAt(members: readonly string[], number: unknown): string {
  const member = typeof number === "number" ? members[number] : undefined;
  if (member === undefined) throw new Error(`an owner of the plan is none of its ${members.length} members`);
  return member;
}
