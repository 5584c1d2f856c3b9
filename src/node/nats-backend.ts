/** The backend of a node on NATS: connection, session, lease store and micro service. */
import type { ResolvedOptions } from "../config/resolve.ts";
import { asError } from "../errors.ts";
import { request } from "../nats/api/request.ts";
import { closeAll, openPatiently, sessionOn } from "../nats/attaching.ts";
import { connectNats, type NatsLink } from "../nats/connection/connection.ts";
import type { ConnectionMonitor } from "../nats/connection/connection-monitor.ts";
import { NatsLeaseStore } from "../nats/lease/lease-store.ts";
import { candidateSubject, newReplySubject, serviceName, statusSubject, streamName } from "../nats/names.ts";
import type { NatsSession } from "../nats/presence/session.ts";
import { startService } from "../nats/service/service.ts";
import { decodeStatus } from "../nats/service/status-codec.ts";
import { choose, statusesOf } from "../nats/service/twins.ts";
import type { Attachment, AttachRequest, Backend, PeerStatus } from "../runtime/backend.ts";
import type { BucketInfo } from "../runtime/ports.ts";
import { rehearse } from "./rehearsal.ts";

/** @param whileConnecting - Called for a node that competes, after the connection has been asked for. */
export function natsBackend(
  options: ResolvedOptions,
  whileConnecting: (options: ResolvedOptions) => unknown = rehearse,
): Backend {
  return { attach: (request) => attach(options, request, whileConnecting) };
}

async function attach(
  options: ResolvedOptions,
  request: AttachRequest,
  whileConnecting: (options: ResolvedOptions) => unknown,
): Promise<Attachment> {
  const { clusterId, nodeId } = options;
  const connecting = connectNats(options.nats, { clusterId, nodeId, signal: request.signal });
  // Costs no time: nothing can be done before the connection is there.
  if (!options.observer) whileConnecting(options);
  const link = await connecting;
  const session = sessionOn(link, options.nats.domain, "node", request.warn);
  const store = new NatsLeaseStore(session.monitor, {
    clusterId,
    leaseTtlMs: options.leaseTtlMs,
    replicas: options.replicas,
    interop: options.interop ?? "native",
    onWarning: (message, error) => request.warn("BUCKET", message, error),
  });
  const close = (): Promise<void> => closeAll(store, session, link);
  try {
    const bucket = await openPatiently(
      () => store.open(request.signal, request.rememberedEpoch),
      request.signal,
    );
    // Before the first campaign, so that the first record already names the presence and promises silence.
    if (options.crashDetection === "presence" && !options.observer)
      await session.usePresence(streamName(clusterId));
    if (request.silenceMs > 0) await session.useBeats(request.silenceMs);
    return attachment(options, { link, session, store, bucket, close, warn: request.warn });
  } catch (error) {
    await close();
    throw error;
  }
}

interface Parts {
  readonly link: NatsLink;
  readonly session: NatsSession;
  readonly store: NatsLeaseStore;
  readonly bucket: BucketInfo;
  readonly close: () => Promise<void>;
  readonly warn: AttachRequest["warn"];
}

function attachment(options: ResolvedOptions, parts: Parts): Attachment {
  const { clusterId, nodeId } = options;
  const { session, store, bucket, close, warn, link } = parts;
  return {
    session,
    store,
    bucket,
    close,
    get presence() {
      return session.presenceState;
    },
    async serve(handlers) {
      if (!options.service) return null;
      try {
        const service = await startService(
          link.connection,
          {
            clusterId,
            nodeId,
            version: options.serviceVersion,
            control: !options.observer,
            onWarning: (message, error) => warn("SERVICE", message, error),
            onEnded: (error) =>
              warn(
                "SERVICE",
                "the micro service has ended: other tools do not see this node until it is restarted; the election is unaffected",
                error ?? undefined,
              ),
          },
          handlers,
        );
        return { name: serviceName(clusterId), id: service.id, stop: () => service.stop() };
      } catch (error) {
        // The election does not need the service.
        warn(
          "SERVICE",
          "the micro service could not be started: other tools do not see this node; the election is unaffected",
          asError(error),
        );
        return null;
      }
    },
    async statusOf(other, timeoutMs) {
      const reply = (): string => newReplySubject(clusterId, nodeId);
      const ask = (subject: string) => askStatus(session.monitor, subject, reply, other, timeoutMs);
      const candidate = await ask(candidateSubject(clusterId, other));
      if (candidate !== null) return candidate;
      // An observer's user may answer on this subject, and so it may only say what refuses a handover.
      const status = await ask(statusSubject(clusterId, other));
      const isRefusal = status?.competes === false;
      const isGoCluster = options.interop === "go-cluster" && status?.incarnation === undefined;
      return isRefusal || isGoCluster ? status : null;
    },
  };
}

async function askStatus(
  monitor: ConnectionMonitor,
  subject: string,
  reply: () => string,
  nodeId: string,
  timeoutMs: number,
): Promise<PeerStatus | null> {
  try {
    const answer = await request(monitor, subject, new Uint8Array(0), { timeoutMs, reply: reply() });
    const status = decodeStatus(answer.data);
    if (status === null || status.nodeId !== nodeId) return null;
    if (status.duplicate === undefined) return status;
    // The other process may be gone by now.
    return choose(await statusesOf(monitor.connection, subject, reply(), timeoutMs), undefined) ?? status;
  } catch {
    return null;
  }
}
