/**
 * The cluster's micro service: go-cluster's three endpoints, one instance per node.
 *
 * What `$SRV` tells of a node is live in INFO (metadata) and STATS (metadata and each endpoint's `data`). In PING it is
 * what was true when the service started: the library renders that answer once. Who needs the truth of the moment asks
 * the status endpoint.
 */

import { type Service, type ServiceHandler, type ServiceMsg, Svcm } from "@nats-io/services";
import type { NatsConnection } from "@nats-io/transport-node";
import { asError, ClusterError, messageOf } from "../../errors.ts";
import type { PeerStatus } from "../../runtime/backend.ts";
import { parseObject } from "../api/js-api.ts";
import { flushed, settledWithin } from "../connection/connection.ts";
import { ConnectionMonitor, guarded } from "../connection/connection-monitor.ts";
import { forServices } from "../connection/internals.ts";
import { competeSubject, pingSubject, serviceName, statusSubject, stepdownSubject } from "../names.ts";
import { EndpointTally } from "./service-stats.ts";

const STOP_TIMEOUT_MS = 500;

/** Body of the ping endpoint. */
export interface PingBody {
  readonly ok: true;
  /** Unix milliseconds. */
  readonly timestamp: number;
}

/** Body of the step-down endpoint. */
export type StepdownBody = { readonly ok: true } | { readonly ok: false; readonly error: string };

/** The node behind the service. */
export interface ServiceCallbacks {
  status(): PeerStatus;
  /** Gives up leadership, to `to` if given. Rejects when this node doesn't lead. */
  stepDown(to: string | undefined): Promise<void>;
  /** Competes or only follows from now on. Without it there is no such endpoint. */
  compete?(competes: boolean): Promise<void>;
}

export interface ServiceOptions {
  readonly clusterId: string;
  readonly nodeId: string;
  /** Semantic version, as the micro protocol demands. */
  readonly version: string;
  /** The service ended without being stopped, its connection was closed for one. The node goes on. */
  readonly onEnded?: (error: Error | null) => void;
  /** Part of the service can't be had: the user may not subscribe to one of its subjects. */
  readonly onWarning?: (message: string, error: Error) => void;
}

/** A running service. */
export interface ClusterService {
  /** The instance's id in `$SRV`. */
  readonly id: string;
  readonly stopped: boolean;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** Starts the service. Every node answers for itself: no queue group anywhere. */
export async function startService(
  connection: NatsConnection,
  options: ServiceOptions,
  callbacks: ServiceCallbacks,
): Promise<ClusterService> {
  const { clusterId, nodeId, version, onEnded } = options;
  const name = serviceName(clusterId);
  const monitor = ConnectionMonitor.acquire(connection);
  // The library itself doesn't hear of a subscription without queue group that is refused.
  const unlisten = monitor.listen((change) => {
    if (change.type !== "denied" || !isOurs(change.subject, name)) return;
    options.onWarning?.(`the micro service is incomplete: ${change.error.message}`, change.error);
  });
  const unwatch = (): void => {
    unlisten();
    monitor.release();
  };
  const services = new Svcm(forServices(connection));
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
    addEndpoints(service, clusterId, nodeId, callbacks, tallies);
    // Whoever was told that this node has started may ask it at once, over another connection.
    await flushed(connection);
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
        // It drains its subscriptions, which takes for ever on a connection that is silent but not known to be dead.
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

/** Subjects of this service; another service's troubles on a shared connection are not ours. */
function isOurs(subject: string, name: string): boolean {
  const [first, , third] = subject.split(".");
  return first === name || (first === "$SRV" && (third === undefined || third === name));
}

function addEndpoints(
  service: Service,
  clusterId: string,
  nodeId: string,
  callbacks: ServiceCallbacks,
  tallies: Map<string, EndpointTally>,
): void {
  const endpoint = (
    name: string,
    subject: string,
    answer: (message: ServiceMsg) => Promise<object>,
  ): void => {
    const tally = new EndpointTally();
    tallies.set(subject, tally);
    service.addEndpoint(name, { subject, queue: "", handler: handlerOf(answer, tally) });
  };
  endpoint("status", statusSubject(clusterId, nodeId), async () => callbacks.status());
  endpoint(
    "ping",
    pingSubject(clusterId, nodeId),
    async () => ({ ok: true, timestamp: Date.now() }) satisfies PingBody,
  );
  endpoint("stepdown", stepdownSubject(clusterId, nodeId), (message) => stepdown(message, callbacks));
  const change = callbacks.compete?.bind(callbacks);
  if (change !== undefined) {
    endpoint("compete", competeSubject(clusterId, nodeId), (message) => compete(message, change));
  }
}

/** A rejected handler would be an unhandled rejection; here it is an answer. */
function handlerOf(answer: (message: ServiceMsg) => Promise<object>, tally: EndpointTally): ServiceHandler {
  return (_error, message) => {
    const began = performance.now();
    void answer(message).then(
      (body) => {
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

/** The connection may be closed by the time the answer is ready. The asker's timeout says that as well. */
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

/** go-cluster sends no body. */
function successorIn(data: Uint8Array): string | undefined {
  if (data.length === 0) return undefined;
  const body = parseObject(data);
  if (body === null) throw new Error('the request is not a JSON object such as {"to":"node-b"}');
  const { to } = body;
  if (to === undefined) return undefined;
  if (typeof to !== "string" || !/^[A-Za-z0-9_-]+$/.test(to)) throw new Error('"to" is not a node id');
  return to;
}

/** Getters, because the library keeps this very object and renders it for every INFO and STATS. */
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
