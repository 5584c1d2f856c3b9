/** One member process of a chaos run: a `Group`, whose work on each resource appends to its ledger, and records when it was held. */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { ClusterError } from "../../../src/errors.ts";
import { natsHeaders } from "../../../src/fencing.ts";
import { Group, type ResourceTerm } from "../../../src/group.ts";
import type { Logger } from "../../../src/log/logger.ts";
import { RETRY_MS, retried, STALL_MS, writerOptions } from "../../chaos/harness/child-side.ts";
import { hostClock } from "../../chaos/harness/host-clock.ts";
import { RecordingWriter } from "../../chaos/node/recording.ts";
import { Ledger } from "./ledger.ts";
import {
  GROUP_ID,
  type MemberCommand,
  type MemberReport,
  type MemberTask,
  RESOURCES,
  type ResourceState,
  shadowOf,
} from "./messages.ts";

const SAMPLE_EVERY_MS = 5;
const WRITE_EVERY_MS = 40;

const task = JSON.parse(process.argv[2] ?? "{}") as MemberTask;
const by = `${task.lane} ${task.processNumber}`;
const outcomes: Record<string, number> = {};
/** What the work of each resource does, and since when, in milliseconds of the host's clock. */
const doing = new Map<string, { readonly what: string; readonly sinceMs: number }>();
let group: Group | null = null;
/** Work does not end when its signal aborts. */
let hangs = false;
let turn = 0;
const { nowNs, stepNs } = hostClock(task.uptimeOffsetNs);

function send(report: MemberReport): void {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

function count(name: string): void {
  outcomes[name] = (outcomes[name] ?? 0) + 1;
}

function note(resource: string, what: string): void {
  if (doing.get(resource)?.what === what) return;
  doing.set(resource, { what, sinceMs: nowNs() / 1e6 });
  log("work", { resource }, what);
}

/** At once, for a process that is killed. */
function log(level: string, fields: object, message = ""): void {
  const line = JSON.stringify({ atMs: Math.round(nowNs() / 1e6), level, message, ...fields });
  appendFileSync(join(task.folder, `${task.lane}-${task.processNumber}.log`), `${line}\n`);
}

const logger: Logger = {
  debug: (fields, message) => log("debug", fields, message),
  info: (fields, message) => log("info", fields, message),
  warn: (fields, message) => log("warn", fields, message),
  error: (fields, message) => log("error", fields, message),
};

/** Which resources the member has, and what their work does. */
function states(): ResourceState[] {
  return RESOURCES.map((resource) => {
    const term = group?.term(resource) ?? null;
    const { what = "nothing", sinceMs = null } = doing.get(resource) ?? {};
    return {
      resource,
      epoch: term?.epoch ?? null,
      held: term?.held === true,
      doing: what,
      forMs: sinceMs === null ? null : nowNs() / 1e6 - sinceMs,
    };
  });
}

function failed(resource: string, error: unknown): void {
  count(error instanceof ClusterError ? error.code : "OTHER");
  note(resource, String(error));
}

const recordings = new Map(
  RESOURCES.map((resource) => {
    const name = `${resource}~${task.lane}-${task.processNumber}.held`;
    return [resource, new RecordingWriter(join(task.folder, name), task.lane, task.processNumber)];
  }),
);
const general = recordings.get(RESOURCES[0] ?? "");

let lastNs = nowNs();
function sample(): void {
  const beganNs = nowNs();
  if (beganNs - lastNs > STALL_MS * 1e6) general?.stall(lastNs, beganNs);
  lastNs = beganNs;
  for (const [resource, recording] of recordings) {
    const beforeNs = nowNs();
    const term = group?.term(resource) ?? null;
    if (term?.held !== true) recording.notHeld();
    else recording.held(term.incarnation, term.epoch, beforeNs, nowNs() + stepNs, turn);
  }
}

async function work(
  nats: NatsConnection,
  ledger: Ledger,
  term: ResourceTerm,
  signal: AbortSignal,
): Promise<void> {
  const { resource, epoch } = term;
  const shadow = jetstream(nats, { timeout: 1_000 });
  note(resource, "takes its ledger");
  const taken = await untilDone(term, signal, () => ledger.take(term, signal));
  while (taken !== null && (!signal.aborted || hangs)) {
    // Decided while it owned the resource, and sent a moment later: the fence has to refuse what is late.
    const isDecided = term.held;
    await pause(WRITE_EVERY_MS);
    if (!isDecided) continue;
    shadow.publish(shadowOf(resource), by, { headers: natsHeaders(epoch) }).catch(() => {});
    try {
      const n = await taken.append();
      count("written");
      note(resource, "writes");
      recordings.get(resource)?.event(`stored-${resource}-${n}`, nowNs());
      send({ wrote: { resource, epoch } });
    } catch (error) {
      failed(resource, error);
      if (error instanceof ClusterError && error.code === "STALE_EPOCH") return;
      await pause(RETRY_MS);
    }
  }
}

/** Repeats while the servers do not answer. `null`: the term has ended. */
async function untilDone<T>(
  { resource }: ResourceTerm,
  signal: AbortSignal,
  attempt: () => Promise<T>,
): Promise<T | null> {
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      failed(resource, error);
      if (error instanceof ClusterError && error.code === "STALE_EPOCH") return null;
      await pause(RETRY_MS);
    }
  }
  return null;
}

const warn = (warning: string): void => send({ warning });

async function run(): Promise<void> {
  const { memberId, urls, leaseTtlMs, crashDetection, silenceMs, replicas } = task;
  const nats = await retried(() => connect(writerOptions(urls)), warn);
  const ledgers = new Map<string, Ledger>();
  for (const resource of RESOURCES)
    ledgers.set(resource, await retried(() => Ledger.open(nats, resource, { by, replicas }), warn));
  const own = new Group({
    groupId: GROUP_ID,
    memberId,
    servers: [...urls],
    resources: [...RESOURCES],
    leaseTtlMs,
    crashDetection,
    silenceMs,
    settleMs: 500,
    drainTimeoutMs: 3_000,
    logger,
  });
  group = own;
  setInterval(() => {
    turn += 1;
    sample();
  }, SAMPLE_EVERY_MS);
  process.once("SIGTERM", () => {
    hangs = false;
    void own.stop().finally(() => process.exit(0));
  });
  void (async () => {
    for await (const event of own.events()) if (event.type === "warning") send({ warning: event.code });
  })();
  await retried(() => own.start(), warn);
  send({ started: true });
  await own.runOwned(async (term, { signal }) => {
    const ledger = ledgers.get(term.resource);
    if (ledger !== undefined) await work(nats, ledger, term, signal);
  });
}

function execute(command: MemberCommand): void {
  const report = (error: unknown): void => warn(String(error));
  switch (command.do) {
    case "begin":
      run().catch((error: unknown) => {
        process.stderr.write(`${String(error)}\n`);
        process.exit(1);
      });
      return;
    case "drain":
      group?.drain().catch(report);
      return;
    case "rejoin":
      group?.rejoin().catch(report);
      return;
    case "hang":
    case "unhang":
      hangs = command.do === "hang";
      return;
    case "stats":
      send({ stats: { outcomes, resources: states() } });
      return;
    default:
      command.do satisfies never;
  }
}

createInterface({ input: process.stdin })
  .on("line", (line) => execute(JSON.parse(line) as MemberCommand))
  .on("close", () => process.exit());
send({ booted: true });
