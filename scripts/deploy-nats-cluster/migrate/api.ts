/** JetStream's API by plain requests: nats.js has no snapshots. */
import { type NatsConnection, NoRespondersError, RequestError, TimeoutError } from "@nats-io/transport-node";
import { DeployError } from "../errors.ts";

export type Json = Readonly<Record<string, unknown>>;

const REQUEST_MS = 10_000;

/** The server said no. */
export class ApiRefusal extends DeployError {
  readonly code: number;

  constructor(subject: string, code: number, description: string) {
    super(`${subject}: ${description} (${code})`);
    this.code = code;
  }
}

/** Nobody has subscribed. */
export class Unheard extends DeployError {}

export function isUnheard(error: unknown): boolean {
  return error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders());
}

/** The JSON of the answer, `{}` for an empty one. */
export async function call(
  nats: NatsConnection,
  subject: string,
  payload: object | Uint8Array = new Uint8Array(),
  timeoutMs: number = REQUEST_MS,
): Promise<Json> {
  const body = payload instanceof Uint8Array ? payload : JSON.stringify(payload);
  const answer = await nats.request(subject, body, { timeout: timeoutMs }).catch((cause: unknown) => {
    const message = `${subject} at ${nats.getServer()}: ${reasonOf(cause)}`;
    throw isUnheard(cause) ? new Unheard(message, { cause }) : new DeployError(message, { cause });
  });
  if (answer.data.length === 0) return {};
  const json = answer.json<Json>();
  const error = objectOf(json["error"]);
  if ("code" in error) throw new ApiRefusal(subject, Number(error["err_code"]), String(error["description"]));
  return json;
}

function reasonOf(cause: unknown): string {
  if (isUnheard(cause)) return "nobody answers: JetStream is off there, or the user may not use it";
  if (cause instanceof TimeoutError) return "no answer in time";
  return cause instanceof Error ? cause.message : String(cause);
}

/** All pages of a list. */
export async function pages(nats: NatsConnection, subject: string, key: string): Promise<unknown[]> {
  const found: unknown[] = [];
  for (;;) {
    const page = await call(nats, subject, { offset: found.length });
    const items = page[key];
    if (!Array.isArray(items) || items.length === 0) return found;
    found.push(...items);
    if (found.length >= Number(page["total"])) return found;
  }
}

export async function streamNames(nats: NatsConnection): Promise<string[]> {
  const names = (await pages(nats, "$JS.API.STREAM.NAMES", "streams")) as string[];
  return names.sort();
}

export function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}
