/**
 * The floor: how long the server alone takes for the steps of a failover, measured in the same run. No election that
 * consists of these steps can be faster than their sum.
 */
import { setTimeout as pause } from "node:timers/promises";
import { headers, type NatsConnection } from "@nats-io/transport-node";
import { asError } from "../errors.ts";
import { callApi } from "../nats/api/js-api.ts";
import { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { type Deferred, deferred, untilAborted } from "../runtime/waiting.ts";
import { BenchChild } from "./child.ts";
import { dial } from "./dial.ts";
import { hostNowMs } from "./messages.ts";
import { percentile, round, type Summary, summarize } from "./stats.ts";

const STREAM = "bench_floor";
const SUBJECT = `${STREAM}.lease`;
const REPUBLISHED = "bench_floor_republished";
const ROUND_TRIPS = 100;
const TIMEOUT_MS = 5_000;
const SETTLE_MS = 300;

/** Milliseconds. */
export interface Floor {
  /**
   * From `kill -9` of a bare client to the arrival, on another connection, of the advisory that its presence consumer was
   * deleted. `null` in modes without a crash.
   */
  readonly advisory: Summary | null;
  /** From one `$SYS.REQ.ACCOUNT.PING.CONNZ` request to the answer of the server that holds the connection. */
  readonly connz: Summary;
  /** One compare-and-set, to its ack. */
  readonly cas: Summary;
  /** One compare-and-set, its delivery to a second connection, and a compare-and-set from there, to its ack. */
  readonly handover: Summary;
  /** Sum of the medians of `advisory`, `connz` and `cas`: the minimum for a crash. `null` without `advisory`. */
  readonly killP50: number | null;
  /**
   * SIGKILL of a leader to the next one's first instruction, for a takeover written by hand on nats.js (`script.ts`), with as many
   * processes: what remains above `killP50` is the price of a process that does each step once. `null` in modes other than `kill`.
   */
  readonly scriptKill: Summary | null;
}

export interface FloorOptions {
  readonly servers: readonly string[];
  readonly replicas: number;
  /** Number of bare clients to kill. */
  readonly kills: number;
  readonly signal: AbortSignal;
}

/** All but `scriptKill`. */
export async function measureFloor(options: FloorOptions): Promise<Omit<Floor, "scriptKill">> {
  const connections: NatsConnection[] = [];
  const open = async (): Promise<NatsConnection> => {
    const connection = await dial(options.servers, options.signal);
    connections.push(connection);
    return connection;
  };
  try {
    const [one, other] = [await open(), await open()];
    const { signal } = options;
    await callStreamApi(one, signal, `CREATE.${STREAM}`, {
      name: STREAM,
      subjects: [`${STREAM}.>`],
      max_msgs_per_subject: 1,
      num_replicas: options.replicas,
      republish: { src: SUBJECT, dest: REPUBLISHED },
    });
    const cas = await repeat(signal, new CasChain(one));
    const handover = await repeat(signal, await Handover.between(one, other));
    const connz = await repeat(signal, { once: () => connzOnce(one) });
    const advisory = await advisories(one, options);
    await callStreamApi(one, signal, `DELETE.${STREAM}`, {});
    const dead = advisory.length > 0;
    const p50 = percentile(advisory, 50) + percentile(connz, 50) + percentile(cas, 50);
    return {
      advisory: dead ? summarize(advisory) : null,
      connz: summarize(connz),
      cas: summarize(cas),
      handover: summarize(handover),
      killP50: dead ? round(p50) : null,
    };
  } finally {
    await Promise.all(connections.map((connection) => connection.close()));
  }
}

/** `call`: such as `CREATE.<stream>`. */
export async function callStreamApi(
  connection: NatsConnection,
  signal: AbortSignal,
  call: string,
  body: object,
): Promise<void> {
  const monitor = ConnectionMonitor.acquire(connection);
  try {
    const answer = callApi(monitor, `STREAM.${call}`, body, { timeoutMs: TIMEOUT_MS });
    await untilAborted(answer, signal);
  } finally {
    monitor.release();
  }
}

interface Repeatable {
  once(): Promise<void>;
}

function repeat(signal: AbortSignal, what: Repeatable): Promise<number[]> {
  return untilAborted(repeated(signal, what), signal);
}

async function repeated(signal: AbortSignal, what: Repeatable): Promise<number[]> {
  for (let warmUp = 0; warmUp < 10; warmUp++) await what.once();
  const samples: number[] = [];
  for (let count = 0; count < ROUND_TRIPS; count++) {
    signal.throwIfAborted();
    const start = hostNowMs();
    await what.once();
    samples.push(hostNowMs() - start);
  }
  return samples;
}

/** Writes against the revision of its previous write. */
class CasChain implements Repeatable {
  readonly #connection: NatsConnection;
  #last = -1;

  constructor(connection: NatsConnection) {
    this.#connection = connection;
  }

  async once(): Promise<void> {
    this.#last = await casOn(this.#connection, this.#last);
  }
}

/** Returns the new revision. The first write (`last` < 0) has no expectation. */
async function casOn(connection: NatsConnection, last: number): Promise<number> {
  const expectation = headers();
  if (last >= 0) expectation.set("Nats-Expected-Last-Subject-Sequence", String(last));
  const answer = await connection.request(SUBJECT, "lease", { headers: expectation, timeout: TIMEOUT_MS });
  const { seq, error } = answer.json<{ seq?: number; error?: { description: string } }>();
  if (seq === undefined) throw new Error(`floor: ${error?.description ?? "no ack"}`);
  return seq;
}

/** One connection writes; the other writes against that revision as soon as it receives it. */
class Handover implements Repeatable {
  readonly #from: NatsConnection;
  #onDone: Deferred<void> | null = null;
  #last = -1;

  static async between(from: NatsConnection, to: NatsConnection): Promise<Handover> {
    const handover = new Handover(from, to);
    await to.flush(); // the server must have the subscription before the first write on the other connection
    return handover;
  }

  private constructor(from: NatsConnection, to: NatsConnection) {
    this.#from = from;
    to.subscribe(REPUBLISHED, {
      callback: (_error, message) => {
        const done = this.#onDone;
        if (done === null) return;
        this.#onDone = null;
        casOn(to, Number(message.headers?.get("Nats-Sequence"))).then(
          (revision) => {
            this.#last = revision;
            done.resolve();
          },
          (error: unknown) => done.reject(asError(error)),
        );
      },
    });
  }

  async once(): Promise<void> {
    const done = deferred<void>();
    const timer = setTimeout(() => done.reject(new Error("floor: a write was not delivered")), TIMEOUT_MS);
    this.#onDone = done;
    try {
      await Promise.all([casOn(this.#from, this.#last), done.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Every server answers; only the answer of this connection's own server ends the measurement. */
async function connzOnce(connection: NatsConnection): Promise<void> {
  const body = JSON.stringify({ cid: connection.info?.client_id, state: 0 });
  const answers = await connection.requestMany("$SYS.REQ.ACCOUNT.PING.CONNZ", body, {
    maxWait: TIMEOUT_MS,
    strategy: "timer",
  });
  for await (const answer of answers) {
    const { server } = answer.json<{ server?: { id?: string } }>();
    if (server?.id === connection.info?.server_id) return;
  }
  throw new Error("floor: no answer to CONNZ");
}

async function advisories(connection: NatsConnection, options: FloorOptions): Promise<number[]> {
  const samples: number[] = [];
  for (let count = 0; count < options.kills; count++) {
    options.signal.throwIfAborted();
    samples.push(await advisoryOnce(connection, options, `presence_${count}`));
  }
  return samples;
}

/** From just before the kill of a client to the arrival of the advisory. */
async function advisoryOnce(
  connection: NatsConnection,
  { servers, signal }: FloorOptions,
  consumer: string,
): Promise<number> {
  const received = deferred<number>();
  const ready = deferred<void>();
  received.promise.catch(() => {});
  ready.promise.catch(() => {});
  const subscription = connection.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.DELETED.${STREAM}.${consumer}`, {
    max: 1,
    callback: () => received.resolve(hostNowMs()),
  });
  await connection.flush();
  const child = new BenchChild(
    consumer,
    { role: "presence", servers, stream: STREAM, consumer },
    (report) => {
      if (report.type === "ready") ready.resolve();
      if (report.type === "failed") ready.reject(new Error(report.message));
    },
  );
  void child.exited.then(() =>
    ready.reject(new Error(`floor: the presence client exited; stderr: ${child.stderr}`)),
  );
  try {
    await untilAborted(ready.promise, signal);
    // A process that has just started takes longer to exit than one that has run for a while, as the leaders have.
    await pause(SETTLE_MS, undefined, { signal });
    const start = hostNowMs();
    child.signal("SIGKILL");
    const timer = setTimeout(() => received.reject(new Error("floor: no advisory")), TIMEOUT_MS);
    try {
      return (await untilAborted(received.promise, signal)) - start;
    } finally {
      clearTimeout(timer);
    }
  } finally {
    subscription.unsubscribe();
    await child.end();
  }
}
