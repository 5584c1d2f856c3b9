/**
 * Deletes the consumers that former owners of partitions have left on a stream. They do no harm, and the server removes them after their
 * `inactive_threshold`; but a stream may limit the number of its consumers. The list of names is read once for all resources that ask while
 * one request is under way: a member that takes over a thousand partitions reads it twice.
 */
import { callApi } from "../api/js-api.ts";
import { request } from "../api/request.ts";
import type { ConnectionMonitor } from "../connection/connection-monitor.ts";
import { isOfEarlierTerm } from "./consumer-name.ts";

const TIMEOUT_MS = 5_000;
/** Limit of one run: 100 pages of 1024 names. */
const MAX_PAGES = 100;
const EMPTY = new Uint8Array(0);

interface Wish {
  readonly prefix: string;
  readonly epoch: number;
}

interface Run {
  wishes: Wish[];
  isRunning: boolean;
}

/** By connection and domain, then by stream. */
const runs = new WeakMap<ConnectionMonitor, Map<string, Run>>();

/** Returns at once. What fails is left to the server. */
export function deleteSuperseded(monitor: ConnectionMonitor, stream: string, wish: Wish): void {
  const ofMonitor = runs.get(monitor) ?? new Map<string, Run>();
  runs.set(monitor, ofMonitor);
  const run = ofMonitor.get(stream) ?? { wishes: [], isRunning: false };
  ofMonitor.set(stream, run);
  run.wishes.push(wish);
  if (run.isRunning) return;
  run.isRunning = true;
  void runAll(monitor, stream, run).finally(() => ofMonitor.delete(stream));
}

async function runAll(monitor: ConnectionMonitor, stream: string, run: Run): Promise<void> {
  // A member begins its terms in one go: the first list is for all of them.
  await new Promise<void>((resolve) => setTimeout(resolve, 50).unref());
  while (run.wishes.length > 0) {
    const epochs = new Map<string, number>();
    for (const { prefix, epoch } of run.wishes.splice(0)) {
      epochs.set(prefix, Math.max(epoch, epochs.get(prefix) ?? 0));
    }
    for (const name of await namesOn(monitor, stream)) {
      const prefix = name.slice(0, name.lastIndexOf(":", name.lastIndexOf(":") - 1) + 1);
      const epoch = epochs.get(prefix);
      if (epoch === undefined || !isOfEarlierTerm(name, prefix, epoch)) continue;
      await deleteConsumer(monitor, stream, name);
    }
  }
}

async function namesOn(monitor: ConnectionMonitor, stream: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for (let page = 0; page < MAX_PAGES; page++) {
      const body = { offset: names.length };
      const answer = await callApi(monitor, `CONSUMER.NAMES.${stream}`, body, { timeoutMs: TIMEOUT_MS });
      const { consumers, total } = answer;
      if (!Array.isArray(consumers) || consumers.length === 0) break;
      names.push(...consumers.filter((one) => typeof one === "string"));
      if (typeof total !== "number" || names.length >= total) break;
    }
  } catch {
    // Without permission, or without an answer: the server removes them.
  }
  return names;
}

/** Never rejects: a consumer that is not deleted is removed by its `inactive_threshold`. */
export async function deleteConsumer(
  monitor: ConnectionMonitor,
  stream: string,
  name: string,
): Promise<void> {
  try {
    await request(monitor, `$JS.API.CONSUMER.DELETE.${stream}.${name}`, EMPTY, { timeoutMs: TIMEOUT_MS });
  } catch {
    // As above.
  }
}
