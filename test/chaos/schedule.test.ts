import { describe, expect, test } from "vitest";
import {
  FAULT_NAMES,
  groupOf,
  isPossible,
  kindOf,
  type WorldProfile,
} from "../../scripts/chaos/faults/catalogue.ts";
import { readOptions } from "../../scripts/chaos/options.ts";
import { makePlan, profiles } from "../../scripts/chaos/schedule.ts";

const ALL = { clocks: true, disks: true, namespaces: true };
const WORLDS = profiles(5, null, ALL);
const LEASE: WorldProfile = {
  servers: 1,
  crashDetection: "lease",
  clocks: false,
  disks: true,
  namespaces: false,
};

describe("the plan of a chaos run", () => {
  test("is the same for the same seed, and another one for another", () => {
    const options = { seed: 7, faults: 300, worlds: WORLDS, only: [] };
    expect(makePlan(options)).toEqual(makePlan(options));
    expect(makePlan({ ...options, seed: 8 })).not.toEqual(makePlan(options));
  });

  test("has as many faults as were asked for, each once", () => {
    const numbers = makePlan({ seed: 1, faults: 200, worlds: WORLDS, only: [] })
      .flat()
      .map(({ number }) => number)
      .sort((one, other) => one - other);
    expect(numbers).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  });

  test("of 200 faults has every kind, each where it can be done", () => {
    const plan = makePlan({ seed: 1, faults: 200, worlds: WORLDS, only: [] });
    for (const [index, world] of WORLDS.entries())
      for (const { name } of plan[index] ?? []) expect([name, isPossible(name, world)]).toEqual([name, true]);
    expect(new Set(plan.flat().map(({ name }) => name))).toEqual(new Set(FAULT_NAMES));
  });

  test("gives a world whose faults take longer fewer of them", () => {
    const [one, three] = makePlan({ seed: 1, faults: 200, worlds: profiles(2, null, ALL), only: [] });
    expect(one?.length).toBeGreaterThan(three?.length ?? Number.NaN);
    expect(three?.length).toBeGreaterThan(0);
  });

  test("keeps to the names it is given, and to worlds that can do them", () => {
    const plan = makePlan({ seed: 1, faults: 9, worlds: WORLDS, only: ["route-split", "kill"] });
    expect(new Set(plan.flat().map(({ name }) => name))).toEqual(new Set(["route-split", "kill"]));
    const presence = makePlan({ seed: 1, faults: 4, worlds: [LEASE, ...WORLDS], only: ["forged-advisory"] });
    expect(presence[0]).toEqual([]);
    expect(() => makePlan({ seed: 1, faults: 1, worlds: [LEASE], only: ["route-split"] })).toThrow(
      /route-split/,
    );
  });

  test("bends no clock where libfaketime is missing", () => {
    const worlds = profiles(5, null, { clocks: false, disks: false, namespaces: false });
    const plan = makePlan({ seed: 1, faults: 200, worlds, only: [] });
    expect(plan.flat().some(({ name }) => groupOf(name) === "clock")).toBe(false);
  });
});

test("the catalogue blames no fault that a lease must survive", () => {
  const excused = FAULT_NAMES.filter((name) => kindOf(name).blame !== "none");
  expect(excused).toEqual([
    "block-and-cut",
    "reset-server-side",
    "freeze-and-reset-server-side",
    "key-deleted",
    "key-purged",
    "bucket-deleted",
    "bucket-recreated",
    "clock-back",
    "freeze-and-clock-back",
    "clock-rate-far",
  ]);
});

describe("arguments", () => {
  test("have defaults", () => {
    expect(readOptions([])).toMatchObject({ faults: 200, seed: 1, servers: null, only: [], json: false });
    expect(readOptions(["--only", "kill, freeze", "--servers", "3"])).toMatchObject({
      only: ["kill", "freeze"],
      servers: 3,
    });
  });

  test.each([
    [["--faults", "0"], /--faults must be a whole number from 1, not 0/],
    [["--seed", "x"], /--seed/],
    [["--servers", "2"], /--servers must be 1 or 3/],
    [["--only", "kill,nothing"], /no fault "nothing"/],
    [["--sum"], /--sum: which reports/],
    [["report.json"], /what is "report.json"/],
    [["--lease", "500"], /--lease must be a whole number from 1000/],
  ])("%s is refused", (args, message) => {
    expect(() => readOptions(args)).toThrow(message);
  });
});
