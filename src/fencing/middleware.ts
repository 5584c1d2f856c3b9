/** Wraps a receiver's handlers: a message of a deposed leader is answered with an error and does not reach the handler. */

import { headers, type Msg, type MsgHdrs } from "@nats-io/transport-node";
import { asError, ClusterError, type ClusterErrorCode } from "../errors.ts";
import { printable } from "../log/printable.ts";
import { redactText } from "../log/redact.ts";
import { parseObject } from "../nats/api/js-api.ts";
import { guarded } from "../nats/connection/connection-monitor.ts";
import { isToken } from "./compare.ts";
import type { Fence } from "./fence.ts";
import { foreignTerm, StaleEpochError } from "./stale.ts";
import { clusterIdFromNats, type NatsHeaders, tokenFromNats } from "./token.ts";

/** The status code of a refusal: HTTP's "conflict". */
export const STALE_STATUS = 409;
const FAILED_STATUS = 500;
/** Longest text of an error, in characters, in an answer that is sent or read. */
const MAX_TEXT = 1000;

/** The codes of a refusal other than `STALE_EPOCH`. An answer with another code is reported as `STORE_UNAVAILABLE`. */
const REFUSAL_CODES: ReadonlySet<unknown> = new Set<ClusterErrorCode>([
  "ABORTED",
  "AUTHORIZATION",
  "BUCKET_MISSING",
  "CONFLICT",
  "INSUFFICIENT_RESOURCES",
  "INVALID_CONFIG",
  "JETSTREAM_UNAVAILABLE",
  "NO_CONNECTION",
  "OUTCOME_UNKNOWN",
  "STOPPED",
  "STORE_UNAVAILABLE",
  "STREAM_INCOMPATIBLE",
  "TIMEOUT",
]);

function isRefusalCode(code: string): code is ClusterErrorCode {
  return REFUSAL_CODES.has(code);
}

/** The part of a message that the fence reads. Core messages, service requests and JetStream messages have it. */
export interface Fenceable {
  readonly subject: string;
  readonly headers?: NatsHeaders | undefined;
}

/** A request to an endpoint of a micro service. */
export interface FenceableRequest extends Fenceable {
  respondError(code: number, description: string, data?: Uint8Array): boolean;
}

export interface FencedOptions<M> {
  /**
   * Whose terms are admitted: `term.clusterId` of the sender. For the fence of a resource of a group this is `<groupId>/<resource>`. A message
   * from a term of another cluster or resource, or that names none, is refused with `INVALID_CONFIG` before the fence sees its
   * epoch. Epochs of two resources cannot be compared: without this option a message that is sent to the wrong resource can pass its
   * fence, or move it so far that the terms of that resource are refused.
   *
   * @default The epoch alone decides.
   */
  readonly clusterId?: string;
  /**
   * Called for every message that was not handled, after it was answered. `error.code` is `STALE_EPOCH` for a refused token,
   * `INVALID_CONFIG` for a message without a valid one, or from a term of another `clusterId`, `HOOK_FAILED` for a handler that threw, `ABORTED` if the subscription failed, else the reason why the fence could not decide.
   *
   * @default Refusals are not reported; a handler that throws is reported with `process.emitWarning`.
   */
  readonly onRefused?: (error: ClusterError, message: M) => void;
}

type Handler<M> = (message: M) => void | Promise<void>;
type Callback<M> = (error: Error | null, message: M) => void;

/**
 * A callback for `connection.subscribe(subject, { callback })`. Handlers start in the order in which the fence decides. A
 * refused request gets an answer for `throwIfRefused`; a message without a reply subject gets none.
 *
 * @param handler - Called with every message that passes the fence. If it throws, the request is answered with status 500 and the message of
 * what it threw, without secrets of a recognisable form.
 * @example
 * ```ts
 * const fence = new MemoryFence("the printer");
 * connection.subscribe("print", { callback: fencedCallback(fence, (message) => void message.respond("printed")) });
 * ```
 */
export function fencedCallback<M extends Msg>(
  fence: Fence,
  handler: Handler<M>,
  options: FencedOptions<M> = {},
): Callback<M> {
  return fenced(fence, handler, options, (message, error, status) => {
    message.respond(refusalBody(error), { headers: refusalHeaders(error, status) });
  });
}

/**
 * A handler for an endpoint of `@nats-io/services`. A refusal is a service error with status 409, which `throwIfRefused` reads.
 *
 * @param handler - Called with every request that passes the fence. If it throws, the request is answered with status 500.
 */
export function fencedEndpoint<M extends FenceableRequest>(
  fence: Fence,
  handler: Handler<M>,
  options: FencedOptions<M> = {},
): Callback<M> {
  return fenced(fence, handler, options, (message, error, status) => {
    message.respondError(status, publicText(error), refusalBody(error));
  });
}

/**
 * The messages that pass the fence, for subscriptions and JetStream consumers that are read by iteration. A refused message is
 * neither answered nor acknowledged: `onRefused` receives it and can `term()` it.
 *
 * @example
 * ```ts
 * const messages = await consumer.consume();
 * for await (const message of fencedMessages(fence, messages, { onRefused: (_, stale) => stale.term() })) {
 *   await handle(message);
 *   message.ack();
 * }
 * ```
 */
export async function* fencedMessages<M extends Fenceable>(
  fence: Fence,
  messages: AsyncIterable<M>,
  options: FencedOptions<M> = {},
): AsyncGenerator<M, void, void> {
  for await (const message of messages) {
    const error = await refusal(fence, message, options.clusterId);
    if (error === null) yield message;
    else report(error, message, options);
  }
}

/**
 * Throws if the answer is a refusal of a fenced receiver. Returns for every other answer, including status 500.
 *
 * @throws StaleEpochError with both tokens.
 * @throws ClusterError with the code of the reason why the fence could not decide, such as `STORE_UNAVAILABLE`.
 */
export function throwIfRefused(answer: Msg): void {
  const status = answer.headers?.get("Nats-Service-Error-Code") ?? "";
  if (status !== String(STALE_STATUS)) return;
  const body = parseObject(answer.data);
  const { code, message, token, newest } = body ?? {};
  const given = typeof message === "string" ? message : answer.headers?.get("Nats-Service-Error");
  const text = printable(given || "refused", MAX_TEXT);
  if (code === "STALE_EPOCH") {
    throw new StaleEpochError(text, {
      token: isToken(token) ? token : null,
      newest: isToken(newest) ? newest : null,
    });
  }
  if (typeof code !== "string") return;
  if (isRefusalCode(code))
    throw new ClusterError(code, text, { recoverable: body?.["recoverable"] === true });
  throw new ClusterError("STORE_UNAVAILABLE", `${text} (code ${printable(code, 50)})`, { recoverable: true });
}

function fenced<M extends Fenceable>(
  fence: Fence,
  handler: Handler<M>,
  options: FencedOptions<M>,
  answer: (message: M, error: ClusterError, status: number) => void,
): Callback<M> {
  const settle = (message: M, error: ClusterError, status: number): void => {
    guarded(() => answer(message, error, status)); // throws on a connection that was closed
    report(error, message, options);
  };
  return (failure, message) => {
    if (failure !== null) {
      report(new ClusterError("ABORTED", failure.message, { cause: failure }), message, options);
      return;
    }
    void (async () => {
      const error = await refusal(fence, message, options.clusterId);
      if (error !== null) return settle(message, error, STALE_STATUS);
      try {
        await handler(message);
      } catch (thrown) {
        // nats.js does not await callbacks: without this, a handler that throws would end the process.
        const text = `the handler of ${message.subject} failed: ${asError(thrown).message}`;
        settle(message, new ClusterError("HOOK_FAILED", text, { cause: thrown }), FAILED_STATUS);
      }
    })();
  };
}

/** An exception of `onRefused` becomes a process warning. */
function report<M>(error: ClusterError, message: M, { onRefused }: FencedOptions<M>): void {
  if (onRefused !== undefined) guarded(() => onRefused(error, message));
  else if (error.code === "HOOK_FAILED") process.emitWarning(error);
}

/** `null`: the message passes. */
async function refusal(
  fence: Fence,
  message: Fenceable,
  clusterId: string | undefined,
): Promise<ClusterError | null> {
  try {
    const sender = clusterId === undefined ? null : clusterIdFromNats(message.headers);
    if (clusterId !== undefined && sender !== clusterId) return foreignTerm(fence.name, clusterId, sender);
    await fence.admit(tokenFromNats(message.headers));
    return null;
  } catch (thrown) {
    if (thrown instanceof ClusterError) return thrown;
    return new ClusterError("STORE_UNAVAILABLE", asError(thrown).message, {
      cause: thrown,
      recoverable: true,
    });
  }
}

function refusalHeaders(error: ClusterError, status: number): MsgHdrs {
  const hdrs = headers();
  hdrs.set("Nats-Service-Error-Code", String(status));
  hdrs.set("Nats-Service-Error", publicText(error));
  return hdrs;
}

/** What a caller may read of an error: one line without secrets. */
function publicText(error: ClusterError): string {
  return printable(redactText(error.message).replaceAll(/[\r\n]+/g, " "), MAX_TEXT);
}

function refusalBody(error: ClusterError): Uint8Array {
  const tokens = error instanceof StaleEpochError ? { token: error.token, newest: error.newest } : {};
  const { code, recoverable } = error;
  return new TextEncoder().encode(
    JSON.stringify({ code, message: publicText(error), recoverable, ...tokens }),
  );
}
