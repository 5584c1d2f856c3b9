/**
 * The cluster's micro service: go-cluster's three endpoints and two more, one instance per node.
 *
 * The metadata in `$SRV` INFO and STATS responses, and the `data` of each endpoint in STATS, are current. The metadata in a PING
 * response are those of the service's start, because `@nats-io/services` renders that response once.
 */
import { type Service, type ServiceHandler, type ServiceMsg, Svcm } from "@nats-io/services";
import type { NatsConnection } from "@nats-io/transport-node";
import { asError, ClusterError, messageOf } from "../../errors.ts";
import type { PeerStatus } from "../../runtime/backend.ts";
import { deferred } from "../../runtime/waiting.ts";
import { parseObject } from "../api/js-api.ts";
import { flushed, settledWithin } from "../connection/connection.ts";
import { ConnectionMonitor, guarded } from "../connection/connection-monitor.ts";
import { forServices } from "../connection/internals.ts";
import { isId } from "../identity.ts";
import {
  candidateSubject,
  competeSubject,
  newReplySubject,
  pingSubject,
  serviceName,
  statusSubject,
  stepdownSubject,
} from "../names.ts";
import { EndpointTally } from "./service-stats.ts";
import { INCARNATION_HEADER, idIn, TARGET_HEADER, TwinWatch } from "./twins.ts";

const STOP_TIMEOUT_MS = 500;

/** Response of the ping endpoint. */
export interface PingBody {
  readonly ok: true;
  /** Unix milliseconds of the node's wall clock. */
  readonly timestamp: number;
}

/** Response of the step-down and compete endpoints. */
export type StepdownBody = { readonly ok: true } | { readonly ok: false; readonly error: string };

/** The node behind the service. */
export interface ServiceCallbacks {
  status(): PeerStatus;
  /** Gives up leadership, to the node `to` if given. Rejects if this node does not lead. */
  stepDown(to: string | undefined): Promise<void>;
  /** Makes the node compete, or only follow. Without this callback there is no such endpoint. */
  compete?(competes: boolean): Promise<void>;
  /** Another process has this node id. `null`: one without incarnations. May be called repeatedly. */
  twin?(incarnation: string | null): void;
}

export interface ServiceOptions {
  readonly clusterId: string;
  readonly nodeId: string;
  /** Semantic version, which the micro protocol requires. */
  readonly version: string;
  /**
   * Whether the node serves the subjects under `control`. An observer does not: its user may not subscribe to them.
   * @default true
   */
  readonly control?: boolean;
  /** The service ended without `stop()`, for example because its connection was closed. The node continues. */
  readonly onEnded?: (error: Error | null) => void;
  /** Part of the service is missing: the user may not subscribe to one of its subjects. */
  readonly onWarning?: (message: string, error: Error) => void;
}

/** A running service. */
export interface ClusterService {
  /** Id of the instance in `$SRV`. */
  readonly id: string;
  readonly stopped: boolean;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** Starts the service. It has no queue groups: every node answers for itself. */
export async function startService(
  connection: NatsConnection,
  options: ServiceOptions,
  callbacks: ServiceCallbacks,
): Promise<ClusterService> {
  const { clusterId, version, onEnded } = options;
  const name = serviceName(clusterId);
  const monitor = ConnectionMonitor.acquire(connection);
  const closed = deferred<void>();
  const twins = watchTwins(connection, options, callbacks);
  const unlisten = monitor.listen((change) => {
    if (change.type === "closed") return closed.resolve();
    if (change.type === "up") twins?.ask();
    // The library does not report a denied subscription without a queue group.
    if (change.type !== "denied" || !isOurs(change.subject, name)) return;
    // Without this permission, a node does not look for others with its id. The service is complete.
    if (/Violation for Publish/i.test(change.error.message)) return;
    options.onWarning?.(`the micro service is incomplete: ${change.error.message}`, change.error);
  });
  const unwatch = (): void => {
    unlisten();
    twins?.close();
    monitor.release();
  };
  const services = new Svcm(forServices(connection, closed.promise));
  const tallies = new Map<string, EndpointTally>();
  let stopping = false;
  try {
    const service = await services.add({
      name,
      version,
      description: `Cluster coordination service for ${clusterId}`,
      queue: "",
      metadata: liveMetadata(options, callbacks),
      statsHandler: async (endpoint) => {
        tallies.get(endpoint.subject)?.show(endpoint);
        return callbacks.status();
      },
    });
    addEndpoints(service, options, callbacks, tallies);
    // The service must answer requests over other connections as soon as the node reports `started`.
    await flushed(connection);
    twins?.ask();
    void service.stopped.then((error) => {
      unwatch();
      if (!stopping) guarded(() => onEnded?.(error));
    });
    return {
      id: service.info().id,
      get stopped() {
        return service.isStopped;
      },
      async stop() {
        stopping = true;
        // The library drains its subscriptions, which never ends on a dead connection that is still considered up.
        await settledWithin(service.stop(), STOP_TIMEOUT_MS);
      },
    };
  } catch (thrown) {
    unwatch();
    throw new ClusterError(
      "NO_CONNECTION",
      `cannot start service ${serviceName(clusterId)}: ${messageOf(thrown)}`,
      {
        cause: thrown,
        recoverable: true,
      },
    );
  }
}

function watchTwins(
  connection: NatsConnection,
  { clusterId, nodeId }: ServiceOptions,
  callbacks: ServiceCallbacks,
): TwinWatch | null {
  const { incarnation } = callbacks.status();
  if (incarnation === undefined || callbacks.twin === undefined) return null;
  const onTwin = callbacks.twin.bind(callbacks);
  const reply = newReplySubject(clusterId, nodeId);
  return new TwinWatch(connection, statusSubject(clusterId, nodeId), reply, incarnation, onTwin);
}

/** Whether a subject belongs to this service: other services may share the connection. */
function isOurs(subject: string, name: string): boolean {
  const [first, , third] = subject.split(".");
  return first === name || (first === "$SRV" && (third === undefined || third === name));
}

function addEndpoints(
  service: Service,
  { clusterId, nodeId, control = true }: ServiceOptions,
  callbacks: ServiceCallbacks,
  tallies: Map<string, EndpointTally>,
): void {
  const endpoint = (name: string, subject: string, answer: Answer): void => {
    const tally = new EndpointTally();
    tallies.set(subject, tally);
    service.addEndpoint(name, { subject, queue: "", handler: handlerOf(answer, tally) });
  };
  endpoint("status", statusSubject(clusterId, nodeId), async (message) => {
    const status = callbacks.status();
    const asker = idIn(message.headers, INCARNATION_HEADER);
    if (asker !== null && asker !== status.incarnation) callbacks.twin?.(asker);
    return status;
  });
  endpoint(
    "ping",
    pingSubject(clusterId, nodeId),
    async () => ({ ok: true, timestamp: Date.now() }) satisfies PingBody,
  );
  if (!control) return;
  const request = (name: string, subject: string, answer: Answer): void =>
    endpoint(name, subject, async (message) =>
      isRequestOn(subject, message) && isMeant(message, callbacks) ? answer(message) : null,
    );
  request("candidate", candidateSubject(clusterId, nodeId), async () => callbacks.status());
  request("stepdown", stepdownSubject(clusterId, nodeId), (message) => stepdown(message, callbacks));
  const change = callbacks.compete?.bind(callbacks);
  if (change !== undefined) {
    request("compete", competeSubject(clusterId, nodeId), (message) => compete(message, change));
  }
}

/**
 * False for a message that a user without permission for the subject can cause to arrive on it, in a server's name:
 * - the response to a request of that user, whose reply subject is this one (no server checks it): it has no reply subject;
 * - what a consumer delivers whose deliver subject is this one: a message has the subject of the stream and a reply subject under
 *   `$JS`, an idle heartbeat no reply subject, a flow control message one under `$JS`.
 */
function isRequestOn(subject: string, { subject: sentTo, reply }: ServiceMsg): boolean {
  return sentTo === subject && reply !== undefined && reply !== "" && !reply.startsWith("$JS.");
}

/** `null`: not a request, or one for another process, which answers it. */
type Answer = (message: ServiceMsg) => Promise<object | null>;

function isMeant(message: ServiceMsg, callbacks: ServiceCallbacks): boolean {
  const target = idIn(message.headers, TARGET_HEADER);
  return target === null || target === callbacks.status().incarnation;
}

/** A rejection becomes an error response; the library would leave it unhandled. */
function handlerOf(answer: Answer, tally: EndpointTally): ServiceHandler {
  return (_error, message) => {
    const began = performance.now();
    void answer(message).then(
      (body) => {
        if (body === null) return;
        tally.count(began);
        respond(() => message.respond(JSON.stringify(body)));
      },
      (thrown: unknown) => {
        const error = oneLine(messageOf(thrown));
        tally.count(began, error);
        respond(() => message.respondError(500, error));
      },
    );
  };
}

/** The connection may have been closed before the response is ready. The requester then times out. */
function respond(send: () => void): void {
  try {
    send();
  } catch (thrown) {
    const error = asError(thrown);
    if (!/Connection/.test(error.name)) process.emitWarning(error);
  }
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}

async function stepdown(message: ServiceMsg, callbacks: ServiceCallbacks): Promise<StepdownBody> {
  try {
    await callbacks.stepDown(successorIn(message.data));
    return { ok: true };
  } catch (thrown) {
    return { ok: false, error: messageOf(thrown) };
  }
}

async function compete(
  message: ServiceMsg,
  change: (competes: boolean) => Promise<void>,
): Promise<StepdownBody> {
  try {
    const competes = parseObject(message.data)?.["competes"];
    if (typeof competes !== "boolean") throw new Error('the request is not {"competes":true} or false');
    await change(competes);
    return { ok: true };
  } catch (thrown) {
    return { ok: false, error: messageOf(thrown) };
  }
}

/** The successor in a step-down request; `undefined` for the empty body that go-cluster sends. */
function successorIn(data: Uint8Array): string | undefined {
  if (data.length === 0) return undefined;
  const body = parseObject(data);
  if (body === null) throw new Error('the request is not a JSON object such as {"to":"node-b"}');
  const { to } = body;
  if (to === undefined) return undefined;
  if (!isId(to)) throw new Error('"to" is not a node id');
  return to;
}

/** Getters: the library keeps this object and renders it for every INFO and STATS response. */
function liveMetadata(options: ServiceOptions, callbacks: ServiceCallbacks): Record<string, string> {
  const live = (read: (status: PeerStatus) => string | number): PropertyDescriptor => ({
    enumerable: true,
    get: () => String(read(callbacks.status())),
  });
  const metadata: Record<string, string> = {
    node: options.nodeId,
    cluster: options.clusterId,
    version: options.version,
  };
  return Object.defineProperties(metadata, {
    role: live((status) => status.role),
    epoch: live((status) => status.epoch),
    leader: live((status) => status.leader),
    incarnation: live((status) => status.incarnation ?? ""),
  });
}
