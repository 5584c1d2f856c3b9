/** What a member of a group runs on: a real NATS (`src/group/nats-group-backend.ts`) or a simulated one. */
import type { BackendWarningCode } from "../runtime/backend.ts";
import type { BucketInfo } from "../runtime/ports.ts";
import type { GroupSession, GroupStore } from "./ports.ts";

export interface GroupAttachment {
  readonly session: GroupSession;
  readonly store: GroupStore;
  readonly bucket: BucketInfo;
  /** Closes store and session, and the connection unless it was passed in. Never rejects. */
  close(): Promise<void>;
}

export interface GroupAttachRequest {
  readonly groupId: string;
  readonly incarnation: string;
  readonly signal: AbortSignal;
  /** Largest number that an earlier incarnation of this `Group` has seen; 0: none. */
  readonly above: number;
  /** Reports a limitation that does not keep the member from working. One sentence; each message at most once. */
  readonly warn: (code: Exclude<BackendWarningCode, "SERVICE">, message: string, error?: Error) => void;
}

export interface GroupBackend {
  /** Connects and opens the bucket, or rejects with a `ClusterError` and leaves nothing behind. */
  attach(request: GroupAttachRequest): Promise<GroupAttachment>;
}
