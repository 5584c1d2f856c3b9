/**
 * The body of a status answer. Any user of the account that may publish to a reply subject can send one, so every field
 * is checked; decoding never throws.
 */
import { SUSPICION_OUTCOMES, type SuspicionOutcome } from "../../channels/sets.ts";
import type { CrashDetection, RoleName } from "../../election/types.ts";
import type { NodeStatus, PeerStatus, Standby } from "../../runtime/backend.ts";
import { type JsonObject, parseObject } from "../api/js-api.ts";
import { isId, isPrintable, isVersion } from "../identity.ts";

/** A status is about 350 bytes. A longer body is not parsed. */
export const MAX_STATUS_BYTES: number = 16 * 1024;

const ROLES: readonly NodeStatus["role"][] = ["PRIMARY", "PASSIVE"];
const STATES: readonly RoleName[] = ["follower", "campaigning", "leader", "suspended", "draining", "stopped"];
const DETECTIONS: readonly CrashDetection[] = ["presence", "silence", "lease"];
const STANDBYS: readonly Standby[] = ["observer", "withdrawn", "cooldown", "failed"];
const PRESENCES: readonly NodeStatus["presence"][] = ["on", "off", "denied"];

/** The status in a response; `null` unless it is a JSON object with go-cluster's six fields. */
export function decodeStatus(bytes: Uint8Array): PeerStatus | null {
  return bytes.length > MAX_STATUS_BYTES ? null : readStatus(parseObject(bytes));
}

/**
 * The status in parsed JSON. One of go-cluster's six fields that is missing or invalid makes the whole status `null`. Any
 * other field that is invalid is left out: a later version may send a value that this one does not know.
 */
export function readStatus(json: JsonObject | null): PeerStatus | null {
  if (json === null) return null;
  const nodeId = id(json["nodeId"]);
  const role = oneOf(ROLES, json["role"]);
  const leader = json["leader"] === "" ? "" : id(json["leader"]);
  const epoch = natural(json["epoch"]);
  const uptimeMs = duration(json["uptimeMs"]);
  const connected = flag(json["connected"]);
  if (nodeId === undefined || role === undefined || leader === undefined) return null;
  if (epoch === undefined || uptimeMs === undefined || connected === undefined) return null;
  return { nodeId, role, leader, epoch, uptimeMs, connected, ...ownFields(json) };
}

type OwnFields = Omit<PeerStatus, "nodeId" | "role" | "leader" | "epoch" | "uptimeMs" | "connected">;

function ownFields(json: JsonObject): OwnFields {
  const clusterId = id(json["clusterId"]);
  const incarnation = id(json["incarnation"]);
  const state = oneOf(STATES, json["state"]);
  const held = flag(json["held"]);
  const competes = flag(json["competes"]);
  const presence = oneOf(PRESENCES, json["presence"]);
  const crashDetection = oneOf(DETECTIONS, json["crashDetection"]);
  const silenceMs = duration(json["silenceMs"]);
  const leaseTtlMs = duration(json["leaseTtlMs"]);
  const version = isVersion(json["version"]) ? json["version"] : undefined;
  const blocked = isPrintable(json["blocked"]) ? json["blocked"] : undefined;
  const standby = oneOf(STANDBYS, json["standby"]);
  const standbyMs = duration(json["standbyMs"]);
  // Empty: the other process has no incarnation.
  const duplicate = json["duplicate"] === "" ? "" : id(json["duplicate"]);
  const leastMarginMs = duration(json["leastMarginMs"]);
  const suspensions = natural(json["suspensions"]);
  const suspicions = readSuspicions(json["suspicions"]);
  const beatRoundTripMs = duration(json["beatRoundTripMs"]);
  const server = isPrintable(json["server"]) ? json["server"] : undefined;
  const vipHeld = flag(json["vipHeld"]);
  return {
    ...(clusterId === undefined ? {} : { clusterId }),
    ...(incarnation === undefined ? {} : { incarnation }),
    ...(state === undefined ? {} : { state }),
    ...(held === undefined ? {} : { held }),
    ...(competes === undefined ? {} : { competes }),
    ...(presence === undefined ? {} : { presence }),
    ...(crashDetection === undefined ? {} : { crashDetection }),
    ...(silenceMs === undefined ? {} : { silenceMs }),
    ...(leaseTtlMs === undefined ? {} : { leaseTtlMs }),
    ...(version === undefined ? {} : { version }),
    ...(blocked === undefined ? {} : { blocked }),
    ...(standby === undefined ? {} : { standby }),
    ...(standbyMs === undefined ? {} : { standbyMs }),
    ...(duplicate === undefined ? {} : { duplicate }),
    ...(leastMarginMs === undefined ? {} : { leastMarginMs }),
    ...(suspensions === undefined ? {} : { suspensions }),
    ...(suspicions === undefined ? {} : { suspicions }),
    ...(beatRoundTripMs === undefined ? {} : { beatRoundTripMs }),
    ...(server === undefined ? {} : { server }),
    ...(vipHeld === undefined ? {} : { vipHeld }),
  };
}

/** Every outcome must have its number: one that is missing would read as 0. */
function readSuspicions(value: unknown): PeerStatus["suspicions"] {
  if (typeof value !== "object" || value === null) return undefined;
  const given = value as JsonObject;
  const counts = SUSPICION_OUTCOMES.map((outcome) => [outcome, natural(given[outcome])] as const);
  if (counts.some(([, count]) => count === undefined)) return undefined;
  return Object.fromEntries(counts) as Record<SuspicionOutcome, number>;
}

function id(value: unknown): string | undefined {
  return isId(value) ? value : undefined;
}

function flag(value: unknown): boolean | undefined {
  return typeof value === "boolean" ? value : undefined;
}

function natural(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** Milliseconds, possibly with a fraction. */
function duration(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function oneOf<T extends string>(known: readonly T[], value: unknown): T | undefined {
  return known.find((one) => one === value);
}
