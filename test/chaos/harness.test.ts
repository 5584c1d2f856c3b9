/** The part of the harness that needs no servers: runs of worlds, and the times of faults. */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { Deck } from "../../scripts/chaos/harness/deck.ts";
import { hostNowMs } from "../../scripts/chaos/harness/host-clock.ts";
import { type FaultTimes, playFault } from "../../scripts/chaos/harness/play-fault.ts";
import { runWorlds } from "../../scripts/chaos/harness/run-worlds.ts";
import { Random } from "../../src/testing/simulation/random.ts";

describe("a fault", () => {
  const kill = { number: 4, name: "kill" };

  test("is recorded with its times, in their order, after the world has recovered", async () => {
    const seen: string[] = [];
    let times: FaultTimes | null = null;
    const beganMs = hostNowMs();
    await playFault(kill, {
      inflict: async () => void seen.push("inflict"),
      recover: async (mendedMs) => void seen.push(`recover ${mendedMs >= beganMs}`),
      record: (all) => {
        seen.push("record");
        times = all;
      },
    });
    expect(seen).toEqual(["inflict", "recover true", "record"]);
    const { fromMs, mendedMs, settledMs } = times as unknown as FaultTimes;
    expect([beganMs, fromMs, mendedMs, settledMs]).toEqual(
      [beganMs, fromMs, mendedMs, settledMs].sort((one, other) => one - other),
    );
  });

  test("from which the world does not recover is recorded all the same, and named in the error", async () => {
    const recorded: FaultTimes[] = [];
    const played = playFault(kill, {
      inflict: async () => {},
      recover: () => Promise.reject(new Error("no leader")),
      record: (times) => void recorded.push(times),
    });
    await expect(played).rejects.toThrow("fault 4 (kill): Error: no leader");
    expect(recorded).toHaveLength(1);
  });

  test("that cannot be undone counts as mended when it began", async () => {
    const recorded: FaultTimes[] = [];
    const played = playFault(kill, {
      inflict: () => Promise.reject(new Error("no process")),
      recover: async () => {},
      record: (times) => void recorded.push(times),
    });
    await expect(played).rejects.toThrow("no process");
    expect(recorded[0]?.mendedMs).toBe(recorded[0]?.fromMs);
  });
});

describe("a run", () => {
  test("gives each of its worlds a folder of its own, and removes the folders if all was well", async () => {
    const folders: string[] = [];
    const { reports, broken, end } = await runWorlds(
      { worlds: [1, 2, 5], faults: 0, keep: null },
      async (place) => {
        expect(existsSync(place.folder)).toBe(true);
        folders.push(place.folder);
        return place.number;
      },
    );
    expect([reports, broken]).toEqual([[1, 2, 5], []]);
    expect(new Set(folders).size).toBe(3);
    end(true);
    expect(folders.filter((folder) => existsSync(folder))).toEqual([]);
  });

  test("says which world has no report, and keeps the reports of the others and all recordings", async () => {
    const folders: string[] = [];
    const { reports, broken, end } = await runWorlds(
      { worlds: [1, 3, 4], faults: 0, keep: null },
      async ({ number, folder }) => {
        folders.push(folder);
        if (number === 3) throw new Error("no nats-server");
        return number;
      },
    );
    expect(reports).toEqual([1, 4]);
    expect(broken).toEqual(["world 3 gave no report: Error: no nats-server"]);
    const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
    end(false);
    const [[text]] = said.mock.calls as [[string]];
    said.mockRestore();
    expect(folders.filter((folder) => existsSync(folder))).toHaveLength(3);
    expect(text).toBe(`the recordings are in ${dirname(folders[0] as string)}\n`);
    end(true);
  });
});

test("a deck deals every card before it repeats one, and first those that were not seen elsewhere", () => {
  const deck = new Deck(["a", "b", "c"], new Random(1));
  expect(deck.deal(new Set(["a", "b"]))).toBe("c");
  const rest = [deck.deal(new Set()), deck.deal(new Set())];
  expect(rest.sort()).toEqual(["a", "b"]);
  const again = [deck.deal(new Set()), deck.deal(new Set()), deck.deal(new Set())];
  expect(again.sort()).toEqual(["a", "b", "c"]);
});
