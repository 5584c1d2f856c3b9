/** In front of a receiver's handlers: messages of deposed leaders are answered with an error and go no further. */

import { headers, type Msg, type MsgHdrs } from "@nats-io/transport-node";
import { asError, ClusterError, type ClusterErrorCode } from "../errors.ts";
import { parseObject } from "../nats/api/js-api.ts";
import { isToken } from "./compare.ts";
import type { Fence } from "./fence.ts";
import { StaleEpochError } from "./stale.ts";
import { type NatsHeaders, tokenFromNats } from "./token.ts";

/** The status code of a refused message, as HTTP has it for a conflict. */
export const STALE_STATUS = 409;
const FAILED_STATUS = 500;

/** What the fence looks at. A core message, a service request and a JetStream message all fit. */
export interface Fenceable {
  readonly subject: string;
  readonly headers?: NatsHeaders | undefined;
}

/** A request to a micro service's endpoint. */
export interface FenceableRequest extends Fenceable {
  respondError(code: number, description: string, data?: Uint8Array): boolean;
}

export interface FencedOptions<M> {
  /**
   * Told of every message that was refused, after its sender was answered, and of handlers that threw. `error.code` is
   * `STALE_EPOCH`, or what kept the fence from deciding. Default: nobody is told.
   */
  readonly onRefused?: (error: ClusterError, message: M) => void;
}

type Handler<M> = (message: M) => void | Promise<void>;
type Callback<M> = (error: Error | null, message: M) => void;

/**
 * A callback for `connection.subscribe(subject, { callback })`. Handlers start in the order in which the fence decides.
 * A refused request gets an answer that `throwIfRefused` understands; a message without a reply subject gets none.
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

/** A handler for an endpoint of `@nats-io/services`. Its own kind of error is the answer. */
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
 * The messages that pass. For subscriptions and JetStream consumers read by iteration; nothing is answered or
 * acknowledged: `onRefused` gets the message, so that a consumer can `term()` it.
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

/** Throws what a fenced receiver answered instead of a result: `STALE_EPOCH` with both tokens, or why it can't tell. */
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
      // Nobody awaits a callback: without this, a handler that throws would end the process.
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

/** `null`: it passes. */
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
