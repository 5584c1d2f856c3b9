/** Helpers of the presence tests: the session in the record, inquiries about connections, attempts to write the lease. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { Frame } from "../../../scripts/shared/nats-frames.ts";
import { waitFor } from "../../../scripts/shared/wait.ts";
import {
  CONNECTIONS_PING,
  consumerDeletedAdvisory,
  leaseSubject,
  statusSubject,
  streamName,
} from "../../../src/nats/names.ts";
import type { NatsServer } from "../../../src/testing.ts";
import { atEnd } from "../at-end.ts";
import { PATIENCE_MS } from "../patience.ts";
import { Recorder } from "../recorder.ts";
import type { Operator } from "./operator.ts";

/** On these servers several writers can win one compare-and-set on a replicated stream. */
export const oldest: boolean = process.env["NATS_TEST_VERSION"]?.startsWith("2.9.") === true;

/** The holder's connection, as the record names it. */
export interface StoredSession {
  readonly server_id: string;
  readonly client_id: number;
  readonly presence?: string;
  readonly silence?: { readonly ms: number; readonly account: string };
}

export async function sessionIn(operator: Operator): Promise<StoredSession> {
  return (await operator.record())["session"] as StoredSession;
}

/** The presence that the record names, as soon as it names one other than `not`. */
export async function presenceIn(
  operator: Operator,
  not?: string,
  timeoutMs: number = PATIENCE_MS,
): Promise<string> {
  return waitFor(
    async () => {
      const { presence } = await sessionIn(operator);
      return presence !== not && presence;
    },
    { timeoutMs, message: `the record to name a presence other than ${not}` },
  );
}

/** Deletes a presence consumer by hand. `presence` is `<stream>.<consumer>`. */
export async function deletePresence(operator: Operator, presence: string): Promise<void> {
  await operator.api(`CONSUMER.DELETE.${presence}`);
}

/** Waits until the cluster's stream has that many consumers, and returns their names. */
export async function consumersLeft(operator: Operator, expected: number): Promise<readonly string[]> {
  await waitFor(async () => (await operator.consumers()).length === expected, {
    message: `${expected} consumers on ${streamName(operator.clusterId)}`,
  });
  return operator.consumers();
}

export function isQuestion(frame: Frame): boolean {
  return frame.verb === "PUB" && frame.subject === CONNECTIONS_PING && frame.text.includes('"state":0');
}

export function isLeaseWrite(clusterId: string): (frame: Frame) => boolean {
  return (frame) => frame.subject === leaseSubject(clusterId);
}

/** Records every inquiry about a connection (its client id) in this operator's account from now on. */
export async function hearQuestions(operator: Operator): Promise<Recorder<number>> {
  const questions = new Recorder<number>();
  operator.connection.subscribe(CONNECTIONS_PING, {
    callback: (error, message) => {
      if (error !== null) throw error;
      const { cid, state } = message.json<{ cid: number; state?: number }>();
      if (state === 0) questions.push(cid);
    },
  });
  await operator.connection.flush();
  return questions;
}

/** Records every attempt to write the lease from now on, including refused ones. */
export async function hearAttempts(operator: Operator): Promise<Recorder<unknown>> {
  const attempts = new Recorder<unknown>();
  operator.connection.subscribe(leaseSubject(operator.clusterId), {
    callback: (_error, message) => attempts.push(message.json()),
  });
  await operator.connection.flush();
  return attempts;
}

export async function statusOf(operator: Operator, nodeId: string): Promise<Record<string, unknown>> {
  const subject = statusSubject(operator.clusterId, nodeId);
  return (await operator.connection.request(subject, undefined, { timeout: 2000 })).json();
}

/** The current id of the server; it changes with every start. */
export async function serverIdOf(server: NatsServer): Promise<string> {
  const varz = await fetch(`${server.monitorUrl}/varz`, { headers: { connection: "close" } });
  return ((await varz.json()) as { server_id: string }).server_id;
}

/** Resolves when that many connections listen for the end of this presence. A node does so once it has read a record that names it. */
export async function watched(server: NatsServer, presence: string, connections = 1): Promise<void> {
  const subject = encodeURIComponent(consumerDeletedAdvisory(presence));
  const url = `${server.monitorUrl}/subsz?subs=1&test=${subject}`;
  await waitFor(
    async () => {
      const subsz = await fetch(url, { headers: { connection: "close" } });
      const { subscriptions_list: found = [] } = (await subsz.json()) as { subscriptions_list?: unknown[] };
      return found.length >= connections;
    },
    { message: `${connections} connections to listen for the end of ${presence}` },
  );
}

/** A connection as this library makes it, for nodes that share one. Closed at the end of the test. */
export async function sharedConnection(
  server: { readonly url: string },
  options: object = {},
): Promise<NatsConnection> {
  const connection = await connect({
    servers: server.url,
    pingInterval: 1000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 20,
    ...options,
  });
  atEnd(() => connection.close());
  return connection;
}
