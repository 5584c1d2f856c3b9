/** Which writes in the register are stale. */
import { expect, test } from "vitest";
import { FENCE, REGISTER, SHADOW } from "../../scripts/chaos/node/messages.ts";
import { contentsOf } from "../../scripts/chaos/servers/register.ts";

const ROOT = `${FENCE}.0`;
const lane = (id: string, index: number): string => `${FENCE}.${id}.${index}`;

/** What the stream has: subject and epoch of each message, in order. */
function contents(...messages: readonly (readonly [string, number])[]) {
  const found = contentsOf(
    messages.map(([subject, epoch], index) => ({ subject, epoch, sequence: index + 1, atMs: 0, data: "" })),
  );
  const shown = (writes: typeof found.stale) =>
    writes.map(({ sequence, epoch, newest }) => `${sequence}: ${epoch} after ${newest}`);
  return { ...found, stale: shown(found.stale), shadowStale: shown(found.shadowStale) };
}

test("a write of an older term is stale once a newer term has written", () => {
  expect(
    contents([ROOT, 1], [REGISTER, 1], [SHADOW, 1], [ROOT, 2], [REGISTER, 2], [SHADOW, 1], [REGISTER, 1]),
  ).toEqual({
    fenced: 3,
    shadow: 2,
    takeOvers: 2,
    stale: ["7: 1 after 2"],
    shadowStale: ["6: 1 after 2"],
  });
});

test("a write of an older term is stale once all lanes have moved to a newer term, and not before", () => {
  const found = contents(
    [REGISTER, 1],
    [ROOT, 2],
    [lane("x", 0), 2],
    [REGISTER, 1], // on lane 1
    [lane("x", 1), 2],
    [REGISTER, 1],
  );
  expect(found.stale).toEqual(["6: 1 after 2"]);
});

test("lanes that an interrupted takeover has left behind are moved first: a write on the others is not stale", () => {
  const found = contents(
    [REGISTER, 1],
    [lane("left", 0), 2],
    [lane("left", 1), 2],
    [ROOT, 2],
    [REGISTER, 1],
    [SHADOW, 1],
    [lane("x", 0), 2],
    [lane("x", 1), 2],
    [SHADOW, 1],
    [REGISTER, 1],
  );
  expect(found).toMatchObject({ stale: ["10: 1 after 2"], shadowStale: ["9: 1 after 2"] });
});

test("an unfenced write proves nothing about the fence", () => {
  expect(contents([ROOT, 1], [SHADOW, 5], [REGISTER, 1])).toMatchObject({ stale: [], shadowStale: [] });
  expect(contents()).toMatchObject({ fenced: 0, shadow: 0, stale: [] });
});
