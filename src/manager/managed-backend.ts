/** A node's backend with what only a daemon has: its status says more, and it can be told to leave. */
import type { Attachment, AttachRequest, Backend, NodeStatus } from "../runtime/backend.ts";

export interface ManagedExtras {
  /** `undefined`: there is no virtual IP to speak of. */
  vipHeld(): boolean | undefined;
  compete(competes: boolean): Promise<void>;
  /** Called once the node can say how it is. */
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
