/**
 * Measures how long the planner of groups takes, and how many resources it moves.
 *
 *   npm run --silent bench:plan -- [--resources 1024] [--members 100] [--zones 0] [--refusals 0] [--runs 15] [--json]
 *
 * `--json` prints one line: `{resources, members, zones, refusals, runs, cases: [{name, firstMs, minMs, p50Ms, maxMs, cpuMs, moves,
 * unplaced}], codec: {bytes, encodeMs, decodeMs}}`. `firstMs` is the first call for this case, the others are of warm code; `cpuMs`
 * is the mean processor time, which other processes on the machine change less. `moves` counts the resources that an owner
 * loses, without those of a member that has died or left.
 */

import { place, plan } from "../../src/group/plan/plan.ts";
import { decodePlan, encodePlan } from "../../src/group/plan/plan-codec.ts";
import type { Assignment, PlanInput, PlanMember, PlanResource } from "../../src/group/plan/types.ts";
import { readArguments } from "../shared/arguments.ts";
import { wholeNumber } from "../shared/whole-number.ts";

/** After this many calls the code is compiled. */
const WARM_UP_CALLS = 20;

const values = readArguments(
  [
    "npm run bench:plan --",
    "Measures how long the planner of groups takes, and how many resources it moves.",
  ],
  {
    resources: { type: "string", default: "1024", value: "n", help: "number of resources" },
    members: { type: "string", default: "100", value: "n", help: "number of members" },
    zones: { type: "string", default: "0", value: "n", help: "number of zones" },
    refusals: { type: "string", default: "0", value: "n", help: "resources that each member refuses" },
    runs: { type: "string", default: "15", value: "n", help: "calls per case" },
    json: { type: "boolean", default: false, help: "print the report as one line of JSON on stdout" },
  },
);
const counts = {
  resources: wholeNumber("resources", values.resources),
  members: wholeNumber("members", values.members, 2),
  zones: wholeNumber("zones", values.zones, 0),
  refusals: wholeNumber("refusals", values.refusals, 0),
  runs: wholeNumber("runs", values.runs),
};

const zoneOf = (index: number): { readonly zone?: string } =>
  counts.zones === 0 ? {} : { zone: `zone-${index % counts.zones}` };
const memberAt = (index: number): PlanMember => ({
  id: `member-${String(index).padStart(5, "0")}`,
  weight: 1,
  draining: false,
  ...zoneOf(index),
});
const members = Array.from({ length: counts.members }, (_, index) => memberAt(index));
const unowned = Array.from(
  { length: counts.resources },
  (_, index): PlanResource => ({
    name: `resource-${String(index).padStart(7, "0")}`,
    ...zoneOf(index),
  }),
);
const refusals = members.flatMap(({ id }, index) =>
  Array.from({ length: counts.refusals }, (_, nth) => ({
    resource: unowned[(index * counts.refusals + nth) % unowned.length]?.name ?? "",
    member: id,
  })),
);

const ownedBy = (ownerOf: (resource: PlanResource, index: number) => string | undefined): PlanResource[] =>
  unowned.map((resource, index) => {
    const owner = ownerOf(resource, index);
    return owner === undefined ? resource : { ...resource, owner };
  });
const inputOf = (who: readonly PlanMember[], resources: readonly PlanResource[]): PlanInput => ({
  members: who,
  resources,
  refusals,
});

const balanced = plan(inputOf(members, unowned));
const owned = ownedBy(({ name }) => balanced.owners.get(name));
const survivors = members.slice(1);
const random = numbersFrom(1);
const shuffled = ownedBy(() => members[Math.floor(random() * members.length)]?.id);

interface Case {
  readonly name: string;
  readonly call: (input: PlanInput) => Assignment;
  readonly input: PlanInput;
}

const cases: readonly Case[] = [
  { name: "plan, nothing owned", call: plan, input: inputOf(members, unowned) },
  { name: "plan, balanced already", call: plan, input: inputOf(members, owned) },
  { name: "plan, one has died", call: plan, input: inputOf(survivors, owned) },
  { name: "plan, one has joined", call: plan, input: inputOf([...members, memberAt(members.length)], owned) },
  { name: "plan, owners at random", call: plan, input: inputOf(members, shuffled) },
  { name: "place, one has died", call: place, input: inputOf(survivors, owned) },
  { name: "place, nothing owned", call: place, input: inputOf(members, unowned) },
];

const rows = cases.map(({ name, call, input }) => {
  const firstMs = round(timed(() => call(input)));
  for (let nth = 0; nth < WARM_UP_CALLS; nth += 1) call(input);
  const before = process.cpuUsage();
  const times = Array.from({ length: counts.runs }, () => timed(() => call(input)));
  const { user, system } = process.cpuUsage(before);
  const cpuMs = round((user + system) / 1_000 / counts.runs);
  const { moves, unplaced } = call(input);
  return { name, firstMs, ...summary(times), cpuMs, moves, unplaced: unplaced.length };
});

const stored = { members: members.map(({ id }) => id), owners: balanced.owners, unplaced: balanced.unplaced };
const bytes = encodePlan(stored);
const codec = {
  bytes: bytes.length,
  encodeMs: summary(Array.from({ length: counts.runs }, () => timed(() => encodePlan(stored)))).p50Ms,
  decodeMs: summary(Array.from({ length: counts.runs }, () => timed(() => decodePlan(bytes)))).p50Ms,
};

if (values.json) console.log(JSON.stringify({ ...counts, cases: rows, codec }));
else {
  console.table(rows);
  console.table([codec]);
}

function timed(call: () => unknown): number {
  const began = performance.now();
  call();
  return performance.now() - began;
}

interface Summary {
  readonly minMs: number;
  readonly p50Ms: number;
  readonly maxMs: number;
}

function summary(times: readonly number[]): Summary {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (index: number): number => round(sorted.at(index) ?? 0);
  return { minMs: at(0), p50Ms: at(sorted.length >> 1), maxMs: at(-1) };
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

/** The same numbers from 0 to 1 in every run. */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
