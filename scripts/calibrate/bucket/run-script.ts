/** Runs one bucket script in both worlds, step by step, until they differ. */
import { messageOf } from "../../../src/errors.ts";
import { waitFor } from "../../shared/wait.ts";
import { compare, type Subject } from "../deviations.ts";
import type { Lane } from "../nats-lane.ts";
import { type BucketWorld, IN_FLIGHT, WATCHERS } from "./bucket-world.ts";
import { FakeBucketWorld } from "./fake-bucket-world.ts";
import { NatsBucketWorld } from "./nats-bucket-world.ts";
import type { Operation, Script, SentWrite, Step } from "./operations.ts";
import { Resolver } from "./resolve.ts";

/** Max-age of a bucket that has one. A script that takes longer than half of it proves nothing. */
export const MAX_AGE_MS = 1500;
const EVENTS_TIMEOUT_MS = 5000;

/** A step and its outcome, equal on server and fake. */
export interface RecordedStep {
  readonly step: Step;
  readonly lines: readonly string[];
  /** What each watcher has received by then. */
  readonly received: readonly (readonly string[])[];
}

export interface Mismatch {
  readonly step: Step;
  readonly fake: readonly string[];
  readonly server: readonly string[];
}

export interface ScriptOutcome {
  readonly answers: readonly RecordedStep[];
  readonly mismatch: Mismatch | null;
  /** Names of the declared deviations, once per occurrence. */
  readonly deviations: readonly string[];
  /** The script ended early because the machine was too slow for the max-age. Everything until then agreed. */
  readonly tooSlow: boolean;
}

/** At the end delayed requests arrive, every node reads, and a last message shows that no watcher received too many. */
const LAST: readonly Operation[] = [
  { do: "read", by: "a" },
  { do: "read", by: "b" },
  { do: "read", by: "c" },
  { do: "open", by: "b", above: 0 },
  { do: "force", what: "our-record" },
];

let runs = 0;

/** Runs the script on the server and on the fake in parallel. */
export async function runScript(lane: Lane, script: Script): Promise<ScriptOutcome> {
  const maxAgeMs = script.aging ? MAX_AGE_MS : 0;
  const fake = new FakeBucketWorld(lane.target, maxAgeMs);
  runs += 1;
  const server = await NatsBucketWorld.open(lane, `cal${process.pid}_${runs}`, maxAgeMs);
  try {
    return await sideBySide(lane.target, script, fake, server);
  } finally {
    await server.close();
    await fake.close();
  }
}

async function sideBySide(
  subject: Subject,
  script: Script,
  fake: FakeBucketWorld,
  server: NatsBucketWorld,
): Promise<ScriptOutcome> {
  const resolver = new Resolver(fake.bucket);
  const answers: RecordedStep[] = [];
  const deviations: string[] = [];
  const ended = (mismatch: Mismatch | null, tooSlow = false): ScriptOutcome => ({
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
    deviations.push(...explained, ...server.passedDeviations());
    const difference = await differentEvents(step, fake, server);
    if (difference !== null) return ended(difference);
    answers.push({ step, lines, received: WATCHERS.map((watcher) => [...fake.seen(watcher)]) });
  }
}

/** A closed connection would lose the delayed requests on it, so they arrive before it closes. */
function nextOf(operations: Operation[], fake: FakeBucketWorld, last: boolean): Operation | null {
  const next = operations[0];
  const breaks = next?.do === "offline" || next?.do === "restart";
  if (fake.pendingLate > 0 && (breaks || (next === undefined && !last))) return { do: "arrive" };
  return operations.shift() ?? null;
}

/**
 * Runs a step on the fake with the decisions that only the server makes: which writes it refused as in flight, and the order of
 * concurrent writes. The fake gets the other writes in an order that gives the same outcomes, if there is one.
 */
export async function runFake(
  subject: Subject,
  fake: FakeBucketWorld,
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

/** Compares what the watchers of both worlds have received, after waiting for the server's messages. */
async function differentEvents(step: Step, fake: BucketWorld, server: BucketWorld): Promise<Mismatch | null> {
  for (const watcher of WATCHERS) {
    const expected = fake.seen(watcher);
    const seen = server.seen(watcher);
    await waitFor(() => seen.length >= expected.length, {
      timeoutMs: EVENTS_TIMEOUT_MS,
      intervalMs: 1,
    }).catch(() => {});
    const common = seen.slice(0, expected.length);
    if (!same(common, expected))
      return { step, fake: received(watcher, expected), server: received(watcher, seen) };
  }
  return null;
}

function received(watcher: string, lines: readonly string[]): readonly string[] {
  return lines.map((line) => `${watcher} received: ${line}`);
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((line, index) => line === other[index]);
}

/** Replays a server's outcomes to another fake. Returns the first step at which that fake differs, or `null`. */
export async function contradicted(
  subject: Subject,
  answers: readonly RecordedStep[],
  fake: FakeBucketWorld,
): Promise<Step | null> {
  for (const { step, lines, received: events } of answers) {
    const expected = await runFake(subject, fake, step, lines);
    if (compare(subject, step, expected, lines) === null) return step;
    if (!WATCHERS.every((watcher, index) => same(fake.seen(watcher), events[index] ?? []))) return step;
  }
  return null;
}
