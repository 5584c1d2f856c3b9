/** A child process of the benchmark: a member, or the stranger. */
import { jetstream } from "@nats-io/jetstream";
import { readTask } from "../../src/bench/child-task.ts";
import { dial } from "../../src/bench/dial.ts";
import { type Command, hostNowMs } from "../../src/bench/messages.ts";
import { messageOf } from "../../src/errors.ts";
import { Group } from "../../src/group/group.ts";
import type { ResourceTerm } from "../../src/group/term.ts";
import { groupSubject } from "../../src/nats/names.ts";
import {
  type Change,
  FLOOR_ID,
  GROUP_ID,
  type GroupReport,
  type GroupTask,
  type Published,
  STRANGER_SUBJECT,
} from "./messages.ts";

/** Reports are put together for so long: sending them one by one would take more time than what is measured. */
const REPORT_EVERY_MS = 100;
const PAYLOAD = Buffer.alloc(64);
/** As large as a claim. */
const RECORD = Buffer.alloc(200, "x");

function report(message: GroupReport): Promise<void> {
  return new Promise((resolve) => {
    process.send?.(message, () => resolve());
  });
}

/** Collects what is added within `REPORT_EVERY_MS`, and sends it in one report. */
class Batch<T> {
  readonly #report: (items: readonly T[]) => Promise<void>;
  #items: T[] = [];
  #timer: NodeJS.Timeout | null = null;

  constructor(send: (items: readonly T[]) => Promise<void>) {
    this.#report = send;
  }

  add(item: T): void {
    this.#items.push(item);
    this.#timer ??= setTimeout(() => void this.flush(), REPORT_EVERY_MS);
  }

  async flush(): Promise<void> {
    clearTimeout(this.#timer ?? undefined);
    this.#timer = null;
    if (this.#items.length > 0) await this.#report(this.#items.splice(0));
  }
}

async function runMember(task: Extract<GroupTask, { role: "member" }>): Promise<void> {
  const batch = new Batch<Change>((changes) => report({ type: "changes", changes }));
  const { memberId, servers, resources, settleMs, crashDetection } = task;
  const terms = new Map<string, ResourceTerm>();
  const group = new Group(
    { groupId: GROUP_ID, memberId, servers, resources, settleMs, crashDetection, logger: false },
    {
      onOwn: (term) => {
        const { resource, epoch } = term;
        batch.add({ kind: "own", resource, epoch, at: hostNowMs() });
        terms.set(resource, term);
      },
      onDisown: ({ resource, epoch }, reason) => {
        batch.add({ kind: "disown", resource, epoch, at: hostNowMs(), reason });
        if (terms.get(resource)?.epoch === epoch) terms.delete(resource);
      },
    },
  );
  process.once("SIGTERM", () => {
    void group
      .stop()
      .then(() => batch.flush())
      .then(() => process.exit(0));
  });
  process.on("message", ({ do: what }: Command) => {
    if (what !== "cpu") return;
    const { user, system } = process.cpuUsage();
    void report({ type: "cpu", at: hostNowMs(), cpuMs: (user + system) / 1_000 });
  });
  if (task.watch) watch(terms);
  const startedAt = hostNowMs();
  await group.start();
  await report({ type: "ready", startedAt });
}

/** All terms of a member are held while its session is: one of them answers for all. */
function watch(terms: ReadonlyMap<string, ResourceTerm>): void {
  let lastHeld: number | null = null;
  setInterval(() => {
    const [term] = terms.values();
    const at = hostNowMs();
    if (term?.held === true) {
      if (lastHeld === null) void report({ type: "held", held: true, at });
      lastHeld = at;
    } else if (lastHeld !== null) {
      void report({ type: "held", held: false, at: lastHeld });
      lastHeld = null;
    }
  }, 1);
}

/** Publishes at a fixed rate, whether or not the answers come: a slow answer delays no later publish. */
async function runStranger({ servers, everyMs }: Extract<GroupTask, { role: "stranger" }>): Promise<void> {
  const startedAt = hostNowMs();
  const connection = await dial(servers, new AbortController().signal, { name: "stranger" });
  const js = jetstream(connection);
  const batch = new Batch<Published>((published) => report({ type: "published", published }));
  setInterval(() => {
    const at = hostNowMs();
    js.publish(STRANGER_SUBJECT, PAYLOAD).then(() => batch.add({ at, ms: hostNowMs() - at }), fail);
  }, everyMs);
  await report({ type: "ready", startedAt });
}

/** At `claim`: writes keys that no one has written, each by compare-and-set. */
async function runClaimer(task: Extract<GroupTask, { role: "claimer" }>): Promise<void> {
  const { name, servers, claims, window } = task;
  const startedAt = hostNowMs();
  const connection = await dial(servers, new AbortController().signal, { name });
  const js = jetstream(connection);
  let round = 0;
  const claimAll = async (): Promise<void> => {
    round += 1;
    let next = 0;
    const one = async (): Promise<void> => {
      for (let claim = next++; claim < claims; claim = next++) {
        const subject = groupSubject(FLOOR_ID, `owner.${name}.${round}.${claim}`);
        await js.publish(subject, RECORD, { expect: { lastSubjectSequence: 0 } });
      }
    };
    await Promise.all(Array.from({ length: window }, one));
    await report({ type: "claimed", at: hostNowMs() });
  };
  process.on("message", ({ do: what }: Command) => {
    if (what === "claim") void claimAll().catch(fail);
  });
  await report({ type: "ready", startedAt });
}

function fail(error: unknown): void {
  void report({ type: "failed", message: messageOf(error) }).then(() => process.exit(1));
}

const task = readTask<GroupTask>();
run(task).catch(fail);

function run(given: GroupTask): Promise<void> {
  switch (given.role) {
    case "member":
      return runMember(given);
    case "claimer":
      return runClaimer(given);
    case "stranger":
      return runStranger(given);
    default:
      return given satisfies never;
  }
}
