/** What a member of a group runs on: a real NATS (`src/group/nats-group-backend.ts`) or a simulated one. */
import type { BackendWarningCode } from "../runtime/backend.ts";
import type { BucketInfo } from "../runtime/ports.ts";
import type { GroupSession, GroupStore } from "./ports.ts";

export interface GroupAttachment {
  readonly session: GroupSession;
  readonly store: GroupStore;
  readonly bucket: BucketInfo;
  /** Answers requests of operators from now on, until `close()`. */
  serve(handlers: MemberHandlers): void;
  /** Closes store and session, and the connection unless it was passed in. Never rejects. */
  close(): Promise<void>;
}

/** What an operator may ask of a member. Each throws a `ClusterError` if it is refused. */
export interface MemberHandlers {
  /** Takes nothing from now on, and begins to give up everything. */
  drain(): void;
  rejoin(): void;
  /** Only the coordinator can do this. */
  move(resource: string, to: string): void;
}

export interface GroupAttachRequest {
  readonly groupId: string;
  readonly incarnation: string;
  readonly signal: AbortSignal;
  /** Largest number that an earlier incarnation of this `Group` has seen; 0: none. */
  readonly above: number;
  /** What the member promises about silence (`silenceMs`) once a beat has come back on its connection; 0: nothing. */
  readonly silenceMs: number;
  /** Reports a limitation that does not keep the member from working. One sentence; each message at most once. */
  readonly warn: (code: BackendWarningCode, message: string, error?: Error) => void;
}

export interface GroupBackend {
  /** Connects and opens the bucket, or rejects with a `ClusterError` and leaves nothing behind. */
  attach(request: GroupAttachRequest): Promise<GroupAttachment>;
}
