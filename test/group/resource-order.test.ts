/** Resources have one order, whatever the order of their keys in the bucket. */
import { expect, test } from "vitest";
import { byName } from "../../src/manager/group-view.ts";
import { SeededRandom } from "../../src/testing/simulation/random.ts";

test("numbers are in the order of their values, and before names", () => {
  const names = ["0", "00", "01", "1", "9", "10", "1234567890123456", "1x", "9x", "a"];
  const random = new SeededRandom(1);
  for (let round = 0; round < 200; round += 1) {
    const shuffled = names
      .map((name) => [random.next(), name] as const)
      .sort(([a], [b]) => a - b)
      .map(([, name]) => name);
    expect(shuffled.sort(byName)).toEqual(names);
  }
  expect(byName("1", "1")).toBe(0);
  expect(byName("a", "a")).toBe(0);
});
