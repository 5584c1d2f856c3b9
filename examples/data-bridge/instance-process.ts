/**
 * One instance of the bridge: a member of the group that owns its share of the partitions. Started by the starter, from whose stdin its
 * settings and orders come; when that ends, for any reason, the instance stops.
 */
import { Socket } from "node:net";
import { createInterface } from "node:readline";
import { Group } from "nats-leader/group";
import { prometheusMetrics } from "nats-leader/prometheus";
import { connectTo } from "./connect.ts";
import { serveHealth } from "./health.ts";
import { openLog } from "./log.ts";
import { Meters } from "./meters.ts";
import { namesOf } from "./names.ts";
import { bridgePartition } from "./partition.ts";
import type { Order, Report, Start } from "./report.ts";
import { openLedgerSink } from "./sink/ledger.ts";
import { openPostgresSink } from "./sink/postgres.ts";

const STATUS_MS = 250;

// Not process.stdout, which waits for its reader: an instance is not to stand still because the starter does (Ctrl-Z).
const out = new Socket({ fd: 1, readable: false });
out.on("error", () => process.exit(1)); // the starter has ended
const lines = createInterface({ input: process.stdin });
const input = lines[Symbol.asyncIterator]();
const first = await input.next();
if (first.done === true) process.exit(1);
const start = JSON.parse(first.value) as Start;

const { config, instance, number } = start;
const names = namesOf(config.stream);
const log = openLog(instance, number);
const meters = new Meters();
let slowMs = start.slowMs;
let isStopping = false;
const report = (line: Report): void => void out.write(`${JSON.stringify(line)}\n`);

// Also what the top level of this file throws.
process.on("uncaughtException", (error) => {
  log.error({ event: "failed", err: error }, error.message);
  out.end(`${JSON.stringify({ type: "failed", message: error.message } satisfies Report)}\n`, () =>
    process.exit(1),
  );
});

// A connection of its own for the group: beats and renewals do not queue behind ticks.
const group = new Group(
  {
    groupId: names.group,
    memberId: instance,
    servers: [...start.servers],
    ...config.login,
    resources: config.partitions,
    leaseTtlMs: config.leaseTtlMs,
    settleMs: config.settleMs,
    logger: log,
  },
  {
    onDisown: ({ resource, epoch }, reason) => report({ type: "lost", partition: resource, epoch, reason }),
  },
);

const stop = async (why: string): Promise<void> => {
  if (isStopping) return;
  isStopping = true;
  log.info({ event: "stopping" }, why);
  await group.stop(); // the batches at hand are stored, then the partitions are released
};
process.on("SIGINT", () => {}); // Ctrl-C is for the starter, which then stops its instances
process.on("SIGTERM", () => void stop("SIGTERM"));
void readOrders();

const nats = await connectTo(start.servers, config.login, `${instance} data`);
const sink =
  start.sink === "postgres" && start.postgres !== null
    ? openPostgresSink({ url: start.postgres, nats, names, instance })
    : openLedgerSink({ nats, names, instance });
const health = await serveHealth({
  instance,
  number,
  meters,
  member: prometheusMetrics(group),
  isConnected: () => group.connected,
  isStopping: () => isStopping,
});
if (!isStopping) await group.start();
report({ type: "ready", http: health.url });
const timer = setInterval(reportStatus, STATUS_MS);

await group.runOwned((term, { signal }) =>
  bridgePartition(term, signal, { config, names, nats, sink, meters, report, slowMs: () => slowMs }),
);

clearInterval(timer);
reportStatus();
health.close();
await sink.close();
await nats.close();
lines.close();
process.stdin.destroy();
out.end();

function reportStatus(): void {
  if (out.writableNeedDrain) return; // nothing piles up
  const partitions = [...meters.partitions].map(([partition, meter]) => {
    const { position, lag, paused } = meter;
    if (paused !== meter.wasPaused) {
      meter.wasPaused = paused;
      if (paused) meters.counters.pauses += 1;
      report({ type: paused ? "paused" : "resumed", partition });
    }
    return { partition, position, lag, paused };
  });
  report({ type: "status", connected: group.connected, counters: meters.counters, partitions });
}

async function readOrders(): Promise<void> {
  for (;;) {
    const { done, value } = await input.next();
    if (done === true) return stop("the starter has ended");
    const order = JSON.parse(value) as Order;
    if (order.type === "stop") void stop("asked to stop");
    else slowMs = order.ms;
  }
}
