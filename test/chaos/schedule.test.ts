import { describe, expect, test } from "vitest";
import { detectionsOf } from "../../scripts/chaos/detection.ts";
import { isPossible, kindOf, type WorldProfile } from "../../scripts/chaos/faults/catalogue.ts";
import { FAULT_NAMES, groupOf } from "../../scripts/chaos/faults/names.ts";
import { readOptions } from "../../scripts/chaos/options.ts";
import { makeSchedule, profiles } from "../../scripts/chaos/schedule.ts";
import { resolveOptions } from "../../src/config/resolve.ts";

const ALL = { clocks: true, disks: true, namespaces: true };
const ANY = { servers: null, crashDetection: null } as const;
const WORLDS = profiles({ ...ANY, worlds: 5 }, ALL);
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
    const [one, three] = makeSchedule({
      seed: 1,
      faults: 200,
      worlds: profiles({ ...ANY, worlds: 2 }, ALL),
      only: [],
    });
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
    const worlds = profiles({ ...ANY, worlds: 5 }, { clocks: false, disks: false, namespaces: false });
    const schedule = makeSchedule({ seed: 1, faults: 200, worlds, only: [] });
    expect(schedule.flat().some(({ name }) => groupOf(name) === "clock")).toBe(false);
  });
});

describe("the crash detection of a run", () => {
  const modesOf = (worlds: readonly WorldProfile[], leaseMs = 2000) =>
    worlds.map(({ crashDetection }, index) => detectionsOf(crashDetection, leaseMs, index));

  test("has all modes on one server and in a cluster, also mixed, with several promises of silence", () => {
    for (const servers of [1, 3] as const) {
      const nodes = modesOf(WORLDS.filter((world) => world.servers === servers)).flat();
      expect(new Set(nodes.map(({ crashDetection }) => crashDetection))).toEqual(
        new Set(["presence", "silence", "lease"]),
      );
    }
    const nodes = modesOf(WORLDS).flat();
    const lengths = (mode: string) =>
      new Set(nodes.filter((it) => it.crashDetection === mode).map(({ silenceMs }) => silenceMs));
    expect(lengths("presence")).toEqual(new Set([1000, 500, 0]));
    expect(lengths("silence")).toEqual(new Set([1000, 750, 500]));
    expect(lengths("lease")).toEqual(new Set([0]));
  });

  test.each(["presence", "silence", "lease"] as const)(
    "is %s in all worlds if it is given",
    (crashDetection) => {
      const worlds = profiles({ worlds: 7, servers: null, crashDetection }, ALL);
      const modes = modesOf(worlds).flatMap((nodes) => nodes.map((it) => it.crashDetection));
      expect(new Set(modes)).toEqual(new Set([crashDetection]));
    },
  );

  test("is accepted by a node, for the shortest lease, too", () => {
    const worlds = profiles({ ...ANY, worlds: 7 }, ALL);
    for (const leaseTtlMs of [1000, 1001, 2000, 9000])
      for (const detection of modesOf(worlds, leaseTtlMs).flat())
        expect(
          resolveOptions({ clusterId: "c", servers: "127.0.0.1", leaseTtlMs, ...detection }),
        ).toMatchObject({
          crashDetection: detection.crashDetection,
          election: { silenceMs: detection.silenceMs },
        });
  });
});

test("the catalogue excuses no fault that a lease must survive", () => {
  const excused = FAULT_NAMES.filter((name) => kindOf(name).blame !== "none");
  expect(excused).toEqual([
    "block-and-cut",
    "reset-server-side",
    "freeze-and-reset-server-side",
    "slow-consumer",
    "backlog",
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
    expect(readOptions([])).toMatchObject({
      faults: 200,
      seed: 1,
      servers: null,
      world: null,
      only: [],
      json: false,
    });
    expect(readOptions(["--only", "kill, freeze", "--servers", "3"])).toMatchObject({
      only: ["kill", "freeze"],
      servers: 3,
    });
  });

  test.each([
    [["--faults", "0"], /--faults must be a whole number of at least 1, not 0/],
    [["--seed", "x"], /--seed/],
    [["--world", "6"], /--world must be at most 5, the number of --worlds, not 6/],
    [["--servers", "2"], /--servers must be 1 or 3/],
    [["--only", "kill,nothing"], /unknown fault "nothing"/],
    [["--sum"], /--sum needs the report files/],
    [["report.json"], /unexpected argument "report.json"/],
    [["--crash-detection", "mixed"], /--crash-detection must be one of presence, silence, lease, not mixed/],
    [["--lease", "500"], /--lease must be a whole number of at least 1000/],
  ])("%s are rejected", (args, message) => {
    expect(() => readOptions(args)).toThrow(message);
  });
});
