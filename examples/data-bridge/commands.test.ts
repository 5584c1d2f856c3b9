import { expect, test } from "vitest";
import { parseCommand, parseScript } from "./commands.ts";
import { CHECK_SCRIPT } from "./config.ts";

test("a script is commands between semicolons and line ends", () => {
  expect(parseScript("scale 5; ;kill 2\n wait 3s;wait balanced; slow ON; poison; stop")).toEqual([
    { type: "scale", count: 5 },
    { type: "kill", number: 2 },
    { type: "pause", ms: 3000 },
    { type: "wait", for: "balanced" },
    { type: "slow", on: true },
    { type: "poison", count: 1 },
    { type: "stop" },
  ]);
});

test("the script of --check kills, freezes, thaws and scales", () => {
  const types = parseScript(CHECK_SCRIPT).map(({ type }) => type);
  for (const type of ["kill", "freeze", "thaw", "scale", "poison", "duplicate"])
    expect(types).toContain(type);
});

test.each([
  ["jump", /"jump": no such command/],
  ["scale", /scale needs a whole number from 0 to 64/],
  ["scale 65", /from 0 to 64/],
  ["scale -1", /from 0 to 64/],
  ["kill 0", /from 1 to 64/],
  ["kill 1.5", /whole number/],
  ["kill 1 2", /at most one argument/],
  ["slow", /slow needs on or off/],
  ["restart mysql", /restart needs nats or postgres/],
  ["wait long", /wait needs a time, such as 3s, or balanced/],
  ["stop now", /stop has no argument/],
])("%s is refused with its rule", (text, problem) => {
  expect(() => parseCommand(text)).toThrow(problem);
});
