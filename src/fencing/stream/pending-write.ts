/** A write that was sent: it waits for its answer and settles its caller's promise. */
import type { ClusterError } from "../../errors.ts";
import type { AckSink } from "./ack-mux.ts";
import type { AckReader, PubAck } from "./js-messages.ts";
import type { Lane } from "./lanes.ts";

/** What a write reports to. One per writer, so that a write needs no closures of its own. */
export interface WriteOwner {
  readonly acks: AckReader;
  /** The lane is free again. */
  free(write: PendingWrite): void;
  /** Finds out what the failure means, frees the lane, and rejects the write. */
  fail(write: PendingWrite, thrown: unknown): void;
}

/** What is written. */
export interface WriteSpec {
  /** Of the message whose answer is awaited. */
  readonly subject: string;
  /** Completes "cannot ...". */
  readonly doing: () => string;
  /** It has conditions besides that of the fence. */
  readonly conditions: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

export class PendingWrite implements AckSink {
  readonly lane: Lane;
  readonly spec: WriteSpec;
  readonly reject: (error: ClusterError) => void;
  readonly #owner: WriteOwner;
  readonly #resolve: (ack: PubAck) => void;
  #stopListening: (() => void) | null = null;

  constructor(
    owner: WriteOwner,
    lane: Lane,
    spec: WriteSpec,
    resolve: (ack: PubAck) => void,
    reject: (error: ClusterError) => void,
  ) {
    this.#owner = owner;
    this.lane = lane;
    this.spec = spec;
    this.#resolve = resolve;
    this.reject = reject;
  }

  /** Calls `abandon` if the signal of the write aborts before the answer. */
  listen(abandon: (reason: unknown) => void): void {
    const { signal } = this.spec;
    if (signal === undefined) return;
    const onAbort = (): void => abandon(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#stopListening = () => signal.removeEventListener("abort", onAbort);
  }

  answered(data: Uint8Array): void {
    let ack: PubAck;
    try {
      ack = this.#owner.acks.read(data, this.spec.subject);
    } catch (thrown) {
      this.failed(thrown);
      return;
    }
    this.#stopListening?.();
    this.#owner.free(this);
    this.#resolve(ack);
  }

  failed(thrown: unknown): void {
    this.#stopListening?.();
    this.#owner.fail(this, thrown);
  }
}
