/** Terms, servers, connections and stored messages for the tests of `src/fencing`. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { FenceTerm } from "../../../src/fencing.ts";
import {
  findNatsServer,
  type NatsServer,
  PINNED_NATS_VERSION,
  startNatsServer,
} from "../../../src/testing.ts";
import { atEnd } from "../at-end.ts";

/** Versions with fenced writes, oldest first; `OLD_VERSIONS` are refused. */
export const FENCING_VERSIONS: readonly string[] = ["2.11.17", "2.12.15", PINNED_NATS_VERSION];
export const OLD_VERSIONS: readonly string[] = ["2.9.10", "2.10.29"];

/** A server of this version, or the reason why there is none, for the name of a skipped test. */
export async function serverOf(
  version: string,
): Promise<{ readonly start: () => Promise<NatsServer> } | { readonly missing: string }> {
  try {
    await findNatsServer({ version });
    return { start: () => startNatsServer({ version }) };
  } catch (error) {
    return { missing: `SKIPPED, no nats-server ${version}: ${(error as Error).message.split("\n")[0]}` };
  }
}

export async function connection(
  server: { readonly url: string } | readonly string[],
): Promise<NatsConnection> {
  const servers = "url" in server ? [server.url] : [...server];
  const made = await connect({ servers, reconnectTimeWait: 20, maxReconnectAttempts: -1 });
  atEnd(() => made.close());
  return made;
}

/** A term of node a (epoch 1), b (2) and so on. */
export function termOf(epoch: number, incarnation = `inc-${epoch}`): FenceTerm {
  return { epoch, nodeId: String.fromCharCode(96 + epoch), incarnation };
}

/** A raw call of the JetStream API, as by an operator's tool. Rejects when the answer is an error. */
export async function api(
  on: NatsConnection,
  name: string,
  body: unknown = {},
): Promise<Record<string, unknown>> {
  const answer = await on.request(`$JS.API.${name}`, JSON.stringify(body), { timeout: 5000 });
  const json = answer.json<Record<string, unknown>>();
  if (json["error"] !== undefined) throw new Error(`${name}: ${JSON.stringify(json["error"])}`);
  return json;
}

/**
 * Deletes a stream, so that it can be created again at once. Another stream of the account stays: with its last stream the server
 * deletes the account's folder, after it has answered, and it refuses a stream that is created at that moment (10049).
 */
export async function deleteStream(on: NatsConnection, stream: string): Promise<void> {
  await api(on, "STREAM.CREATE.STAYS", { name: "STAYS", subjects: ["stays"] });
  await api(on, `STREAM.DELETE.${stream}`);
}

/** The stored messages of these subjects, in order, as "subject=data". */
export async function contents(
  on: NatsConnection,
  stream: string,
  matches: (subject: string) => boolean,
): Promise<string[]> {
  const { state } = (await api(on, `STREAM.INFO.${stream}`)) as {
    state: { first_seq: number; last_seq: number };
  };
  const found: string[] = [];
  // An empty stream has first_seq 0 or last_seq + 1.
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await messageAt(on, stream, seq);
    if (message === null || !matches(message.subject)) continue;
    found.push(`${message.subject}=${Buffer.from(message.data ?? "", "base64").toString()}`);
  }
  return found;
}

/** `null`: the message was removed. */
async function messageAt(
  on: NatsConnection,
  stream: string,
  seq: number,
): Promise<{ subject: string; data?: string } | null> {
  try {
    const answer = await api(on, `STREAM.MSG.GET.${stream}`, { seq });
    return answer["message"] as { subject: string; data?: string };
  } catch (error) {
    if (String(error).includes("10037")) return null;
    throw error;
  }
}
