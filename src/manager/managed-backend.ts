/** Adds the daemon's parts to a node's backend: the virtual IP in the status, and requests to leave or join. */
import type { Attachment, AttachRequest, Backend, NodeStatus } from "../runtime/backend.ts";

export interface ManagedExtras {
  /** `undefined` if no virtual IP is configured. */
  vipHeld(): boolean | undefined;
  compete(competes: boolean): Promise<void>;
  /** Called when the node's status is available. */
  ready(status: () => NodeStatus): void;
}

export function managedBackend(inner: Backend, extras: ManagedExtras): Backend {
  return {
    async attach(request: AttachRequest): Promise<Attachment> {
      const attachment = await inner.attach(request);
      return {
        session: attachment.session,
        store: attachment.store,
        bucket: attachment.bucket,
        get presence() {
          return attachment.presence;
        },
        statusOf: (nodeId, timeoutMs) => attachment.statusOf(nodeId, timeoutMs),
        close: () => attachment.close(),
        serve(handlers) {
          const status = (): NodeStatus => {
            const vipHeld = extras.vipHeld();
            return { ...handlers.status(), ...(vipHeld === undefined ? {} : { vipHeld }) };
          };
          extras.ready(status);
          return attachment.serve({ ...handlers, status, compete: (competes) => extras.compete(competes) });
        },
      };
    },
  };
}
