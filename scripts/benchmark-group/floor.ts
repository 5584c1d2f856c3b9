/** What the server alone takes for the claims of a takeover: bare clients with as many writes in flight. */
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { BenchChild } from "../../src/bench/child.ts";
import { hostNowMs } from "../../src/bench/messages.ts";
import { percentile } from "../../src/bench/stats.ts";
import { groupRepublish } from "../../src/nats/group/group-bucket.ts";
import { groupStreamName } from "../../src/nats/names.ts";
import { waitFor } from "../shared/wait.ts";
import { PROGRAM } from "./crew.ts";
import { FLOOR_ID, type GroupReport, type GroupTask } from "./messages.ts";

const RUNS = 5;
/** Claims of all members together in flight (src/group/nats-group-backend.ts). */
const WINDOW = 16;
const PATIENCE_MS = 60_000;

export interface FloorOptions {
  readonly servers: readonly string[];
  /** How many processes claim. */
  readonly claimers: number;
  /** How many keys all of them claim together. */
  readonly claims: number;
  readonly signal: AbortSignal;
}

export interface GroupFloor {
  /** Milliseconds from the command to the last ack, p50. */
  readonly ms: number;
  /** When the claimers claimed. */
  readonly spans: readonly { readonly from: number; readonly to: number }[];
}

export async function measureFloor(connection: NatsConnection, options: FloorOptions): Promise<GroupFloor> {
  const { servers, claimers, claims, signal } = options;
  const { src, dest } = groupRepublish(FLOOR_ID);
  const jsm = await jetstreamManager(connection);
  await jsm.streams.add({
    name: groupStreamName(FLOOR_ID),
    subjects: [src],
    max_msgs_per_subject: 1,
    republish: { src, dest },
  });
  const spans: { from: number; to: number }[] = [];
  let ready = 0;
  let claimed: number[] = [];
  const failures: string[] = [];
  const onReport = (message: unknown): void => {
    const report = message as GroupReport;
    if (report.type === "ready") ready += 1;
    else if (report.type === "claimed") claimed.push(report.at);
    else if (report.type === "failed") failures.push(report.message);
  };
  const children = Array.from({ length: claimers }, (_, index) => {
    const name = `claimer-${index}`;
    const share = Math.ceil(claims / claimers);
    const window = Math.max(1, Math.floor(WINDOW / claimers));
    const task: GroupTask = { role: "claimer", name, servers, claims: share, window };
    return new BenchChild(name, task, onReport, { program: PROGRAM });
  });
  const until = (condition: () => boolean, message: string): Promise<true> =>
    waitFor(
      () => {
        if (failures.length > 0) throw new Error(`the floor cannot be measured: ${failures.join("; ")}`);
        return condition();
      },
      { timeoutMs: PATIENCE_MS, message, signal },
    );
  try {
    await until(() => ready === claimers, "the claimers to start");
    for (let run = 0; run < RUNS; run += 1) {
      claimed = [];
      const start = hostNowMs();
      for (const child of children) child.send({ do: "claim" });
      await until(() => claimed.length === claimers, "the claims of the floor");
      spans.push({ from: start, to: Math.max(...claimed) });
    }
  } finally {
    await Promise.all(children.map((child) => child.end()));
    await jsm.streams.delete(groupStreamName(FLOOR_ID));
  }
  const samples = spans.map(({ from, to }) => to - from);
  return { ms: percentile(samples, 50), spans };
}
