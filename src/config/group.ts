/** Validates the options of a member of a group, and fills in the defaults. */
import * as z from "zod/mini";
import { ClusterError } from "../errors.ts";
import type { Resource } from "../group/core/balance.ts";
import { ID } from "../nats/identity.ts";
import { duration, OPTIONS, type OptionInfo, type OptionTable, optionTable } from "./accepted.ts";
import { checkEach, show } from "./check.ts";
import {
  GROUP_DEFAULTS,
  type GroupOptions,
  type ResolvedGroupOptions,
  type ResourceList,
  SHARED_OPTIONS,
  type SharedOptionName,
} from "./group-options.ts";
import { hostNodeId } from "./node-id.ts";
import type { NodeOptions } from "./options.ts";
import { resolveOptions } from "./resolve.ts";
import { connectionProblems, parseServers } from "./servers.ts";
import { silenceProblems } from "./silence.ts";
import { timingProblems } from "./timing.ts";

type GroupOptionName = keyof GroupOptions;

export const MAX_RESOURCES = 100_000;
const MAX_NAME_BYTES = 255;
const HALF_PAIR = /\p{Surrogate}/u;

function whole(min: number, max: number, fallback: string, what: string): OptionInfo {
  return {
    type: "number",
    fallback,
    rule: `${what}: a whole number from ${min} to ${max}`,
    schema: z.int().check(z.minimum(min), z.maximum(max)),
  };
}

const RESOURCES: OptionInfo = {
  type: "number, list or function",
  fallback: "required",
  rule: `a number of partitions from 1 to ${MAX_RESOURCES}, a list of names or of objects with name and zone, or a function that returns an async iterable of such lists`,
  schema: z.union([
    z.int().check(z.minimum(1), z.maximum(MAX_RESOURCES)),
    z.array(z.unknown()),
    z.custom((value) => typeof value === "function"),
  ]),
};

const SHARED = Object.fromEntries(SHARED_OPTIONS.map((name) => [name, OPTIONS[name]])) as Pick<
  typeof OPTIONS,
  SharedOptionName
>;

/** The source of validation, errors, suggestions and the table in docs/groups.md. */
export const GROUP_OPTIONS: { readonly [Name in GroupOptionName]-?: OptionInfo } = {
  groupId: { ...OPTIONS.clusterId },
  memberId: { ...OPTIONS.nodeId },
  resources: RESOURCES,
  weight: whole(0, 10_000, String(GROUP_DEFAULTS.weight), "the share relative to other members"),
  zone: { ...OPTIONS.nodeId, fallback: "none", rule: "1 to 64 of the characters A-Z a-z 0-9 _ -" },
  maxOwned: whole(0, 1_000_000, "no limit", "the most resources that this member owns"),
  settleMs: duration(0, 3_600_000, String(GROUP_DEFAULTS.settleMs)),
  rejoinGraceMs: duration(0, 3_600_000, String(GROUP_DEFAULTS.rejoinGraceMs)),
  unownedGraceMs: duration(100, 3_600_000, String(GROUP_DEFAULTS.unownedGraceMs)),
  maxMoves: whole(1, 100_000, String(GROUP_DEFAULTS.maxMoves), "the most resources given up at a time"),
  createBucket: {
    type: "boolean",
    fallback: "true",
    rule: "true or false (create the bucket of the group if it does not exist)",
    schema: z.boolean(),
  },
  ...SHARED,
};

const GROUP_TABLE: OptionTable<GroupOptionName> = optionTable<GroupOptionName>(
  GROUP_OPTIONS,
  ["groupId", "resources"],
  {
    id: "memberId",
    name: "memberId",
    nodeid: "memberId",
    cluster: "groupId",
    clusterid: "groupId",
    group: "groupId",
    partitions: "resources",
    observer: "weight",
  },
);

/**
 * Does no I/O.
 *
 * @param defaultMemberId - Draws the member id if the option is not given.
 * @throws ClusterError `INVALID_CONFIG`, with one line per problem.
 */
export function resolveGroupOptions(
  options: GroupOptions,
  defaultMemberId: () => string = hostNodeId,
): ResolvedGroupOptions {
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw invalid([`options ${show(options)} must be an object`]);
  const { problems: ofEach, invalid: wrong } = checkEach(options, GROUP_TABLE);
  const valid = (...names: (keyof NodeOptions)[]): boolean =>
    !names.some((name) => (wrong as ReadonlySet<string>).has(name));
  const shared = sharedOf(options);
  const problems = [
    ...ofEach,
    ...(wrong.has("resources") || !Array.isArray(options.resources) ? [] : listProblems(options.resources)),
    ...timingProblems(shared, valid),
    ...silenceProblems(shared, valid),
    ...parseServers(valid("servers") ? options.servers : undefined).problems,
    ...connectionProblems(shared, valid),
  ];
  if (problems.length > 0) throw invalid(problems);
  const node = resolveOptions({ ...shared, nodeId: options.memberId ?? defaultMemberId() });
  return resolved(options, node);
}

/** The options of a node with the same connection and lease. */
function sharedOf(options: GroupOptions): NodeOptions {
  const given = SHARED_OPTIONS.map((name) => [name, options[name]] as const);
  return { clusterId: options.groupId, ...Object.fromEntries(given) };
}

function invalid(problems: readonly string[]): ClusterError {
  const lines = problems.map((problem) => `\n  ${problem}`);
  return new ClusterError("INVALID_CONFIG", `invalid group options:${lines.join("")}`);
}

function resolved(options: GroupOptions, node: ReturnType<typeof resolveOptions>): ResolvedGroupOptions {
  const { leaseTtlMs, heartbeatIntervalMs, requestTimeoutMs, retryDelayMs, crashDetection } = node.election;
  const { resources, weight = GROUP_DEFAULTS.weight, zone, maxOwned } = options;
  return Object.freeze({
    groupId: options.groupId,
    memberId: node.nodeId,
    resources: typeof resources === "function" ? resources : Object.freeze(resourcesOf(resources)),
    profile: Object.freeze({
      weight,
      ...(zone === undefined ? {} : { zone }),
      ...(maxOwned === undefined ? {} : { maxOwned }),
    }),
    drainTimeoutMs: node.drainTimeoutMs,
    replicas: node.replicas,
    createBucket: options.createBucket ?? true,
    logger: node.logger,
    logLevel: node.logLevel,
    nats: node.nats,
    core: Object.freeze({
      memberId: node.nodeId,
      crashDetection,
      silenceMs: node.silenceMs,
      leaseTtlMs,
      heartbeatIntervalMs,
      requestTimeoutMs,
      retryDelayMs,
      maxMoves: options.maxMoves ?? GROUP_DEFAULTS.maxMoves,
      settleMs: options.settleMs ?? GROUP_DEFAULTS.settleMs,
      rejoinGraceMs: options.rejoinGraceMs ?? GROUP_DEFAULTS.rejoinGraceMs,
      unownedGraceMs: options.unownedGraceMs ?? GROUP_DEFAULTS.unownedGraceMs,
    }),
  });
}

/** The resources of a valid list or number. */
function resourcesOf(resources: number | ResourceList): readonly Resource[] {
  if (typeof resources === "number")
    return Array.from({ length: resources }, (_, index) => ({ name: String(index) }));
  return resources.map((one) => {
    if (typeof one === "string") return { name: one };
    const { name, zone } = one;
    return zone === undefined ? { name } : { name, zone };
  });
}

/**
 * Checks a list that a source has yielded.
 *
 * @throws ClusterError `INVALID_CONFIG`, with one line per problem.
 */
export function checkResourceList(list: unknown): readonly Resource[] {
  if (!Array.isArray(list)) throw invalid([`resources ${show(list)} must be a list`]);
  const problems = listProblems(list);
  if (problems.length > 0) throw invalid(problems);
  return resourcesOf(list as ResourceList);
}

const MAX_LIST_PROBLEMS = 5;

/** Why this cannot be a list of resources, one line each. */
export function listProblems(list: readonly unknown[]): string[] {
  if (list.length > MAX_RESOURCES)
    return [`resources has ${list.length} entries; at most ${MAX_RESOURCES} are allowed`];
  const problems: string[] = [];
  const names = new Set<string>();
  for (const [index, one] of list.entries()) {
    const problem = entryProblem(one, names);
    if (problem !== null) problems.push(`resources[${index}] ${problem}`);
    if (problems.length >= MAX_LIST_PROBLEMS) break;
  }
  return problems;
}

function entryProblem(entry: unknown, names: Set<string>): string | null {
  const isObject = typeof entry === "object" && entry !== null;
  const { name, zone } = (isObject ? entry : { name: entry }) as { name?: unknown; zone?: unknown };
  if (typeof name !== "string" || name === "")
    return `${show(entry)} must be a name, or an object with name and zone`;
  const bytes = Buffer.byteLength(name);
  if (bytes > MAX_NAME_BYTES)
    return `${show(name)} has ${bytes} bytes as UTF-8; at most ${MAX_NAME_BYTES} are allowed`;
  if (HALF_PAIR.test(name)) return `${show(name)} is not valid Unicode: it has half of a surrogate pair`;
  if (zone !== undefined && (typeof zone !== "string" || !ID.test(zone)))
    return `${show(name)} has zone ${show(zone)}, which must be 1 to 64 of the characters A-Z a-z 0-9 _ -`;
  if (names.has(name)) return `${show(name)} is on the list twice`;
  names.add(name);
  return null;
}
