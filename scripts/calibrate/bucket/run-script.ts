/** One script in both worlds, step by step, until they disagree. */
import { messageOf } from "../../../src/errors.ts";
import { waitFor } from "../../shared/wait.ts";
import { compare, type Subject } from "../deviations.ts";
import type { Lane } from "../nats-lane.ts";
import { IN_FLIGHT, WATCHERS, type World } from "./bucket-world.ts";
import { FakeWorld } from "./fake-bucket-world.ts";
import { NatsWorld } from "./nats-bucket-world.ts";
import type { Operation, Script, SentWrite, Step } from "./operations.ts";
import { Resolver } from "./resolve.ts";

/** Of a bucket that has one. A script that is slower than half of it proves nothing. */
export const MAX_AGE_MS = 1500;
const EVENTS_TIMEOUT_MS = 5000;

/** What the server said to one step, and the fake too. */
export interface Answer {
  readonly step: Step;
  readonly lines: readonly string[];
  /** What each watcher had been told by then. */
  readonly told: readonly (readonly string[])[];
}

export interface Mismatch {
  readonly step: Step;
  readonly fake: readonly string[];
  readonly server: readonly string[];
}

export interface Outcome {
  readonly answers: readonly Answer[];
  readonly mismatch: Mismatch | null;
  /** Names of the declared deviations that were met, as often as they were. */
  readonly deviations: readonly string[];
  /** The machine was too slow for a bucket with max-age: what was compared up to there agreed. */
  readonly tooSlow: boolean;
}

/** At the end everything that is held up arrives, everybody reads, and a last message shows that none came too many. */
const LAST: readonly Operation[] = [
  { do: "read", by: "a" },
  { do: "read", by: "b" },
  { do: "read", by: "c" },
  { do: "open", by: "b", above: 0 },
  { do: "force", what: "our-record" },
];

let runs = 0;

/** Runs the script on the server and the fake side by side. */
export async function runScript(lane: Lane, script: Script): Promise<Outcome> {
  const maxAgeMs = script.aging ? MAX_AGE_MS : 0;
  const fake = new FakeWorld(lane.place, maxAgeMs);
  runs += 1;
  const server = await NatsWorld.open(lane, `cal${process.pid}_${runs}`, maxAgeMs);
  try {
    return await sideBySide(lane.place, script, fake, server);
  } finally {
    await server.close();
    await fake.close();
  }
}

async function sideBySide(
  subject: Subject,
  script: Script,
  fake: FakeWorld,
  server: NatsWorld,
): Promise<Outcome> {
  const resolver = new Resolver(fake.bucket);
  const answers: Answer[] = [];
  const deviations: string[] = [];
  const ended = (mismatch: Mismatch | null, tooSlow = false): Outcome => ({
    answers,
    mismatch,
    deviations,
    tooSlow,
  });
  let writtenAt = performance.now();
  const operations: Operation[] = [{ do: "open", by: "a", above: 0 }, ...script.operations];
  for (let last = false; ; ) {
    const operation = nextOf(operations, fake, last);
    if (operation === null) {
      if (last) return ended(null);
      last = true;
      operations.push(...LAST);
      continue;
    }
    const step = resolver.resolve(operation);
    const sequence = fake.bucket.snapshot().lastSequence;
    const began = performance.now();
    const lines = await server.run(step).catch((thrown: unknown) => [`threw: ${messageOf(thrown)}`]);
    const expected = await runFake(subject, fake, step, lines);
    if (fake.bucket.snapshot().lastSequence !== sequence) writtenAt = began;
    const mayExpire = script.aging && fake.bucket.entry !== null;
    if (mayExpire && performance.now() - writtenAt > MAX_AGE_MS / 2) return ended(null, true);
    const explained = compare(subject, step, expected, lines);
    if (explained === null) return ended({ step, fake: expected, server: lines });
    deviations.push(...explained, ...server.waitedOut());
    const unlike = await toldAlike(step, fake, server);
    if (unlike !== null) return ended(unlike);
    answers.push({ step, lines, told: WATCHERS.map((watcher) => [...fake.seen(watcher)]) });
  }
}

/** A connection that goes takes what is held up on it along: that arrives before. */
function nextOf(operations: Operation[], fake: FakeWorld, last: boolean): Operation | null {
  const next = operations[0];
  const breaks = next?.do === "offline" || next?.do === "restart";
  if (fake.pendingLate > 0 && (breaks || (next === undefined && !last))) return { do: "arrive" };
  return operations.shift() ?? null;
}

/**
 * What the server alone decides, the fake is told: which requests it refused unread, and who was first in a race. The fake
 * gets the others in an order in which they come to the same.
 */
export async function runFake(
  subject: Subject,
  fake: FakeWorld,
  step: Step,
  server: readonly string[],
): Promise<readonly string[]> {
  if (step.do !== "race" && step.do !== "pipeline") return fake.run(step);
  const writes = sentWrites(step);
  const at = (order: readonly number[]): SentWrite[] =>
    order.map((index) => writes[index]).filter((write) => write !== undefined);
  const fits = (order: readonly number[]): boolean => {
    const lines = fake.tried(at(order).map(({ write }) => write));
    const others = order.map((index) => server[index] ?? "");
    return compare(subject, step, lines, others) !== null;
  };
  const read = [...writes.keys()].filter((index) => server[index] !== IN_FLIGHT);
  const orders = step.do === "race" ? permutations(read) : [read];
  const order = orders.find(fits) ?? orders[0] ?? [];
  const lines = await fake.run({ do: "race", writes: at(order) });
  return [...writes.keys()].map((index) => lines[order.indexOf(index)] ?? "unknown");
}

function sentWrites(step: Extract<Step, { do: "race" | "pipeline" }>): readonly SentWrite[] {
  return step.do === "race" ? step.writes : step.writes.map((write) => ({ by: step.by, write }));
}

function permutations(items: readonly number[]): readonly (readonly number[])[] {
  if (items.length < 2) return [items];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}

/** The watchers of both worlds have been told the same. The server's are waited for. */
async function toldAlike(step: Step, fake: World, server: World): Promise<Mismatch | null> {
  for (const watcher of WATCHERS) {
    const expected = fake.seen(watcher);
    const seen = server.seen(watcher);
    await waitFor(() => seen.length >= expected.length, {
      timeoutMs: EVENTS_TIMEOUT_MS,
      intervalMs: 1,
    }).catch(() => {});
    const common = seen.slice(0, expected.length);
    if (!same(common, expected)) return { step, fake: told(watcher, expected), server: told(watcher, seen) };
  }
  return null;
}

function told(watcher: string, lines: readonly string[]): readonly string[] {
  return lines.map((line) => `${watcher} was told: ${line}`);
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((line, index) => line === other[index]);
}

/** Replays what a server said to another fake. The first step at which that fake says something else, or `null`. */
export async function contradicted(
  subject: Subject,
  answers: readonly Answer[],
  fake: FakeWorld,
): Promise<Step | null> {
  for (const { step, lines, told: heard } of answers) {
    const expected = await runFake(subject, fake, step, lines);
    if (compare(subject, step, expected, lines) === null) return step;
    if (!WATCHERS.every((watcher, index) => same(fake.seen(watcher), heard[index] ?? []))) return step;
  }
  return null;
}
