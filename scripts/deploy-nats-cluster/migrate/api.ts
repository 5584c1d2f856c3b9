/** The JetStream API over plain requests: nats.js has no snapshots. */
import { type NatsConnection, NoRespondersError, RequestError, TimeoutError } from "@nats-io/transport-node";
import { DeployError } from "../errors.ts";

export type Json = Readonly<Record<string, unknown>>;

const REQUEST_MS = 10_000;

/** The server answered with an error. */
export class ApiRefusal extends DeployError {
  readonly code: number;

  constructor(subject: string, code: number, description: string) {
    super(`${subject}: ${description} (${code})`);
    this.code = code;
  }
}

/** No subscriber for the request's subject. */
export class NoResponders extends DeployError {}

function isNoResponders(error: unknown): boolean {
  return error instanceof NoRespondersError || (error instanceof RequestError && error.isNoResponders());
}

/** The JSON of the answer; `{}` for an empty answer. */
export async function call(
  nats: NatsConnection,
  subject: string,
  payload: object | Uint8Array = new Uint8Array(),
  timeoutMs: number = REQUEST_MS,
): Promise<Json> {
  const body = payload instanceof Uint8Array ? payload : JSON.stringify(payload);
  const answer = await nats.request(subject, body, { timeout: timeoutMs }).catch((cause: unknown) => {
    const message = `${subject} at ${nats.getServer()}: ${reasonOf(cause)}`;
    throw isNoResponders(cause) ? new NoResponders(message, { cause }) : new DeployError(message, { cause });
  });
  if (answer.data.length === 0) return {};
  const json = answer.json<Json>();
  const error = objectOf(json["error"]);
  if ("code" in error) throw new ApiRefusal(subject, Number(error["err_code"]), String(error["description"]));
  return json;
}

function reasonOf(cause: unknown): string {
  if (isNoResponders(cause)) return "no responders: JetStream is disabled there, or the user may not use it";
  if (cause instanceof TimeoutError) return "timed out waiting for the answer";
  return cause instanceof Error ? cause.message : String(cause);
}

/** While the servers elect the leader that answers, a request is dropped: a read is repeated once, and elections are shorter than that. */
function read(nats: NatsConnection, subject: string, payload: object): Promise<Json> {
  return call(nats, subject, payload).catch((error: unknown) => {
    if (error instanceof DeployError && error.cause instanceof TimeoutError)
      return call(nats, subject, payload);
    throw error;
  });
}

/** The items of all pages of a list. */
export async function pages(nats: NatsConnection, subject: string, key: string): Promise<unknown[]> {
  const found: unknown[] = [];
  for (let offset = 0; ; ) {
    const page = await read(nats, subject, { offset });
    const items = page[key];
    if (!Array.isArray(items)) return found;
    found.push(...items);
    // Of these no server has said anything in time; the offset counts them.
    const missing = Array.isArray(page["missing"]) ? page["missing"].length : 0;
    offset += items.length + missing;
    if (items.length + missing === 0 || offset >= Number(page["total"])) return found;
  }
}

export async function streamNames(nats: NatsConnection): Promise<string[]> {
  const names = (await pages(nats, "$JS.API.STREAM.NAMES", "streams")) as string[];
  return names.sort();
}

export function objectOf(value: unknown): Json {
  return typeof value === "object" && value !== null ? (value as Json) : {};
}
