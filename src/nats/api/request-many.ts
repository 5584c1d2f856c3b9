/**
 * A NATS request with any number of answers. The strategy `stall` of nats.js has no limit for the whole: answers that arrive one
 * after the other keep it waiting.
 */
import {
  errors,
  type Msg,
  type NatsConnection,
  type QueuedIterator,
  type Subscription,
} from "@nats-io/transport-node";
import { MAX_TIMER_MS } from "../../runtime/waiting.ts";
import { failsIfDenied } from "../connection/internals.ts";
import { classify, RequestFailure } from "./request.ts";

export interface ManyOptions {
  /** Limit for all answers together. */
  readonly timeoutMs: number;
  /**
   * After the first answer: when no other comes for this time, all have come. `Infinity`: wait for `timeoutMs`. A function is called
   * after each answer, with their number.
   */
  readonly stallMs: number | ((answers: number) => number);
  /** Where the answers are to arrive: a subject for this request alone. @default an inbox of the connection */
  readonly reply?: string;
}

/** A wait consists of this number of short ones. One that takes so many times its time does not count. */
const WAIT_STEPS = 8;
const STOOD_STILL = 2;

/** The bodies of the answers, as they arrive. Throws `RequestFailure`, also without responders. */
export async function* answersTo(
  connection: NatsConnection,
  subject: string,
  body: Uint8Array | string,
  { timeoutMs, stallMs, reply }: ManyOptions,
): AsyncGenerator<Uint8Array> {
  const maxWait = Math.min(Math.max(1, Math.ceil(timeoutMs)), MAX_TIMER_MS);
  const deadline = performance.now() + maxWait;
  let answers: AsyncIterable<Msg> | null = null;
  try {
    answers =
      reply === undefined
        ? await connection.requestMany(subject, body, { strategy: "timer", maxWait })
        : answersOn(connection, subject, body, reply);
    const iterator = answers[Symbol.asyncIterator]();
    for (let count = 0; ; count += 1) {
      if (performance.now() >= deadline) return;
      const afterOne = typeof stallMs === "number" ? stallMs : stallMs(count);
      const waitMs = count === 0 ? Number.POSITIVE_INFINITY : afterOne;
      const next = await within(iterator.next(), waitMs, deadline);
      if (next === null || next.done === true) return;
      if (isNoResponders(next.value)) throw new errors.NoRespondersError(subject);
      yield next.value.data;
    }
  } catch (thrown) {
    throw classify(subject, maxWait, thrown);
  } finally {
    if (reply !== undefined) (answers as Subscription | null)?.unsubscribe();
    // nats.js keeps the request until `maxWait` has passed; its further answers are dropped.
    else (answers as QueuedIterator<Msg> | null)?.stop();
  }
}

function answersOn(
  connection: NatsConnection,
  subject: string,
  body: Uint8Array | string,
  reply: string,
): Subscription {
  const answers = connection.subscribe(reply);
  failsIfDenied(answers, subject);
  connection.publish(subject, body, { reply });
  return answers;
}

function isNoResponders({ data, headers }: Msg): boolean {
  return data.length === 0 && headers?.code === 503;
}

/** The bodies of at most `most` answers, possibly none. Rejects with `RequestFailure` if the request was not sent. */
export async function requestMany(
  connection: NatsConnection,
  subject: string,
  options: ManyOptions & { readonly most: number },
): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  try {
    for await (const body of answersTo(connection, subject, "", options)) {
      found.push(body);
      if (found.length >= options.most) break;
    }
  } catch (thrown) {
    if (!(thrown instanceof RequestFailure) || thrown.kind !== "no-responders") throw thrown;
  }
  return found;
}

/**
 * `null` after `ms`, at `deadline` at the latest. Time for which this process stood still does not count: the answers of that time are
 * still in its socket, and answerers in this process have not seen the question.
 */
async function within<T>(promise: Promise<T>, ms: number, deadline: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  let turn: NodeJS.Immediate | undefined;
  const late = new Promise<null>((resolve) => {
    const wait = (steps: number): void => {
      const began = performance.now();
      const stepMs = Math.max(1, Math.min(ms / WAIT_STEPS, deadline - began));
      timer = setTimeout(() => {
        const now = performance.now();
        const left = now - began > STOOD_STILL * stepMs ? steps : steps - 1;
        if (left > 0 && now < deadline) wait(left);
        // The event loop polls the sockets before.
        else turn = setImmediate(() => resolve(null));
      }, stepMs);
    };
    wait(WAIT_STEPS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
    clearImmediate(turn);
  }
}
