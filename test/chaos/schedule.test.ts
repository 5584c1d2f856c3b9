import { describe, expect, test } from "vitest";
import { isPossible, kindOf, type WorldProfile } from "../../scripts/chaos/faults/catalogue.ts";
import { FAULT_NAMES, groupOf } from "../../scripts/chaos/faults/names.ts";
import { readOptions } from "../../scripts/chaos/options.ts";
import { makeSchedule, profiles } from "../../scripts/chaos/schedule.ts";

const ALL = { clocks: true, disks: true, namespaces: true };
const WORLDS = profiles(5, null, ALL);
const LEASE: WorldProfile = {
  servers: 1,
  crashDetection: "lease",
  clocks: false,
  disks: true,
  namespaces: false,
};

describe("the schedule of a chaos run", () => {
  test("is the same for the same seed and differs for another seed", () => {
    const options = { seed: 7, faults: 300, worlds: WORLDS, only: [] };
    expect(makeSchedule(options)).toEqual(makeSchedule(options));
    expect(makeSchedule({ ...options, seed: 8 })).not.toEqual(makeSchedule(options));
  });

  test("contains the requested number of faults, each once", () => {
    const numbers = makeSchedule({ seed: 1, faults: 200, worlds: WORLDS, only: [] })
      .flat()
      .map(({ number }) => number)
      .sort((one, other) => one - other);
    expect(numbers).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
  });

  test("of 200 faults contains every kind, each in a world that can inject it", () => {
    const schedule = makeSchedule({ seed: 1, faults: 200, worlds: WORLDS, only: [] });
    for (const [index, world] of WORLDS.entries())
      for (const { name } of schedule[index] ?? [])
        expect([name, isPossible(name, world)]).toEqual([name, true]);
    expect(new Set(schedule.flat().map(({ name }) => name))).toEqual(new Set(FAULT_NAMES));
  });

  test("gives fewer faults to a world whose faults take longer", () => {
    const [one, three] = makeSchedule({ seed: 1, faults: 200, worlds: profiles(2, null, ALL), only: [] });
    expect(one?.length).toBeGreaterThan(three?.length ?? Number.NaN);
    expect(three?.length).toBeGreaterThan(0);
  });

  test("uses only the given names, in worlds that can inject them", () => {
    const schedule = makeSchedule({ seed: 1, faults: 9, worlds: WORLDS, only: ["route-split", "kill"] });
    expect(new Set(schedule.flat().map(({ name }) => name))).toEqual(new Set(["route-split", "kill"]));
    const presence = makeSchedule({
      seed: 1,
      faults: 4,
      worlds: [LEASE, ...WORLDS],
      only: ["forged-advisory"],
    });
    expect(presence[0]).toEqual([]);
    expect(() => makeSchedule({ seed: 1, faults: 1, worlds: [LEASE], only: ["route-split"] })).toThrow(
      /route-split/,
    );
  });

  test("contains no clock fault where libfaketime is missing", () => {
    const worlds = profiles(5, null, { clocks: false, disks: false, namespaces: false });
    const schedule = makeSchedule({ seed: 1, faults: 200, worlds, only: [] });
    expect(schedule.flat().some(({ name }) => groupOf(name) === "clock")).toBe(false);
  });
});

test("the catalogue excuses no fault that a lease must survive", () => {
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
    [["--faults", "0"], /--faults must be a whole number of at least 1, not 0/],
    [["--seed", "x"], /--seed/],
    [["--servers", "2"], /--servers must be 1 or 3/],
    [["--only", "kill,nothing"], /unknown fault "nothing"/],
    [["--sum"], /--sum needs the report files/],
    [["report.json"], /unexpected argument "report.json"/],
    [["--lease", "500"], /--lease must be a whole number of at least 1000/],
  ])("%s are rejected", (args, message) => {
    expect(() => readOptions(args)).toThrow(message);
  });
});
