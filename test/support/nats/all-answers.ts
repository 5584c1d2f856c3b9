/** A request that several services answer, in this process or in others. */
import type { NatsConnection } from "@nats-io/transport-node";
import { requestMany } from "../../../src/nats/api/request-many.ts";

/** Time for which this process stands still does not count. */
const LIMITS = { timeoutMs: 10_000, stallMs: 100, most: 100 };

/** The answers, as JSON. */
export async function allAnswers<T = Record<string, unknown>>(
  connection: NatsConnection,
  subject: string,
): Promise<T[]> {
  const bodies = await requestMany(connection, subject, LIMITS);
  return bodies.map((body) => JSON.parse(new TextDecoder().decode(body)) as T);
}
