/** What a change in a group's bucket costs the process that shows it, as counts, and that the page is what a whole read would show. */
import { expect, test } from "vitest";
import { balance } from "../../src/group/balance.ts";
import type { Authorship, GroupKey, GroupRecord } from "../../src/group/core/types.ts";
import type { GroupUpdate, StoredEntry } from "../../src/manager/group-client.ts";
import { groupView, groupViewSteps } from "../../src/manager/group-view.ts";
import { runSliced } from "../../src/manager/sliced-work.ts";
import { sorted } from "../../src/manager/slices.ts";
import { groupCard } from "../../src/ui/model/group.ts";
import { type GridChange, GroupModel } from "../../src/ui/model/group-model.ts";
import { LIMITS } from "../../src/ui/model/limits.ts";
import { GRID_CHUNK, type GridCell } from "../../src/ui/model/types.ts";
import { Board } from "../../src/ui/server/board.ts";
import { showGroup } from "../../src/ui/watch/show-group.ts";

const NOW = 1_000_000;

const author = (memberId: string): Authorship => ({
  memberId,
  incarnation: memberId,
  nonce: 1,
  generation: "c",
  above: 0,
});
const session = (memberId: string, number: number | null): GroupRecord => ({
  ...author(memberId),
  kind: "session",
  number,
  ttlMs: 10_000,
  weight: 1,
  draining: false,
  refused: [],
  listHash: "h",
});
const claim = (memberId: string, of: number): GroupRecord => ({
  ...author(memberId),
  kind: "claim",
  session: of,
});

/** A bucket, the model of it, and the board; every write is counted. */
class Bench {
  readonly board = new Board();
  readonly model = new GroupModel("g");
  readonly all = new Map<string, StoredEntry>();
  /** Indexes of the chunks that were made into JSON since the last look. */
  serialised: number[] = [];
  #revision = 0;
  #fresh = new Map<string, StoredEntry>();
  #whole = true;

  write(key: GroupKey, record: GroupRecord | null): number {
    const revision = ++this.#revision;
    const entry =
      record === null
        ? ({ kind: "deleted", key, revision } as const)
        : ({ kind: "record", key, revision, record } as const);
    const subject = JSON.stringify(key);
    for (const map of [this.all, this.#fresh]) map.set(subject, { entry, at: NOW + revision });
    return revision;
  }

  claim(resource: string, memberId: string, of: number): void {
    this.write({ kind: "owner", resource }, claim(memberId, of));
  }

  plan(memberId: string, owners: ReadonlyMap<string, string>, members: readonly string[]): void {
    const plan = balance.encode({ members, assignment: owners });
    if (plan === null) throw new Error("the plan is too large");
    this.write({ kind: "plan" }, { ...author(memberId), kind: "plan", coordinator: 1, plan });
  }

  content(): GroupUpdate {
    return { created: "c", entries: this.all, upTo: this.#revision, now: NOW + 60_000, whole: true };
  }

  /** Shows what was written since; returns the number of steps that it took. */
  show(): number {
    const update = { ...this.content(), entries: this.#fresh, whole: this.#whole };
    this.#fresh = new Map();
    this.#whole = false;
    let steps = 0;
    const taken = this.model.take(update);
    let grid: GridChange | null = null;
    for (let next = taken.next(); ; next = taken.next()) {
      steps += 1;
      if (next.done !== true) continue;
      grid = next.value;
      break;
    }
    this.serialised = [];
    const spied = {
      state: this.model.state,
      chunk: (index: number) => {
        this.serialised.push(index);
        return this.model.chunk(index);
      },
    };
    for (const _ of showGroup(this.board, spied, grid)) steps += 1;
    return steps;
  }

  cells(): GridCell[] {
    return this.board
      .since(null, "group/g")
      .set.flatMap(([key, json]) =>
        key.includes("/grid/") ? [[Number(key.split("/").at(-1)), JSON.parse(json)] as const] : [],
      )
      .sort(([a], [b]) => a - b)
      .flatMap(([, cells]) => cells as GridCell[]);
  }

  /** What is shown is what a page shows that has read the whole bucket now. */
  expectAsRead(): void {
    const read = new Bench();
    for (const [subject, stored] of this.all) read.all.set(subject, stored);
    read.#fresh = this.all;
    read.#revision = this.#revision;
    read.show();
    expect(this.cells()).toEqual(read.cells());
    // A page that was open before knows the colours of members that are gone.
    const cardOf = ({ state }: GroupModel): object => {
      const card = groupCard(state);
      return { ...card, members: card.members.map((one) => (one.state === "gone" ? one.id : one)) };
    };
    expect(cardOf(this.model)).toEqual(cardOf(read.model));
    // And what the command line shows.
    const steps = groupViewSteps("g", this.content());
    let count = 1;
    let seen = steps.next();
    for (; seen.done !== true; seen = steps.next()) count += 1;
    expect(count).toBeGreaterThan(this.all.size / GRID_CHUNK);
    expect(seen.value).toEqual(groupView("g", this.content()));
    const { resources, members, owned, moving, unowned, coordinator } = groupView("g", this.content());
    expect(this.cells().map(([name, state]) => [name, state])).toEqual(
      resources.map(({ resource, state }) => [resource, state]),
    );
    expect(this.model.state.view).toMatchObject({ members, owned, moving, unowned, coordinator });
  }
}

const names = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `resource-${String(index).padStart(5, "0")}`);

/** Two members; a plan that gives each resource to "a", which has claimed all of them. */
function claimed(count: number): { bench: Bench; a: number; b: number; resources: string[] } {
  const bench = new Bench();
  const resources = names(count);
  const a = bench.write({ kind: "session", memberId: "a" }, session("a", null));
  const b = bench.write({ kind: "session", memberId: "b" }, session("b", null));
  bench.write({ kind: "coordinator" }, claim("a", a));
  bench.plan("a", new Map(resources.map((name) => [name, "a"])), ["a", "b"]);
  for (const name of resources) bench.claim(name, "a", a);
  return { bench, a, b, resources };
}

test("of 10 000 resources, one that changes costs the JSON of one chunk; a renewal costs none", () => {
  const { bench, a, b, resources } = claimed(10_000);
  const steps = bench.show();
  expect(bench.serialised).toHaveLength(10_000 / GRID_CHUNK);
  // No step visits more than some hundred resources.
  expect(steps).toBeGreaterThan((3 * 10_000) / GRID_CHUNK);
  bench.claim(resources[4_321] ?? "", "b", b);
  expect(bench.show()).toBeLessThan(8);
  expect(bench.serialised).toEqual([Math.floor(4_321 / GRID_CHUNK)]);
  expect(bench.model.state.view).toMatchObject({ owned: 10_000, moving: 1, unowned: 0 });
  bench.write({ kind: "session", memberId: "a" }, session("a", a));
  expect(bench.show()).toBeLessThan(8);
  expect(bench.serialised).toEqual([]);
  bench.expectAsRead();
});

test("the end of a session changes what its member owned, and nothing else", () => {
  const { bench, b, resources } = claimed(1_000);
  for (const name of resources.slice(0, 3)) bench.claim(name, "b", b);
  bench.show();
  const end = { kind: "session-end", of: "b", number: b, reason: "closed" } as const;
  bench.write({ kind: "session", memberId: "b" }, { ...author("a"), ...end });
  bench.show();
  expect(bench.serialised).toEqual([0]);
  expect(bench.model.state.changes.slice(0, 2)).toMatchObject([
    { what: "session", change: "ended", member: "b", by: "a", count: 1 },
    { what: "resource", change: "lost", member: "b", reason: "closed", by: "a", count: 3 },
  ]);
  bench.expectAsRead();
});

test("another plan, a release, a deleted key and resources that come and go are shown as a whole read shows them", () => {
  const { bench, b, resources } = claimed(450);
  bench.show();
  const planned = [...resources.slice(0, 400), "aaa", "zzz"];
  bench.plan("a", new Map(planned.map((name, index) => [name, index % 2 === 0 ? "a" : "b"])), ["a", "b"]);
  bench.show();
  expect(bench.model.state.view).toMatchObject({ resources: 452, moving: 200, unowned: 2 });
  bench.expectAsRead();
  bench.claim("aaa", "b", b);
  bench.write(
    { kind: "owner", resource: resources[7] ?? "" },
    { ...author("a"), kind: "release", epoch: 12, successor: "b" },
  );
  bench.write({ kind: "owner", resource: resources[9] ?? "" }, null);
  bench.show();
  expect(bench.serialised).toEqual([0]);
  bench.expectAsRead();
  // They are in no plan and have no key any more only if the bucket is another one.
  bench.plan("a", new Map([["only", "a"]]), ["a"]);
  bench.show();
  bench.expectAsRead();
});

test("what a read contains does not replace a newer message, and another bucket replaces everything", () => {
  const { bench, b, resources } = claimed(3);
  bench.show();
  const old = new Map(bench.all);
  bench.claim(resources[0] ?? "", "b", b);
  bench.show();
  for (const _ of bench.model.take({ ...bench.content(), entries: old, whole: false }));
  expect(bench.model.state.view).toMatchObject({ moving: 1 });
  const taken = bench.model.take({ created: "d", entries: new Map(), upTo: 0, now: NOW, whole: true });
  let last = taken.next();
  while (last.done !== true) last = taken.next();
  expect(last.value).toEqual({ chunks: [], count: 0 });
  expect(bench.model.state).toMatchObject({ view: { resources: 0, members: [] }, changes: [] });
});

test("more resources than the grid shows are counted, and cost no cell", () => {
  const bench = new Bench();
  const a = bench.write({ kind: "session", memberId: "a" }, session("a", null));
  for (const name of names(LIMITS.resourcesPerGroup + 1)) bench.claim(name, "a", a);
  bench.show();
  expect(bench.serialised).toEqual([]);
  expect(groupCard(bench.model.state)).toMatchObject({
    owned: LIMITS.resourcesPerGroup + 1,
    gridLeftOut: expect.stringContaining("too many for the grid"),
  });
});

test("sorts as Array.sort() does, equal items in their order", () => {
  const items = Array.from({ length: 2_345 }, (_, index) => [(index * 7_919) % 100, index] as const);
  const steps = sorted(items, ([a], [b]) => a - b);
  let last = steps.next();
  while (last.done !== true) last = steps.next();
  expect(last.value).toEqual([...items].sort(([a], [b]) => a - b));
});

test("others run between two slices; the rest is nine times the work; what is over is not continued", async () => {
  const order: string[] = [];
  let over = false;
  function* work(): Generator<void, void> {
    for (let step = 0; step < 4; step += 1) {
      if (step === 3) over = true;
      order.push(`step ${step}`);
      // A slice ends after a step this long.
      for (const begun = performance.now(); performance.now() - begun < 5; );
      setImmediate(() => order.push(`others ${step}`));
      yield;
    }
    order.push("not reached");
  }
  const { restMs } = await runSliced(work(), () => over);
  await new Promise(setImmediate);
  expect(order).toEqual([
    "step 0",
    "others 0",
    "step 1",
    "others 1",
    "step 2",
    "others 2",
    "step 3",
    "others 3",
  ]);
  expect(restMs).toBeGreaterThanOrEqual(4 * 5 * 9);
});
