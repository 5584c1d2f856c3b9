/** Lists of resources from a source that is an application's own: whatever it does, the member goes on and can be started again. */
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import type { ResourceSource } from "../../src/config/group-options.ts";
import { scriptedMember } from "../support/group/scripted-member.ts";

const forever = (): Promise<never> => new Promise<never>(() => {});

test("the end of a source is reported, and the member goes on with the last list", async () => {
  const member = scriptedMember(
    {},
    {
      resources: async function* () {
        yield ["a"];
        yield ["a", "b"];
      },
    },
  );
  const warnings: string[] = [];
  void (async () => {
    for await (const event of member.group.events())
      if (event.type === "warning") warnings.push(event.message);
  })();
  await member.group.start();
  await member.time.advance(100);
  expect(member.core.list).toEqual(["a", "b"]);
  expect(member.events).toContain("warning RESOURCES_FAILED");
  expect(warnings).toEqual([
    "the source of resources has failed; the member goes on with the last list: it has ended",
  ]);
  await member.group.stop();
});

test("a source that ends because the member stops is not reported", async () => {
  const ended: string[] = [];
  const source: ResourceSource = async function* (signal) {
    yield ["a"];
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    ended.push("ended");
  };
  const member = scriptedMember({}, { resources: source });
  await member.group.start();
  await member.group.stop();
  await turn();
  expect(ended).toEqual(["ended"]);
  expect(member.events).not.toContain("warning RESOURCES_FAILED");
});

test.each<[string, () => unknown]>([
  [
    "throws",
    () => {
      throw new Error("no end");
    },
  ],
  ["rejects", () => Promise.reject(new Error("no end"))],
  ["never returns", forever],
])("a source whose end %s does not keep the member from stopping and starting again", async (_, end) => {
  let lists = 0;
  const source = (() => ({
    [Symbol.asyncIterator]: () => ({
      next: () => (lists++ % 2 === 0 ? Promise.resolve({ done: false, value: ["a"] }) : forever()),
      return: end,
    }),
  })) as unknown as ResourceSource;
  const member = scriptedMember({}, { resources: source });
  for (let starts = 0; starts < 2; starts += 1) {
    lists = 0;
    await member.group.start();
    expect(member.core.list).toEqual(["a"]);
    await member.group.stop();
  }
  expect(member.closed).toBe(2);
});

test("of a source that never waits one list is taken in each turn of the event loop, and none when the member has stopped", async () => {
  let lists = 0;
  const source = (() => ({
    [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: [`r${lists++}`] }) }),
  })) as unknown as ResourceSource;
  const member = scriptedMember({}, { resources: source });
  await member.group.start();
  await turn();
  expect(lists).toBe(2);
  expect(member.core.list).toEqual(["r1"]);
  await member.group.stop();
  await member.time.advance(10);
  await turn();
  expect(lists).toBe(2);
});
