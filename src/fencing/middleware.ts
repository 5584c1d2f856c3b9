/** Wraps a receiver's handlers: a message of a deposed leader is answered with an error and does not reach the handler. */

import { headers, type Msg, type MsgHdrs } from "@nats-io/transport-node";
import { asError, ClusterError, type ClusterErrorCode } from "../errors.ts";
import { parseObject } from "../nats/api/js-api.ts";
import { isToken } from "./compare.ts";
import type { Fence } from "./fence.ts";
import { StaleEpochError } from "./stale.ts";
import { type NatsHeaders, tokenFromNats } from "./token.ts";

/** The status code of a refusal: HTTP's "conflict". */
export const STALE_STATUS = 409;
const FAILED_STATUS = 500;

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
   * Called for every message that was not handled, after it was answered. `error.code` is `STALE_EPOCH` for a refused token,
   * `HOOK_FAILED` for a handler that threw, `ABORTED` if the subscription failed, else the reason why the fence could not decide.
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
 * @param handler - Called with every message that passes the fence. If it throws, the request is answered with status 500.
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
  return guarded(fence, handler, options, (message, error, status) => {
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
  return guarded(fence, handler, options, (message, error, status) => {
    message.respondError(status, oneLine(error.message), refusalBody(error));
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
    const error = await refusal(fence, message);
    if (error === null) yield message;
    else options.onRefused?.(error, message);
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
  const text =
    typeof message === "string" ? message : (answer.headers?.get("Nats-Service-Error") ?? "refused");
  if (code === "STALE_EPOCH") {
    throw new StaleEpochError(text, {
      token: isToken(token) ? token : null,
      newest: isToken(newest) ? newest : null,
    });
  }
  if (typeof code !== "string") return;
  throw new ClusterError(code as ClusterErrorCode, text, { recoverable: body?.["recoverable"] === true });
}

function guarded<M extends Fenceable>(
  fence: Fence,
  handler: Handler<M>,
  options: FencedOptions<M>,
  answer: (message: M, error: ClusterError, status: number) => void,
): Callback<M> {
  return (failure, message) => {
    if (failure !== null) {
      options.onRefused?.(new ClusterError("ABORTED", failure.message, { cause: failure }), message);
      return;
    }
    void (async () => {
      const error = await refusal(fence, message);
      if (error !== null) {
        answer(message, error, STALE_STATUS);
        options.onRefused?.(error, message);
        return;
      }
      await handler(message);
    })().catch((thrown: unknown) => {
      // nats.js does not await callbacks: without this, a handler that throws would end the process.
      const error = new ClusterError(
        "HOOK_FAILED",
        `the handler of ${message.subject} failed: ${asError(thrown).message}`,
        {
          cause: thrown,
        },
      );
      answer(message, error, FAILED_STATUS);
      if (options.onRefused === undefined) process.emitWarning(error);
      else options.onRefused(error, message);
    });
  };
}

/** `null`: the message passes. */
async function refusal(fence: Fence, message: Fenceable): Promise<ClusterError | null> {
  try {
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
  hdrs.set("Nats-Service-Error", oneLine(error.message));
  return hdrs;
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, " ");
}

function refusalBody(error: ClusterError): Uint8Array {
  const tokens = error instanceof StaleEpochError ? { token: error.token, newest: error.newest } : {};
  const { code, message, recoverable } = error;
  return new TextEncoder().encode(JSON.stringify({ code, message, recoverable, ...tokens }));
}
