/** One run of the bridge: producer, instances, commands, and the count at the end. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "./commands.ts";
import { COMMANDS } from "./commands.ts";
import type { BridgeConfig } from "./config.ts";
import { Count, type Verdict } from "./count.ts";
import type { Names } from "./names.ts";
import type { Producer } from "./producer.ts";
import type { Servers } from "./servers.ts";
import { openLedgerReader } from "./sink/ledger.ts";
import { openPostgresReader } from "./sink/postgres.ts";
import type { SinkReader } from "./sink/sink.ts";
import { lastOn, readAll } from "./streams.ts";
import type { Supervisor } from "./supervisor.ts";
import type { View } from "./view.ts";

export interface RunParts {
  readonly config: BridgeConfig;
  readonly names: Names;
  readonly servers: Servers;
  readonly producer: Producer;
  readonly supervisor: Supervisor;
  readonly view: View;
  /** Aborts on Ctrl-C, and when the output cannot be written. */
  readonly signal: AbortSignal;
}

/** Longest wait of a script for a state. */
const WAIT_MS = 60_000;
const POLL_MS = 100;
const PRODUCER_MS = 30_000;

/** @throws Error if the command cannot be carried out, or the reason of the signal. */
export async function execute(command: Exclude<Command, { type: "stop" }>, parts: RunParts): Promise<void> {
  const { supervisor, producer, servers, view, signal } = parts;
  switch (command.type) {
    case "scale":
      return supervisor.scale(command.count);
    case "kill":
      return supervisor.kill(command.number);
    case "freeze":
      return supervisor.freeze(command.number);
    case "thaw":
      return supervisor.thaw(command.number);
    case "slow":
      return supervisor.slow(command.on);
    case "poison":
      return producer.poison(command.count);
    case "duplicate":
      return view.note(`${producer.duplicate(command.count)} ticks are sent once more`);
    case "restart":
      return servers.restart(command.what);
    case "wait":
      return supervisor.until(command.for, { timeoutMs: WAIT_MS, signal });
    case "pause":
      await sleep(command.ms, undefined, { signal });
      return undefined;
    case "status":
      return view.status();
    case "help":
      for (const line of COMMANDS.split("\n")) view.note(line);
      return undefined;
    default:
      return command satisfies never;
  }
}

/** Stops the producer, waits until the backlog is stored, stops the instances, and counts. */
export async function finish(parts: RunParts): Promise<Verdict> {
  const { config, supervisor, producer, servers, names, view, signal } = parts;
  view.note("the producer stops");
  supervisor.thawAll(); // what a frozen instance still writes is to be refused before the count, not after it
  supervisor.slow(false);
  if (supervisor.wanted === 0) await supervisor.scale(1);
  await producer.stop(AbortSignal.any([signal, AbortSignal.timeout(PRODUCER_MS)]));
  const reader =
    servers.postgres === null
      ? openLedgerReader(servers.nats, names, config.partitions)
      : openPostgresReader(servers.postgres, names);
  try {
    const isDrained = await untilDrained(parts, reader);
    await supervisor.stop();
    view.note("all instances have stopped: counting");
    const verdict = await countAll(parts, reader);
    if (isDrained) return verdict;
    const problem = `the backlog was not stored within ${config.drainMs / 1000} s`;
    return { ...verdict, ok: false, problems: [problem, ...verdict.problems] };
  } finally {
    await reader.close();
  }
}

/** Whether the position of every partition has reached its last message. A server that is away for a moment is asked again. */
async function untilDrained(
  { config, names, servers, view, signal }: RunParts,
  reader: SinkReader,
): Promise<boolean> {
  const deadline = performance.now() + config.drainMs;
  for (let failures = 0; ; ) {
    try {
      const stored = new Map((await reader.positions()).map(({ partition, seq }) => [partition, seq]));
      const isStored = Array.from({ length: config.partitions }, async (_, partition) => {
        const last = await lastOn(servers.nats, names.ticks, `${names.subject}.${partition}.*`);
        return (last?.seq ?? 0) <= (stored.get(String(partition)) ?? 0);
      });
      if (!(await Promise.all(isStored)).includes(false)) return true;
    } catch (error) {
      failures += 1;
      if (failures === 1) view.note(`waiting for the backlog: ${(error as Error).message}`);
    }
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS, undefined, { signal });
  }
}

async function countAll({ names, servers, producer }: RunParts, reader: SinkReader): Promise<Verdict> {
  const count = new Count();
  const deadStream = servers.sink === "ledger" ? names.ledger : names.dead;
  for await (const { subject, seq, data } of readAll(servers.nats, names.ticks, `${names.subject}.>`))
    count.addMessage(subject.split(".")[1] ?? "", seq, data);
  for await (const tick of reader.stored()) count.addStored(tick);
  for await (const message of readAll(servers.nats, deadStream, `${names.deadSubject}.>`))
    count.addDead(Buffer.from(message.json<{ data: string }>().data));
  for (const position of await reader.positions()) count.addPosition(position);
  return count.verdict(producer.lasts);
}
