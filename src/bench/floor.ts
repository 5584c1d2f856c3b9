/**
 * What the server alone takes, measured in the same run: no election that works like this one can be faster than the
 * sum of these parts.
 */
import { setTimeout as pause } from "node:timers/promises";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { asError } from "../errors.ts";
import { callApi } from "../nats/api/js-api.ts";
import { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { type Deferred, deferred } from "../runtime/waiting.ts";
import { BenchChild } from "./child.ts";
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
   * From `kill -9` of a bare client to the arrival of its presence consumer's deletion advisory elsewhere. `null` in
   * modes in which nobody dies.
   */
  readonly advisory: Summary | null;
  /** One `$SYS.REQ.ACCOUNT.PING.CONNZ` until the server in question has answered. */
  readonly connz: Summary;
  /** One compare-and-set until its ack. */
  readonly cas: Summary;
  /** Compare-and-set, delivery of it to another connection, compare-and-set from there until its ack. */
  readonly handover: Summary;
  /** Medians of advisory + connz + cas: what a crash costs at least. */
  readonly killP50: number | null;
}

export interface FloorOptions {
  readonly servers: readonly string[];
  readonly replicas: number;
  /** Clients to kill. */
  readonly kills: number;
  readonly signal: AbortSignal;
}

export async function measureFloor(options: FloorOptions): Promise<Floor> {
  const connections: NatsConnection[] = [];
  const dial = async (): Promise<NatsConnection> => {
    const connection = await connect({ servers: [...options.servers], noAsyncTraces: true });
    connections.push(connection);
    return connection;
  };
  try {
    const [one, other] = [await dial(), await dial()];
    await callStreamApi(one, "CREATE", {
      name: STREAM,
      subjects: [`${STREAM}.>`],
      max_msgs_per_subject: 1,
      num_replicas: options.replicas,
      republish: { src: SUBJECT, dest: REPUBLISHED },
    });
    const cas = await repeat(options.signal, new CasChain(one));
    const handover = await repeat(options.signal, await Handover.between(one, other));
    const connz = await repeat(options.signal, { once: () => connzOnce(one) });
    const advisory = await advisories(one, options);
    await callStreamApi(one, "DELETE", {});
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

async function callStreamApi(
  connection: NatsConnection,
  call: "CREATE" | "DELETE",
  body: object,
): Promise<void> {
  const monitor = ConnectionMonitor.acquire(connection);
  try {
    await callApi(monitor, `STREAM.${call}.${STREAM}`, body, { timeoutMs: TIMEOUT_MS });
  } finally {
    monitor.release();
  }
}

interface Repeatable {
  once(): Promise<void>;
}

async function repeat(signal: AbortSignal, what: Repeatable): Promise<number[]> {
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

/** Writes against what was written last. */
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

/** Without an expectation at the first write (`last` < 0). Returns the new revision. */
async function casOn(connection: NatsConnection, last: number): Promise<number> {
  const expectation = headers();
  if (last >= 0) expectation.set("Nats-Expected-Last-Subject-Sequence", String(last));
  const answer = await connection.request(SUBJECT, "lease", { headers: expectation, timeout: TIMEOUT_MS });
  const { seq, error } = answer.json<{ seq?: number; error?: { description: string } }>();
  if (seq === undefined) throw new Error(`floor: ${error?.description ?? "no ack"}`);
  return seq;
}

/** One connection writes; the other, on hearing of it, writes against it. */
class Handover implements Repeatable {
  readonly #from: NatsConnection;
  #onDone: Deferred<void> | null = null;
  #last = -1;

  static async between(from: NatsConnection, to: NatsConnection): Promise<Handover> {
    const handover = new Handover(from, to);
    await to.flush(); // the server must know of the subscription before the first write on the other connection
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

/** Every server answers; the one that this connection is on counts. */
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

/** From just before the kill of a client until the news of it. */
async function advisoryOnce(
  connection: NatsConnection,
  { servers, signal }: FloorOptions,
  consumer: string,
): Promise<number> {
  const heard = deferred<number>();
  const ready = deferred<void>();
  heard.promise.catch(() => {});
  ready.promise.catch(() => {});
  const subscription = connection.subscribe(`$JS.EVENT.ADVISORY.CONSUMER.DELETED.${STREAM}.${consumer}`, {
    max: 1,
    callback: () => heard.resolve(hostNowMs()),
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
  const onAbort = (): void => ready.reject(asError(signal.reason));
  signal.addEventListener("abort", onAbort, { once: true });
  void child.exited.then(() => ready.reject(new Error(`the presence client has ended. ${child.stderr}`)));
  try {
    await ready.promise;
    // A process that has just started takes longer to die than the leaders do, which have run for a while.
    await pause(SETTLE_MS, undefined, { signal });
    const start = hostNowMs();
    child.signal("SIGKILL");
    const timer = setTimeout(() => heard.reject(new Error("floor: no advisory")), TIMEOUT_MS);
    try {
      return (await heard.promise) - start;
    } finally {
      clearTimeout(timer);
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    subscription.unsubscribe();
    await child.end();
  }
}
