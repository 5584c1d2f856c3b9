/** The backend of a group's member on NATS: connection, session and store. */
import type { ResolvedGroupOptions } from "../config/group-options.ts";
import { closeAll, openPatiently, sessionOn } from "../nats/attaching.ts";
import { connectNats } from "../nats/connection/connection.ts";
import { NatsGroupStore } from "../nats/group/group-store.ts";
import { serveControl } from "../nats/group/member-control.ts";
import { groupStreamName } from "../nats/names.ts";
import type { GroupAttachment, GroupAttachRequest, GroupBackend } from "./backend.ts";
import { groupDriver } from "./group-driver.ts";
import type { MakeDriver } from "./membership.ts";
import { rehearse } from "./rehearsal.ts";

/** @param whileConnecting - Called after the connection has been asked for. */
export function natsGroupBackend(
  options: ResolvedGroupOptions,
  whileConnecting: (options: ResolvedGroupOptions, makeDriver: MakeDriver) => unknown = rehearse,
): GroupBackend {
  return { attach: (request) => attach(options, request, whileConnecting) };
}

async function attach(
  options: ResolvedGroupOptions,
  request: GroupAttachRequest,
  whileConnecting: (options: ResolvedGroupOptions, makeDriver: MakeDriver) => unknown,
): Promise<GroupAttachment> {
  const { groupId, memberId, core } = options;
  const connecting = connectNats(options.nats, {
    clusterId: groupId,
    nodeId: memberId,
    signal: request.signal,
  });
  whileConnecting(options, groupDriver);
  const link = await connecting;
  const session = sessionOn(link, options.nats.domain, "member", request.warn);
  const store = new NatsGroupStore(session.monitor, {
    groupId,
    replicas: options.replicas,
    create: options.createBucket,
    onWarning: (message, error) => request.warn("BUCKET", message, error),
  });
  let endControl = (): void => {};
  const close = async (): Promise<void> => {
    endControl();
    await closeAll(store, session, link);
  };
  try {
    const bucket = await openPatiently(() => store.open(request.signal, request.above), request.signal);
    // Before the session begins, so that its first record already names the presence and promises silence.
    if (core.crashDetection === "presence") await session.usePresence(groupStreamName(groupId));
    const { silenceMs } = request;
    if (core.crashDetection !== "lease" && silenceMs > 0) await session.useBeats(silenceMs);
    return {
      session,
      store,
      bucket,
      close,
      serve(handlers) {
        const onWarning = (message: string, error: Error): void => request.warn("SERVICE", message, error);
        endControl = serveControl(link.connection, { groupId, memberId, onWarning }, handlers);
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}
